"""Step 3, content: every covered file, and nothing else, byte for byte.

The payload is hashed in the background, for neither the manifest of the release nor
the steps that read the record need it: `Content.present` waits for it. Its findings
stand with those of this step, whenever they come.
"""

from __future__ import annotations

import hashlib
import unicodedata
from concurrent.futures import Future
from threading import Event, Thread
from typing import TYPE_CHECKING, Self

from attrs import field, frozen

from provenance.bundle import parts
from provenance.encoding import paths, statements
from provenance.errors import (
    ChangedError,
    FileError,
    FormatError,
    StorageError,
)
from provenance.fingerprint import batches
from provenance.verify.step2_statement import check_release_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from provenance.fingerprint.batches import Crew
    from provenance.fingerprint.files import Digests
    from provenance.fingerprint.walk import Listed
    from provenance.model.fingerprint import FileEntry
    from provenance.model.statements import Manifest, Release
    from provenance.tables.read import Reader
    from provenance.verify.findings import Findings
    from provenance.verify.step1_files import Files
    from provenance.verify.step2_statement import Signed

MAX_RECORD_FILE = 64 * 2**20
MAX_RECORD_BYTES = 2**30
MAX_EARLY = 65_536
"""Digests that wait to be compared until the manifest of the release is read."""


@frozen(kw_only=True)
class Content:
    """The files that a release statement covers, compared with those on disk.

    Leave it as a context manager, or payload is hashed that nobody waits for.

    Attributes:
        entries: by name, what is signed about each file.
        record: by path inside the bundle, the bytes of its parts. Each was hashed
            and equals what is signed; these bytes, not the files, are parsed.
    """

    entries: Mapping[str, FileEntry] = field(repr=False)
    record: Mapping[str, bytes] = field(repr=False)
    _payload: _Payload = field(repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._payload.give_up()

    @property
    def present(self) -> frozenset[str]:
        """The names whose bytes are here and equal what is signed; waits for them."""
        return self._payload.present


def check_content(
    files: Files,
    signed: Signed,
    tables: Reader,
    progress: Callable[[int], None] | None,
    findings: Findings,
    *,
    crew: Crew | None = None,
) -> Content | None:
    """Compare names, then sizes, then digests; None when that ends it.

    Args:
        files: what step 1 found.
        signed: what step 2 found.
        tables: reads the manifest of the release.
        progress: is told how many bytes of payload were read, from any thread.
        findings: what was found; also later, by the payload.
        crew: who hashes the payload.
    """
    payload = _Payload(files, findings.reserve(), progress=progress, crew=crew)
    # Reading a manifest takes a while. If number and size of what lies here are those
    # that are signed, there is no more to hash than should be, and no need to wait.
    if signed.release.manifest is not None and _adds_up(files, signed.release):
        payload.begin([name for name in files.listed if not parts.is_bundle(name)])
    content = None
    try:
        content = _compare(files, signed, tables, payload, findings)
    finally:
        if content is None:
            payload.give_up()
    return content


def _adds_up(files: Files, release: Release) -> bool:
    sizes = [
        listed.size
        for name, listed in files.listed.items()
        if not parts.is_bundle(name) or parts.is_covered(name, release)
    ]
    return (len(sizes), sum(sizes)) == (release.count, release.bytes)


def _compare(
    files: Files,
    signed: Signed,
    tables: Reader,
    payload: _Payload,
    findings: Findings,
) -> Content | None:
    entries = _entries(files, signed, tables, findings)
    if entries is None:
        return None
    files = files.with_signed(entries)
    _compare_names(files, signed.release, entries, findings)
    fitting = [
        name
        for name in entries
        if name in files.listed and _fits(name, files, entries, findings)
    ]
    record = _read_record(files, entries, fitting, findings)
    if record is None:
        return None
    payload.compare(
        entries,
        wanted=[name for name in fitting if not parts.is_bundle(name)],
        known=[f"{parts.FOLDER}/{path}" for path in record],
        files=files,
    )
    return Content(entries=entries, record=record, payload=payload)


def _entries(
    files: Files, signed: Signed, tables: Reader, findings: Findings
) -> dict[str, FileEntry] | None:
    """Return the covered files, from the statement or from its manifest."""
    release = signed.release
    if release.manifest is None:
        return {paths.spell(entry.path): entry for entry in release.files}
    path = parts.manifest_path(release.manifest.sha256)
    try:
        data = _read_manifest(files, path, release.manifest)
        if data is None:
            sentence = "the manifest of the release is missing or not as signed"
            findings.add("PV304", path, sentence)
            return None
        listed = tuple(tables.manifest(data))
        names = [paths.spell(entry.path) for entry in listed]
        check_release_names(names)
        statements.check_release(release, listed)
    except FormatError as error:
        findings.add("PV307", path, f"the manifest of the release: {error}")
        return None
    except (FileError, StorageError) as error:
        findings.add("PV306", path, str(error))
        return None
    return dict(zip(names, listed, strict=True))


def _read_manifest(files: Files, path: str, manifest: Manifest) -> bytes | None:
    listed = files.listed.get(path)
    if listed is None or listed.size != manifest.bytes:
        return None
    if manifest.bytes > MAX_RECORD_FILE:
        message = f"more than {MAX_RECORD_FILE:,} bytes"
        raise FormatError(message)
    data = files.read(path)
    return data if hashlib.sha256(data).hexdigest() == manifest.sha256 else None


def _compare_names(
    files: Files,
    release: Release,
    entries: Mapping[str, FileEntry],
    findings: Findings,
) -> None:
    composed = {unicodedata.normalize("NFC", name): name for name in files.listed}
    for name in entries:
        if name not in files.listed:
            sentence = f"{name!r} is signed and not here"
            if unicodedata.normalize("NFC", name) in composed:
                sentence += "; there is a file whose name only looks the same"
            findings.add("PV301", name, sentence)
    for name in files.listed:
        uncovered = not parts.is_covered(name, release) and name != parts.STATEMENT
        signature = name.startswith(f"{parts.SIGNATURES}/")
        if (uncovered and signature) or (not uncovered and _extra(name, entries)):
            sentence = f"{name!r} is here and nobody signed it"
            findings.add("PV302", name, sentence)


def _extra(name: str, entries: Mapping[str, FileEntry]) -> bool:
    return name not in entries and name != parts.STATEMENT


def _fits(
    name: str, files: Files, entries: Mapping[str, FileEntry], findings: Findings
) -> bool:
    """Compare sizes, before a single byte is read."""
    actual, signed = files.listed[name].size, entries[name].size
    if actual == signed:
        return True
    sentence = f"{name!r} has {actual:,} bytes, {signed:,} are signed"
    findings.add("PV303", name, sentence, actual=str(actual), expected=str(signed))
    return False


def _read_record(
    files: Files,
    entries: Mapping[str, FileEntry],
    names: list[str],
    findings: Findings,
) -> dict[str, bytes] | None:
    """Read the parts of the bundle once: what is hashed is what is parsed later."""
    wanted = [name for name in names if parts.is_bundle(name)]
    if any(entries[name].size > MAX_RECORD_FILE for name in wanted) or (
        sum(entries[name].size for name in wanted) > MAX_RECORD_BYTES
    ):
        sentence = (
            f"a part of the bundle has more than {MAX_RECORD_FILE:,} bytes, or all of "
            f"them more than {MAX_RECORD_BYTES:,}"
        )
        findings.add("PV104", parts.FOLDER, sentence)
        return None
    found: dict[str, bytes] = {}
    for name in wanted:
        try:
            data = files.read(name)
        except FileError as error:
            _report_unread(name, error, findings)
            continue
        digest = hashlib.sha256(data).hexdigest()
        if digest == entries[name].sha256:
            found[name.removeprefix(f"{parts.FOLDER}/")] = data
        else:
            _report_digest(name, digest, entries[name].sha256, findings)
    return found


class _GivenUpError(Exception):
    """Nobody waits for the payload any more."""


class _Payload:
    """The payload while it is hashed, on a thread of its own."""

    def __init__(
        self,
        files: Files,
        findings: Findings,
        *,
        progress: Callable[[int], None] | None,
        crew: Crew | None,
    ) -> None:
        self._files = files
        self._findings = findings
        self._progress = progress
        self._crew = crew
        self._thread: Thread | None = None
        self._wanted: list[Listed] = []
        self._found: Future[set[str]] = Future()
        self._signed: Future[Mapping[bytes, tuple[str, str]]] = Future()
        self._known: list[str] = []
        self._given_up = Event()
        self._present: frozenset[str] | None = None

    def begin(self, names: list[str]) -> None:
        """Begin to hash files, whether or not it is known what is signed of them."""
        self._wanted = [self._files.listed[name] for name in names]
        thread = Thread(target=self._run, name="payload", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return  # no further thread: who waits for it has to do it
        self._thread = thread

    def compare(
        self,
        entries: Mapping[str, FileEntry],
        *,
        wanted: list[str],
        known: list[str],
        files: Files,
    ) -> None:
        """Say what is signed of those files that are worth a comparison.

        Args:
            entries: what is signed.
            wanted: names of the payload files whose sizes are as signed.
            known: names of the files that were compared already.
            files: all files, also those that would have been ignored.
        """
        self._files = files
        self._entries = entries
        self._known = known
        signed = {entries[name].path: (name, entries[name].sha256) for name in wanted}
        self._signed.set_result(signed)
        if self._thread is None:
            self.begin(wanted)

    @property
    def present(self) -> frozenset[str]:
        if self._present is None:
            self._present = self._finish()
        return self._present

    def give_up(self) -> None:
        """Stop hashing; what nobody has waited for has found nothing."""
        self._given_up.set()
        if not self._signed.done():
            self._signed.set_result({})
        if self._thread:
            self._thread.join()
        if self._present is None:
            self._findings.clear()  # a report must not depend on who was faster

    def _finish(self) -> frozenset[str]:
        if self._crew:
            self._crew.hurry()
        if self._thread is None:
            self._run()
        present = self._found.result().union(self._known)
        if len(present) == len(self._entries):
            total = sum(entry.size for entry in self._entries.values())
            sentence = f"all {len(present):,} files ({total:,} bytes) are as signed"
            self._findings.add("PV300", "content", sentence)
        return frozenset(present)

    def _run(self) -> None:
        try:
            self._found.set_result(self._hash())
        except BaseException as error:  # noqa: BLE001 (raised where it is waited for)
            self._found.set_exception(error)

    def _hash(self) -> set[str]:
        present: set[str] = set()
        early: list[tuple[Listed, Digests | FileError]] = []
        for listed, found in batches.hash_listed(
            self._files.root, self._wanted, progress=self._tick, crew=self._crew
        ):
            early.append((listed, found))
            if self._signed.done() or len(early) == MAX_EARLY:
                self._compare(early, present)
                early.clear()
        self._compare(early, present)
        return present

    def _compare(
        self, hashed: list[tuple[Listed, Digests | FileError]], present: set[str]
    ) -> None:
        signed = self._signed.result()
        for listed, found in hashed:
            if listed.path not in signed:
                continue  # a name or a size is wrong, and that was said
            name, sha256 = signed[listed.path]
            if isinstance(found, FileError):
                _report_unread(name, found, self._findings)
            elif found.sha256 == sha256:
                present.add(name)
            else:
                _report_digest(name, found.sha256, sha256, self._findings)

    def _tick(self, count: int) -> None:
        if self._given_up.is_set():
            raise _GivenUpError
        if self._progress:
            self._progress(count)


def _report_digest(name: str, actual: str, expected: str, findings: Findings) -> None:
    sentence = f"{name!r} is not the file that was signed: its content differs"
    findings.add("PV304", name, sentence, actual=actual, expected=expected)


def _report_unread(name: str, error: FileError, findings: Findings) -> None:
    code = "PV305" if isinstance(error, ChangedError) else "PV306"
    findings.add(code, name, f"{name!r}: {error.reason}")
