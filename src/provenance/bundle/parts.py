"""The names of the parts of a release (docs: formats/release)."""

from __future__ import annotations

from provenance.encoding import statements
from provenance.errors import FormatError
from provenance.model.statements import Release
from provenance.signing import envelope

FOLDER = "provenance"
"""The bundle; the payload lies beside it."""

SIGNATURES = f"{FOLDER}/signatures"
STATEMENT = f"{SIGNATURES}/release.sigstore.json"
MAX_STATEMENT_FILE = 24 * 2**20


def is_bundle(path: str) -> bool:
    """Whether a path of a release lies in the bundle."""
    return path.startswith(f"{FOLDER}/")


def is_covered(path: str, release: Release) -> bool:
    """Whether the release statement covers the file with this path."""
    if path.startswith(f"{SIGNATURES}/"):
        return False
    manifest = release.manifest
    return manifest is None or path != manifest_path(manifest.sha256)


def manifest_path(sha256: str) -> str:
    """Return where the manifest of a release lies."""
    return f"{FOLDER}/tables/{sha256}.parquet"


def read_statement(data: bytes) -> tuple[str, Release]:
    """Return id and content of a release statement; its signature is *not* checked.

    Raises:
        FormatError: the bytes are not the envelope of a release statement.
        SignatureError: it is not signed.
    """
    return release_of(envelope.parse(data).payload)


def release_of(payload: bytes) -> tuple[str, Release]:
    """Return id and content of the release statement with these bytes.

    Raises:
        FormatError: they are not one.
    """
    statement = statements.decode(payload, limit=statements.MAX_SIGNED_STATEMENT)
    if not isinstance(statement.body, Release):
        message = f"this is a {statement.kind} statement, not one of a release"
        raise FormatError(message)
    return statement.id, statement.body
