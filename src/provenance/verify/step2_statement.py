"""Step 2, release statement: who signed, and what exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from provenance.bundle import parts
from provenance.encoding import paths
from provenance.errors import (
    BadNameError,
    FileError,
    FormatError,
    KeyFileError,
    LimitError,
    SignatureError,
)
from provenance.ledger import layout
from provenance.signing import envelope
from provenance.signing.keys import PublicKey, parse_public
from provenance.verify.report import ReleaseFacts, Signer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provenance.model.statements import Release
    from provenance.signing.envelope import Envelope
    from provenance.verify.findings import Findings
    from provenance.verify.policy import Policy
    from provenance.verify.step1_files import Files

MAX_KEY_FILE = 16 * 2**10


@frozen(kw_only=True)
class Signed:
    """A release statement whose signature was looked at.

    Attributes:
        release: what it says.
        facts: the same, for the report.
        signer: the key that signed.
        shipped: by id, the public keys in the bundle: information, never trust.
    """

    release: Release
    facts: ReleaseFacts
    signer: Signer
    shipped: Mapping[str, PublicKey]


def check_statement(
    files: Files, policy: Policy, line: str | None, findings: Findings
) -> Signed | None:
    """Verify and read the release statement; None when that ends it."""
    if parts.STATEMENT not in files.listed:
        sentence = "the release is not signed: its statement is missing"
        findings.add("PV201", parts.STATEMENT, sentence)
        return None
    shipped = _shipped(files)
    try:
        sealed = envelope.parse(_read(files))
    except SignatureError as error:
        findings.add("PV201", parts.STATEMENT, f"the release is not signed: {error}")
        return None
    except FormatError as error:
        findings.add("PV202", parts.STATEMENT, f"the release statement: {error}")
        return None
    except FileError as error:
        findings.add("PV105", parts.STATEMENT, str(error))
        return None
    signer = _check_signature(sealed, policy, shipped, findings)
    if signer is None:
        return None
    try:
        statement_id, release = parts.release_of(sealed.payload)
        _check_names(release)
    except FormatError as error:
        findings.add("PV202", parts.STATEMENT, f"the release statement: {error}")
        return None
    _check_line(release, policy, line, findings)
    facts = ReleaseFacts(
        id=statement_id,
        line=release.line,
        sequence=release.sequence,
        time=release.time,
        files=release.count,
        bytes=release.bytes,
        runs=tuple(run.run for run in release.runs),
    )
    return Signed(release=release, facts=facts, signer=signer, shipped=shipped)


def trusted_signer(
    sealed: Envelope, policy: Policy, shipped: Mapping[str, PublicKey]
) -> tuple[PublicKey | None, str | None]:
    """Return the key that signed an envelope, and its name in the policy.

    A key that the policy does not know can still show that a signature is good; its
    name is None then. A signature that no known key can check has no key at all.

    Raises:
        SignatureError: a known key did not sign this.
        FormatError: one did, but the envelope names another.
    """
    by_id = {key.id: key for key in policy.keys.values()}
    known = {**shipped, **by_id}
    if sealed.hint in known:
        key = envelope.verify(sealed, [known[sealed.hint]])
        return key, policy.name_of(key.id)
    # The hint names nobody we know. A trusted key that signed all the same makes
    # the envelope contradict itself.
    if policy.keys:
        try:
            envelope.verify(sealed, list(policy.keys.values()))
        except SignatureError:
            return None, None
    return None, None


def _read(files: Files) -> bytes:
    if files.listed[parts.STATEMENT].size > parts.MAX_STATEMENT_FILE:
        what = "size of the release statement in bytes"
        raise LimitError(what, parts.MAX_STATEMENT_FILE)
    return files.read(parts.STATEMENT)


def _shipped(files: Files) -> dict[str, PublicKey]:
    """Read the public keys in the bundle, those that are what their name says."""
    found: dict[str, PublicKey] = {}
    for name, listed in files.listed.items():
        key_id = layout.parse_key(name.removeprefix(f"{parts.FOLDER}/"))
        if key_id is None or listed.size > MAX_KEY_FILE:
            continue
        try:
            key = parse_public(files.read(name).decode("ascii"))
        except (FileError, KeyFileError, UnicodeDecodeError):
            continue  # it helps nobody; step 3 still checks its digest
        if key.id == key_id:
            found[key_id] = key
    return found


def _check_signature(
    sealed: Envelope,
    policy: Policy,
    shipped: Mapping[str, PublicKey],
    findings: Findings,
) -> Signer | None:
    try:
        key, name = trusted_signer(sealed, policy, shipped)
    except SignatureError as error:
        findings.add("PV203", parts.STATEMENT, f"the release statement: {error}")
        return None
    except FormatError as error:
        findings.add("PV202", parts.STATEMENT, f"the release statement: {error}")
        return None
    if name is None:
        _report_stranger(sealed, key, findings)
    elif name not in policy.release_signers:
        sentence = f"your policy knows {name!r}, but not as a signer of releases"
        findings.add("PV205", name, sentence, key=sealed.hint)
    else:
        sentence = f"signed by {name!r}, whom your policy lets sign releases"
        findings.add("PV200", name, sentence, key=sealed.hint)
    return Signer(key=sealed.hint, name=name, signed="release")


def _report_stranger(
    sealed: Envelope, key: PublicKey | None, findings: Findings
) -> None:
    if key is None:
        sentence = (
            f"signed by a key {sealed.hint[:64]!r} that you do not trust and that is "
            "not here, so that the signature could not be checked"
        )
        findings.add("PV204", "release", sentence, key=sealed.hint)
        return
    sentence = (
        f"signed by the key {key.id}, which your policy does not know. If you have "
        "reason to trust it (ask the signer, not this release), put its public key "
        "into a trust policy and pass it with --trust"
    )
    findings.add("PV204", "release", sentence, key=key.id, public=key.pem)


def _check_names(release: Release) -> None:
    """Refuse a statement over names that are not portable, or could collide."""
    names = [paths.spell(entry.path) for entry in release.files]
    check_release_names(names)


def check_release_names(names: list[str]) -> None:
    """Check the names that a release statement or its manifest lists.

    Raises:
        BadNameError: one is not portable, two are alike, or one cannot be covered.
    """
    for name in names:
        paths.check_portable(name)
        if name.startswith(f"{parts.SIGNATURES}/"):
            raise BadNameError(name, "a signature cannot cover itself")
    paths.check_collisions(names)


def _check_line(
    release: Release, policy: Policy, line: str | None, findings: Findings
) -> None:
    if line is not None and release.line != line:
        sentence = f"this is a release of {release.line!r}, not of {line!r}"
        findings.add("PV206", release.line, sentence, asked=line)
    elif policy.lines is not None and release.line not in policy.lines:
        sentence = f"your policy does not allow releases of the line {release.line!r}"
        findings.add("PV206", release.line, sentence)
