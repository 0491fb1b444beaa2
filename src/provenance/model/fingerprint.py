"""A fingerprint: what a method found when it read an artifact's bytes."""

from __future__ import annotations

from attrs import field, frozen

from provenance.errors import FormatError
from provenance.model import checks, text

METHODS = (
    "file-1",
    "tree-1",
    "source-1",
    "config-1",
    "environment-1",
    "evaluation-1",
    "architecture-1",
    "records-1",
    "order-1",
)
"""The closed list of methods; each name fixes every parameter of its digest."""

SOURCE_MODES = ("100644", "100755", "120000", "160000")
"""File, executable file, symbolic link, submodule: the modes that git knows."""


@frozen(kw_only=True)
class Fingerprint:
    """The digest of an artifact and the fingerprint document behind it.

    Attributes:
        method: one of `METHODS`.
        digest: identity of the artifact, as hex.
        root: Merkle root over the leaves; the digest itself for a single file.
        count: number of leaves; of rows in `records-1`.
        bytes: number of bytes of content; of samples for a data order.
    """

    method: str = field(validator=checks.one_of(METHODS))
    digest: str = field(validator=checks.digest)
    root: str = field(validator=checks.digest)
    count: int = field(validator=checks.count)
    bytes: int = field(validator=checks.count)

    def __attrs_post_init__(self) -> None:
        if self.method == "file-1" and (self.count != 1 or self.root != self.digest):
            message = "a single file has one leaf, whose digest is the root"
            raise FormatError(message)


_NOT_NAMES = frozenset({b"", b".", b".."})


@frozen(kw_only=True)
class FileEntry:
    """One file of a tree or of source code.

    Attributes:
        path: raw bytes of the path relative to the root, components joined by `/`.
        size: bytes of content.
        sha256: digest of the content, as hex.
        mode: git's mode in source code, None in a tree.
    """

    path: bytes
    size: int
    sha256: str
    mode: str | None = None

    def __attrs_post_init__(self) -> None:
        # One method in place of a validator for each field: a release may list a
        # million files.
        check_path(self.path)
        text.check_count(self.size)
        text.check_digest(self.sha256)
        if self.mode is not None and self.mode not in SOURCE_MODES:
            message = f"{self.mode!r} is not a file mode of source code"
            raise FormatError(message)


def check_path(path: bytes) -> None:
    """Refuse everything but a relative path without empty, `.` and `..` components."""
    if not path or b"\0" in path or not _NOT_NAMES.isdisjoint(path.split(b"/")):
        message = f"{path[:80]!r} is not a relative path"
        raise FormatError(message)
