"""Statements spelled as no honest writer spells them, and signed all the same.

Each spelling is tried in every place where statements stand: in the release statement,
in a head, in a run head, in a ledger; and in the envelope around them, which needs no
key. What is refused there is refused before anything in it is believed.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from simulator import STATEMENT, TIME, Forge, Said, sha256, spell, statement

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Check

Spelling: TypeAlias = "Callable[[bytes], bytes]"

URN = "urn:training-provenance:"
DIGEST = "0123456789abcdef" * 4


def replaced(pattern: str, new: str) -> Spelling:
    """Replace the first match; there must be one."""

    def change(data: bytes) -> bytes:
        changed, count = re.subn(
            pattern.encode(), lambda _: new.encode(), data, count=1
        )
        assert count == 1, pattern
        return changed

    return change


def recoded(encoding: str) -> Spelling:
    return lambda data: data.decode().encode(encoding)


def said(change: Callable[[Said], object]) -> Spelling:
    """Change what a statement says and spell it well."""

    def apply(data: bytes) -> bytes:
        found = json.loads(data)
        change(found)
        return spell(found)

    return apply


def number(text: str) -> Spelling:
    """Put something in the place of the first whole number."""
    return replaced(r'(?<=":)[0-9]+(?=[,}\]])', text)


def digest(text: str) -> Spelling:
    return replaced(r'"sha256":"[0-9a-f]{64}"', f'"sha256":{text}')


def time(text: str) -> Spelling:
    return replaced(r'"time":"[^"]*"', f'"time":"{text}"')


SPELLINGS: dict[str, Spelling] = {
    # 32: one key twice; a reader that keeps the last and one that keeps the first
    # would read two statements.
    "032-key-twice": replaced(r"^\{", '{"_type":"https://in-toto.io/Statement/v1",'),
    "032-key-twice-inside": replaced(
        r'"predicate":\{', f'"predicate":{{"time":"{TIME}",'
    ),
    "032-key-twice-in-a-digest": replaced(
        r'"digest":\{', f'"digest":{{"sha256":"{DIGEST}",'
    ),
    # 33: the same value, another spelling.
    "033-space": replaced(",", ", "),
    "033-newline-at-the-end": lambda data: data + b"\n",
    "033-key-order": lambda data: json.dumps(
        dict(reversed(json.loads(data).items())), separators=(",", ":")
    ).encode(),
    "033-escape": replaced('"predicateType"', '"predicate\\u0054ype"'),
    "033-escaped-slash": replaced("https://", "https:\\/\\/"),
    # 34: numbers that are none.
    "034-nan": number("NaN"),
    "034-infinity": number("-Infinity"),
    "034-minus-zero": number("-0"),
    "034-huge": number("1e400"),
    "034-exponent": number("1E0"),
    # 35: beyond what every reader can hold.
    "035-53-bits": number(str(2**53)),
    "035-63-bits": number(str(2**63 - 1)),
    "035-negative": number("-1"),
    "035-5000-digits": number("9" * 5_000),
    "035-leading-zero": number("01"),
    # 36, 37: a type that looks like another.
    "036-float": number("1.5"),
    "037-true": number("true"),
    "037-float-of-an-integer": number("1.0"),
    "037-text": number('"1"'),
    "037-null": number("null"),
    # 38: text that is no UTF-8.
    "038-lone-surrogate": time("\\ud800"),
    # 39: nesting.
    "039-nesting": number("[" * 100_000 + "]" * 100_000),
    "039-nesting-33": number("[" * 33 + "]" * 33),
    "039-nesting-unclosed": number("[" * 100_000),
    # 40: types and fields that nobody here knows.
    "040-statement-type": replaced(
        "in-toto.io/Statement/v1", "in-toto.io/Statement/v2"
    ),
    "040-version": replaced(
        r"(urn:training-provenance:[a-z-]+):1", "urn:training-provenance:step:2"
    ),
    "040-kind": replaced(
        r"urn:training-provenance:[a-z-]+:1", "urn:training-provenance:promise:1"
    ),
    "040-unknown-field": said(lambda found: found["predicate"].update(critical=True)),
    "040-unknown-outer-field": said(lambda found: found.update(extension=1)),
    "040-missing-field": said(
        lambda found: found["predicate"].pop(min(found["predicate"]))
    ),
    "040-no-predicate": said(lambda found: found.update(predicate=None)),
    "040-no-subject": said(lambda found: found.update(subject=[])),
    # 41: digests.
    "041-upper-case": digest(f'"{DIGEST.upper()}"'),
    "041-spaces": digest(f'"{DIGEST[:62]} 6"'),
    "041-odd": digest(f'"{DIGEST[:63]}"'),
    "041-long": digest(f'"{DIGEST}00"'),
    "041-arabic-digits": digest('"' + "\N{ARABIC-INDIC DIGIT ONE}" * 64 + '"'),
    "041-base64": digest('"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="'),
    "041-list": digest(f'["{DIGEST}"]'),
    "041-empty": digest('""'),
    # 42: weak digests, alone or beside a good one.
    "042-md5": replaced(r'"sha256":"[0-9a-f]{64}"', f'"md5":"{DIGEST[:32]}"'),
    "042-sha1": replaced(r'"sha256":"[0-9a-f]{64}"', f'"sha1":"{DIGEST[:40]}"'),
    "042-sha1-beside": replaced(r'"digest":\{', f'"digest":{{"sha1":"{DIGEST[:40]}",'),
    "042-none": replaced(r'"digest":\{"sha256":"[0-9a-f]{64}"\}', '"digest":{}'),
    # 43: times.
    "043-no-zone": time("2026-01-31T09:30:00.000000"),
    "043-other-zone": time("2026-01-31T09:30:00.000000+01:00"),
    "043-year-10000": time("10000-01-31T09:30:00.000000Z"),
    "043-year-0": time("0000-01-31T09:30:00.000000Z"),
    "043-leap-second": time("2026-06-30T23:59:60.000000Z"),
    "043-no-such-day": time("2026-02-30T09:30:00.000000Z"),
    "043-nanoseconds": time("2026-01-31T09:30:00.000000000Z"),
    "043-lower-case": time("2026-01-31t09:30:00.000000z"),
    "043-arabic-digits": time("\N{ARABIC-INDIC DIGIT TWO}026-01-31T09:30:00.000000Z"),
}

BYTES: dict[str, Spelling] = {
    "038-byte-order-mark": lambda data: b"\xef\xbb\xbf" + data,
    "038-utf-16": recoded("utf-16"),
    "038-utf-32": recoded("utf-32-be"),
    "038-not-utf-8": lambda data: data.replace(b"e", b"\xe9", 1),
    "038-overlong": lambda data: data.replace(b"e", b"\xc1\xa5", 1),
    "039-empty": lambda _: b"",
    "039-not-json": lambda _: b"hello",
    "039-list": lambda _: b"[]",
}


def in_release(forge: Forge, change: Spelling) -> str:
    forge.write(release=lambda found: change(well_sealed(found)))
    return "PV202"


def in_head(forge: Forge, change: Spelling) -> str:
    forge.write(head=lambda found: change(well_sealed(found)))
    return "PV401"


def in_run_head(forge: Forge, change: Spelling) -> str:
    forge.write(run_head=lambda found: change(well_sealed(found)))
    return "PV401"


def in_ledger(forge: Forge, change: Spelling) -> str:
    found = forge.artifact("config")
    at = forge.said.index(found)
    found["predicate"]["entry"]["index"] = at
    forge.said[at] = change(spell(found))
    forge.write()
    return "PV601"


def well_sealed(found: Said) -> bytes:
    first = found["subject"][0]["digest"]
    first["sha256"] = DIGEST  # refused anyway, and before it is compared
    return spell(found)


SIGNED = [in_release, in_head, in_run_head]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("place", [*SIGNED, in_ledger])
def test_attack_spelling(
    forge: Forge,
    check: Check,
    place: Callable[[Forge, Spelling], str],
    spelling: str,
) -> None:
    code = place(forge, SPELLINGS[spelling])
    check(forge.root, code, "REFUSED")


@pytest.mark.parametrize("spelling", BYTES)
@pytest.mark.parametrize("place", SIGNED)
def test_attack_spelling_bytes(
    forge: Forge,
    check: Check,
    place: Callable[[Forge, Spelling], str],
    spelling: str,
) -> None:
    code = place(forge, BYTES[spelling])
    check(forge.root, code, "REFUSED")


ENVELOPES: dict[str, Spelling] = {
    "032-key-twice": replaced(r"^\{", '{"mediaType":"x",'),
    "032-payload-twice": replaced(r'"payload":', '"payload":"e30=","payload":'),
    "033-space": replaced(",", ", "),
    "033-escape": replaced('"payload"', '"p\\u0061yload"'),
    "034-nan": replaced(r'"tlogEntries":\[\]', '"tlogEntries":NaN'),
    "037-null": replaced(r'"tlogEntries":\[\]', '"tlogEntries":null'),
    "039-nesting": replaced(r"\[\]", "[" * 100_000),
    "040-media-type": replaced("v0.3", "v0.4"),
    "040-unknown-field": replaced(r"^\{", '{"certificate":null,'),
    "041-base64-junk": replaced(r'"payload":"', '"payload":" '),
    "041-base64-url": lambda data: re.sub(rb'"sig":"[^"]*"', b'"sig":"MEQC_-8="', data),
    "041-spare-bits": lambda data: re.sub(rb'"sig":"[^"]*"', b'"sig":"YR=="', data),
    "041-no-padding": replaced('="', '"'),
}


@pytest.mark.parametrize("spelling", [*ENVELOPES, *BYTES])
def test_attack_spelling_of_the_envelope(
    release: Path, check: Check, spelling: str
) -> None:
    place = release / STATEMENT
    data = place.read_bytes()
    if spelling == "041-no-padding" and b'="' not in data:
        data = re.sub(rb'"sig":"[^"]*"', b'"sig":"YQ=="', data)
    change = (ENVELOPES | BYTES)[spelling]
    place.write_bytes(change(data))
    check(release, "PV202", "REFUSED")


def test_attack_039_a_statement_over_the_cap(forge: Forge, check: Check) -> None:
    def enlarge(found: Said) -> bytes:
        found["predicate"]["tool"]["version"] = "x" * (16 * 2**20)
        return spell(found)[: 16 * 2**20]

    forge.write(release=enlarge)
    check(forge.root, "PV202", "REFUSED")


def test_attack_039_an_envelope_over_the_cap(release: Path, check: Check) -> None:
    with (release / STATEMENT).open("ab") as file:
        file.write(b" " * (24 * 2**20))
    check(release, "PV202", "REFUSED")


def test_attack_040_a_stranger_s_statement_beside_the_way(
    forge: Forge, check: Check
) -> None:
    forge.said.insert(1, opaque("ab" * 32))
    forge.write()
    (finding,) = check(forge.root, "PV607", "OK")
    assert finding.outcome == "warn"


def test_attack_040_a_stranger_s_statement_on_the_way(
    forge: Forge, check: Check
) -> None:
    on_the_way = forge.artifact("config")["subject"][0]["digest"]["sha256"]
    forge.said.insert(1, opaque(on_the_way))
    forge.write()
    check(forge.root, "PV806", "REFUSED")


@pytest.mark.parametrize("kind", ["head", "release"])
def test_attack_040_a_signed_statement_in_a_ledger(
    forge: Forge, check: Check, kind: str
) -> None:
    predicate: Any = forge.before["predicate"]
    found = forge.before if kind == "release" else head_of(predicate["runs"][0]["run"])
    forge.said.insert(1, spell(found))
    forge.write()
    check(forge.root, "PV601", "REFUSED")


def opaque(digest: str) -> Said:
    found = statement("other", {}, "something", digest)
    return found | {"predicateType": "https://slsa.dev/provenance/v1"}


def head_of(run: str) -> Said:
    counts = {"artifact": 0, "end": 0, "gap": 0, "other": 0, "run": 1, "step": 0}
    predicate: Said = {
        "counts": counts,
        "previous": None,
        "root": DIGEST,
        "run": run,
        "size": 1,
        "time": TIME,
        "writer": "0" * 32,
    }
    found = statement("head", predicate, "head")
    found["subject"][0]["digest"]["sha256"] = sha256(spell(predicate))
    return found
