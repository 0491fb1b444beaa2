"""`provenance code`: get the code of a run out of a store or a release."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provenance.bundle import kept, parts
from provenance.cli.output import hint, shown
from provenance.cli.view import read
from provenance.encoding import paths
from provenance.errors import BadNameError, StorageError, UsageError
from provenance.ledger import layout, reader
from provenance.model.statements import ArtifactRecorded
from provenance.storage.open import open_store
from provenance.tables.read import Reader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from provenance.ledger.reader import RecordedRun
    from provenance.model.fingerprint import FileEntry
    from provenance.storage.store import Store

INCOMPLETE = 3
PATCH = "difference.patch"
_OF_GIT = frozenset({".git", "git~1"})


@click.command()
@click.argument("place", metavar="STORE|RELEASE")
@click.argument("run", default="latest")
@click.option(
    "--to",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to make; not there yet, or empty.",
)
def code(place: str, run: str, to: Path) -> int:
    """Write the code of RUN into a folder, as far as it was handed over.

    Nothing is run. Each file has the digest that the record says; who signed the
    record is for `provenance verify`. Exit code 3 when files are missing; then the
    commit and its repositories are printed.
    """
    chosen = reader.find_run(list(read(place).runs), run)
    _check_free(to)
    bundle = Path(place) / parts.FOLDER
    store = open_store(bundle if bundle.is_dir() else place, create=False)
    target = _Target(to)
    missing = 0
    with Reader() as tables:
        for artifact in chosen.bodies(ArtifactRecorded):
            if kept.kind_of(artifact) == "patches":
                missing += _write_patch(artifact, store, target)
            elif artifact.kind == "code":
                files = kept.files(artifact, store, tables)
                missing += _write(artifact, files, store, target)
    _say_how(chosen)
    return INCOMPLETE if missing else 0


class _Target:
    """A new folder, and what was written there under the names of a stranger."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[str, bytes] = {}

    def put(self, name: str, data: bytes, *, executable: bool = False) -> bool:
        """Write a file, if that may be; two of one name must be the same."""
        digest = hashlib.sha256(data).digest()
        if self._written.get(name) == digest:
            return True
        place = self._folder / name
        try:
            _check(name)
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as file:
                file.write(data)
        except BadNameError as error:
            hint(f"left out: {shown(str(error))}")
            return False
        except (FileExistsError, NotADirectoryError):
            hint(f"left out: {shown(name)!r} is in the way of another file")
            return False
        if executable:
            place.chmod(0o755)
        self._written[name] = digest
        return True


def _check(name: str) -> None:
    """See that a file may be written here under a stranger's name.

    Raises:
        BadNameError: it may not.
    """
    paths.check_portable(name)
    if not _OF_GIT.isdisjoint(name.casefold().split("/")):
        # Its settings name programs, which `git apply` would start.
        raise BadNameError(name, "would be taken for a part of git")


def _check_free(to: Path) -> None:
    if to.is_symlink() or (to.exists() and not (to.is_dir() and not any(to.iterdir()))):
        message = f"{str(to)!r} exists already; choose another folder or remove it"
        raise UsageError(message)


def _write_patch(artifact: ArtifactRecorded, store: Store, target: _Target) -> int:
    """Write the difference to a commit, and return how many files are not written."""
    data = _content(store, artifact.fingerprint.digest)
    if data is None:
        return 0  # it is said where the files are that it would change
    if not target.put(PATCH, data):
        return 1
    click.echo(f"{PATCH}: the difference to the commit")
    return 0


def _write(
    artifact: ArtifactRecorded,
    files: Iterable[FileEntry],
    store: Store,
    target: _Target,
) -> int:
    """Write what is here of some code, and return how many files are not.

    Links and submodules have no content of their own, and are not handed over.
    """
    folder = _folder(artifact)
    there = wanted = 0
    for entry in (one for one in files if one.mode in kept.FILES):
        wanted += 1
        name = f"{folder}{paths.spell(entry.path)}"
        data = _content(store, entry.sha256)
        if name == PATCH:
            hint(f"left out: {PATCH!r} would be taken for the difference to the commit")
        elif data is not None:
            there += target.put(name, data, executable=entry.mode == "100755")
    click.echo(f"{shown(artifact.name)}: {there:,} of {wanted:,} files")
    if there < wanted:
        _say_where(artifact)
    return wanted - there


def _folder(artifact: ArtifactRecorded) -> str:
    """Return where code goes: what lies beside the script has a folder of its own."""
    found = artifact.found
    if "cells" in found:
        return "notebook-cells/"
    if "modules" in found:
        return "imported-modules/"
    editable = found.get("distribution")
    return f"distributions/{editable}/" if isinstance(editable, str) else ""


def _content(store: Store, digest: str) -> bytes | None:
    try:
        data = store.get(layout.blob(digest), limit=kept.MAX_FILE)
    except StorageError:
        return None
    return data if hashlib.sha256(data).hexdigest() == digest else None


def _say_where(artifact: ArtifactRecorded) -> None:
    """Say where the files are that were not handed over."""
    git = artifact.found.get("git")
    if not isinstance(git, dict) or not git.get("commit"):
        hint("  the others were not handed over, and no commit holds them")
        return
    hint(f"  the others: commit {shown(str(git['commit']))}")
    remotes = git.get("remotes")
    for name, urls in remotes.items() if isinstance(remotes, dict) else ():
        for url in urls if isinstance(urls, list) else [urls]:
            hint(f"    {shown(str(name))} {shown(str(url))}")
    if git.get("dirty"):
        hint(f"  with changes; {PATCH} has them where it was handed over")


def _say_how(run: RecordedRun) -> None:
    """Say how the script was called."""
    for artifact in run.bodies(ArtifactRecorded):
        called = artifact.found.get("invocation")
        if artifact.kind == "environment" and isinstance(called, dict):
            arguments = called.get("argv")
            if isinstance(arguments, list) and all(
                isinstance(one, str) for one in arguments
            ):
                line = shlex.join(map(str, arguments))
                hint(f"it was called as: {shown(line)}")
                hint(f"  in the folder: {shown(str(called.get('directory')))}")
