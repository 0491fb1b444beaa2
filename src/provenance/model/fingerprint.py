"""A fingerprint: what a method found when it read an artifact's bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from provenance.errors import FormatError
from provenance.model import checks

if TYPE_CHECKING:
    from attrs import Attribute

METHODS = (
    "file-1",
    "tree-1",
    "source-1",
    "config-1",
    "environment-1",
    "evaluation-1",
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
        count: number of leaves.
        bytes: number of bytes of content.
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


@frozen(kw_only=True)
class FileEntry:
    """One file of a tree or of source code.

    Attributes:
        path: raw bytes of the path relative to the root, components joined by `/`.
        size: bytes of content.
        sha256: digest of the content, as hex.
        mode: git's mode in source code, None in a tree.
    """

    path: bytes = field()
    size: int = field(validator=checks.count)
    sha256: str = field(validator=checks.digest)
    mode: str | None = field(default=None)

    @path.validator
    def _check_path(self, _: Attribute[bytes], value: bytes) -> None:
        if not value or b"\0" in value or set(value.split(b"/")) & {b"", b".", b".."}:
            message = f"{value[:80]!r} is not a relative path"
            raise FormatError(message)

    @mode.validator
    def _check_mode(self, _: Attribute[str | None], value: str | None) -> None:
        if value is not None and value not in SOURCE_MODES:
            message = f"{value!r} is not a file mode of source code"
            raise FormatError(message)
