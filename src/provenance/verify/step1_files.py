"""Step 1, files: list the release without following links or opening anything."""

from __future__ import annotations

import os
import re
import unicodedata
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from provenance.bundle import parts
from provenance.encoding import paths
from provenance.errors import (
    BadNameError,
    ChangedError,
    FileError,
    LimitError,
    NotRegularError,
    UnreadableError,
)
from provenance.fingerprint import folders, opening, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from provenance.verify.findings import Findings

MAX_DEPTH = 100
PROFILES = ("hf",)
"""What a checker may allow a downloading tool to have added. `hf`: the files that the
Hugging Face hub client adds, and its links from a snapshot into its own cache."""

_HF_ADDED = re.compile(
    r"\.gitattributes|\.cache/huggingface/"
    r"(?:.*\.metadata|.*\.lock|\.gitignore|CACHEDIR\.TAG)"
)
_HF_LINK = re.compile(rb"(?:\.\./)+blobs/[0-9a-f]{40,64}")


@frozen(kw_only=True)
class Leniency:
    """What the checker, and nobody else, is willing to overlook.

    Attributes:
        ignore: names of files or folders of the payload that may be there.
        profile: None, or one of `PROFILES`.
        max_files: how many files a release may have.
    """

    ignore: tuple[str, ...] = ()
    profile: str | None = None
    max_files: int = 1_000_000


@frozen(kw_only=True)
class Files:
    """What lies in the folder of a release.

    Attributes:
        root: the folder.
        listed: by name, every regular file that is not ignored.
        ignored: by name, those that the checker is willing to overlook.
    """

    root: Path
    listed: Mapping[str, walk.Listed] = field(repr=False)
    ignored: Mapping[str, walk.Listed] = field(repr=False, factory=dict)

    def with_signed(self, names: Iterable[str]) -> Files:
        """Return these files; what is signed is not overlooked any more."""
        signed = {name: self.ignored[name] for name in names if name in self.ignored}
        return evolve(self, listed={**self.listed, **signed})

    def read(self, name: str) -> bytes:
        """Return the bytes of one listed file, which the caller finds small enough.

        Raises:
            FileError: it cannot be read, or is not what was listed any more.
        """
        listed = self.listed[name]
        with folders.under(self.root) as reach:
            descriptor = reach.open(listed.path, follow=listed.follow)
        try:
            opening.check_regular(os.fstat(descriptor).st_mode, name=name)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                # One byte more than there should be, so that growth shows.
                data = file.read(listed.size + 1)
        except OSError as error:
            raise opening.explain(name, error) from error
        finally:
            os.close(descriptor)
        if len(data) != listed.size:
            reason = f"had {listed.size:,} bytes when it was listed, not so any more"
            raise ChangedError(name, reason)
        return data


def list_files(root: Path, leniency: Leniency, findings: Findings) -> Files | None:
    """List the files of a release; None when there is nothing to go on with."""
    problems: list[FileError | LimitError] = []
    links = leniency.profile == "hf"
    options = walk.WalkOptions(
        max_files=leniency.max_files,
        max_depth=MAX_DEPTH,
        links="files" if links else "refuse",
        same_device=not links,
    )
    try:
        found = walk.listing(root, options=options, on_problem=problems.append)
        if links:
            _check_links(root, found)
    except (FileError, LimitError) as error:
        problems.append(error)
        found = []
    for problem in problems:
        _report(problem, findings)
    if problems:
        return None
    listed = {paths.spell(file.path): file for file in found}
    ignored = {name: listed.pop(name) for name in _ignored(listed, leniency)}
    for name in ignored:
        sentence = f"{name!r} may be here unsigned, because you asked for it"
        findings.add("PV107", name, sentence)
    if not _check_names(listed, findings):
        return None
    if not any(parts.is_bundle(name) for name in listed):
        sentence = (
            f"there is no folder {parts.FOLDER!r} here, so nothing says how these "
            "files came to be; is this the folder of the release?"
        )
        findings.add("PV106", str(root), sentence)
        return None
    findings.add("PV100", str(root), f"{len(listed):,} regular files, all well named")
    return Files(root=root, listed=listed, ignored=ignored)


def _check_links(root: Path, found: list[walk.Listed]) -> None:
    """Allow links only into the hub's own cache beside the snapshot."""
    with folders.under(root) as reach:
        for file in found:
            if file.follow and not _HF_LINK.fullmatch(reach.target(file.path)):
                reason = "is a link that leads somewhere else than the hub's cache"
                raise NotRegularError(paths.show(file.path), reason)


def _report(problem: FileError | LimitError, findings: Findings) -> None:
    if isinstance(problem, LimitError):
        findings.add("PV104", problem.what, f"{problem}")
        return
    code = "PV105" if isinstance(problem, UnreadableError) else "PV101"
    findings.add(code, problem.path, f"{problem.path!r}: {problem.reason}")


def _ignored(listed: Mapping[str, walk.Listed], leniency: Leniency) -> list[str]:
    """Return what may be overlooked; the bundle itself never is."""
    if not leniency.ignore and leniency.profile is None:
        return []
    return [
        name
        for name in listed
        if not parts.is_bundle(name)
        and (
            any(name == one or name.startswith(f"{one}/") for one in leniency.ignore)
            or (leniency.profile == "hf" and _HF_ADDED.fullmatch(name))
        )
    ]


def _check_names(listed: Mapping[str, walk.Listed], findings: Findings) -> bool:
    good = True
    for name, file in listed.items():
        try:
            file.path.decode("utf-8")
        except UnicodeDecodeError:
            continue  # no signed name is spelled like this: step 3 calls it unexpected
        try:
            # Some file systems decompose names. Signed names are composed, and step 3
            # compares bytes: it says that the name only looks the same.
            paths.check_portable(unicodedata.normalize("NFC", name))
        except BadNameError as error:
            findings.add("PV102", name, str(error))
            good = False
    try:
        paths.check_collisions(listed)
    except BadNameError as error:
        findings.add("PV103", error.name, str(error))
        good = False
    return good
