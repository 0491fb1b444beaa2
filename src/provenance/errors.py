"""Every exception of the library, under one root.

::

    ProvenanceError
    ├── UsageError              the caller asked for something that makes no sense
    ├── FormatError             bytes or values that the format does not allow
    │   ├── LimitError          more, larger or deeper than the format allows
    │   └── BadNameError        a file name that is not safe or not portable
    ├── FileError               a file that cannot be fingerprinted as it is
    │   ├── NotRegularError     a link, FIFO, socket or device in place of a file
    │   ├── ChangedError        content that changed while it was read
    │   └── UnreadableError     the operating system refused to read it
    ├── StorageError            a store that cannot be read or written
    │   ├── NotFoundError       nothing is stored under that path
    │   ├── ConflictError       something else is stored under that path already
    │   └── BusyError           another process is writing there
    ├── KeyFileError            a key that cannot be used
    │   └── UnsafeKeyError      a key that others may read, or that proves nothing
    ├── SignatureError          a signature that does not verify
    ├── PolicyError             a trust policy that cannot be used
    ├── ProofError              a Merkle proof that proves nothing
    ├── LedgerError             a ledger that contradicts itself
    ├── RecordingError          something could not be recorded (strict mode)
    ├── ReleaseError            a release that cannot be built
    └── VerificationError       a release that is not OK; carries the report

Catch a subclass to act differently on it; catch `ProvenanceError` for the rest. Each
message names the thing and says what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class ProvenanceError(Exception):
    """The root of every error that this library raises on purpose."""


class UsageError(ProvenanceError):
    """The caller asked for something that makes no sense, or names nothing."""


class FormatError(ProvenanceError):
    """Bytes or values that the format does not allow."""


class LimitError(FormatError):
    """Something is more, larger or deeper than the format allows.

    Attributes:
        what: the thing that is bounded.
        limit: the bound that it exceeds.
    """

    def __init__(self, what: str, limit: int) -> None:
        self.what = what
        self.limit = limit
        super().__init__(f"{what} is over the limit of {limit:,}")


class BadNameError(FormatError):
    """A file name that is not safe, or does not mean the same everywhere.

    Attributes:
        name: the name, as text.
        reason: what is wrong with it.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"{name!r}: {reason}")


class FileError(ProvenanceError):
    """A file that cannot be fingerprinted as it is.

    Attributes:
        path: the file, as text.
        reason: why not.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path!r}: {reason}")


class NotRegularError(FileError):
    """A link, FIFO, socket or device stands where a file should."""


class ChangedError(FileError):
    """The content changed while it was read, so its digest would mean nothing."""


class UnreadableError(FileError):
    """The operating system refused to read the file."""


class StorageError(ProvenanceError):
    """A store cannot be read or written.

    Attributes:
        path: the path inside the store.
        reason: what the store said.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class NotFoundError(StorageError):
    """Nothing is stored under that path."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "there is nothing here")


class ConflictError(StorageError):
    """Something else is stored under that path already; it was left as it is."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "other bytes are stored here already")


class BusyError(StorageError):
    """Another process is writing there, and will finish by itself."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "another process is writing here")


class KeyFileError(ProvenanceError):
    """A key, or the file that should hold one, cannot be used."""


class UnsafeKeyError(KeyFileError):
    """A key that others may read, or that would prove nothing."""


class SignatureError(ProvenanceError):
    """A signature does not verify, or is not spelled as the format demands."""


class PolicyError(ProvenanceError):
    """A trust policy cannot be used; nothing was verified."""


class ProofError(ProvenanceError):
    """A Merkle proof or a disclosure does not prove what it should."""


class LedgerError(ProvenanceError):
    """A ledger contradicts itself."""


class RecordingError(ProvenanceError):
    """Something could not be recorded, and the run is strict.

    Attributes:
        what: the kind of thing.
        name: which one.
        why: the reason.
    """

    def __init__(self, what: str, name: str, why: str) -> None:
        self.what = what
        self.name = name
        self.why = why
        super().__init__(f"could not record the {what} {name!r}: {why}")


class ReleaseError(ProvenanceError):
    """A release cannot be built from this run and this payload."""


class VerificationError(ProvenanceError):
    """A release is not OK.

    Attributes:
        verdict: the verdict, as text.
        findings: one sentence for each finding that stands against it.
        report: the whole report.
    """

    def __init__(self, verdict: str, findings: Sequence[str], report: object) -> None:
        self.verdict = verdict
        self.findings = tuple(findings)
        self.report = report
        super().__init__("\n".join([verdict, *(f"- {line}" for line in findings)]))
