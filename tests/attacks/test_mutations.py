"""Not one byte of a release can change unnoticed, whoever made it.

Each test takes a release that is OK and changes it somewhere; the verdict must then be
another, and nothing may raise. That a mutation is one at all is certain: the damaged
bytes differ from the signed ones.
"""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.tables.read import Reader
from provenance.verify import Policy, check_bundle, load_policy, step1_files
from provenance.verify.findings import Findings
from provenance.verify.step2_statement import check_statement
from provenance.verify.step3_content import check_content
from provenance.verify.step4_heads import check_heads
from simulator import STATEMENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator import Made


class Victim:
    """A copy of a release that is damaged again and again, and restored each time."""

    def __init__(self, made: Made, root: Path) -> None:
        self.root = Path(shutil.copytree(made.release, root))
        self.policy: Policy = load_policy(made.trust)
        self.files = {
            path.relative_to(self.root).as_posix(): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }

    def verdict(self) -> str:
        report = check_bundle(self.root, trust=self.policy)
        assert not any(one.code == "PV002" for one in report.findings)
        return report.verdict

    def restore(self) -> None:
        for path in self.root.rglob("*"):
            name = path.relative_to(self.root).as_posix()
            if path.is_file() and name not in self.files:
                path.unlink()
        for name, data in self.files.items():
            place = self.root / name
            if not place.exists() or place.read_bytes() != data:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)


@pytest.fixture(scope="module", params=["p256", "ed25519"])
def victim(
    request: pytest.FixtureRequest,
    made: Made,
    other: Made,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Victim]:
    chosen = made if request.param == "p256" else other
    found = Victim(chosen, tmp_path_factory.mktemp("victim") / "release")
    assert found.verdict() == "OK"
    yield found
    found.restore()
    assert found.verdict() == "OK"


def flipped(data: bytes, at: int, bits: int) -> bytes:
    return data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]


positions = st.integers(0, 2**20)
# Each example verifies a whole release, so there are fewer than elsewhere.
examples = settings(max_examples=5 + settings.default.max_examples // 10)


class TestAnyFile:
    """Changed, dropped, inserted, appended, swapped: never OK."""

    @examples
    @given(st.data(), positions, st.integers(1, 255))
    def test_a_changed_byte(
        self, victim: Victim, data: st.DataObject, at: int, bits: int
    ) -> None:
        name = data.draw(st.sampled_from([n for n in victim.files if victim.files[n]]))
        whole = victim.files[name]
        self.check(victim, name, flipped(whole, at % len(whole), bits))

    @examples
    @given(st.data(), positions, st.integers(1, 40))
    def test_dropped_bytes(
        self, victim: Victim, data: st.DataObject, at: int, count: int
    ) -> None:
        name = data.draw(st.sampled_from([n for n in victim.files if victim.files[n]]))
        whole = victim.files[name]
        at %= len(whole)
        self.check(victim, name, whole[:at] + whole[at + count :])

    @examples
    @given(st.data(), positions, st.binary(min_size=1, max_size=40))
    def test_inserted_bytes(
        self, victim: Victim, data: st.DataObject, at: int, more: bytes
    ) -> None:
        name = data.draw(st.sampled_from(sorted(victim.files)))
        whole = victim.files[name]
        at %= len(whole) + 1
        self.check(victim, name, whole[:at] + more + whole[at:])

    @examples
    @given(st.data(), positions, positions)
    def test_swapped_bytes(
        self, victim: Victim, data: st.DataObject, one: int, other: int
    ) -> None:
        name = data.draw(st.sampled_from([n for n in victim.files if victim.files[n]]))
        changed = bytearray(victim.files[name])
        one, other = one % len(changed), other % len(changed)
        if changed[one] == changed[other]:
            changed[one] ^= 1
        else:
            changed[one], changed[other] = changed[other], changed[one]
        self.check(victim, name, bytes(changed))

    def check(self, victim: Victim, name: str, data: bytes) -> None:
        assert data != victim.files[name]
        (victim.root / name).write_bytes(data)
        try:
            assert victim.verdict() != "OK"
        finally:
            victim.restore()


# What the names and sizes of files show does not depend on the type of the key.
any_key = pytest.mark.parametrize("victim", ["p256"], indirect=True)


@any_key
class TestWholeFiles:
    def test_each_file_dropped(self, victim: Victim) -> None:
        for name in victim.files:
            (victim.root / name).unlink()
            assert victim.verdict() == "FAILED", name
            victim.restore()

    def test_each_file_doubled_under_another_name(self, victim: Victim) -> None:
        for name, data in victim.files.items():
            (victim.root / f"{name}-2").write_bytes(data)
            assert victim.verdict() == "FAILED", name
            victim.restore()

    def test_each_file_emptied(self, victim: Victim) -> None:
        for name, data in victim.files.items():
            if data:
                (victim.root / name).write_bytes(b"")
                assert victim.verdict() in ("FAILED", "REFUSED"), name
                victim.restore()

    @examples
    @given(st.data())
    def test_two_files_swapped(self, victim: Victim, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(sorted(victim.files)))
        others = [n for n in victim.files if victim.files[n] != victim.files[one]]
        other = data.draw(st.sampled_from(others))
        (victim.root / one).write_bytes(victim.files[other])
        (victim.root / other).write_bytes(victim.files[one])
        try:
            assert victim.verdict() in ("FAILED", "REFUSED")
        finally:
            victim.restore()

    @examples
    @given(
        st.lists(
            st.text(
                st.characters(categories=["L", "N", "P", "S", "Z", "C"], codec="utf-8"),
                min_size=1,
                max_size=8,
            ).filter(lambda part: "/" not in part and "\0" not in part),
            min_size=1,
            max_size=3,
        ),
        st.binary(max_size=3),
    )
    def test_an_added_file(
        self, victim: Victim, parts: list[str], content: bytes
    ) -> None:
        place = victim.root.joinpath(*parts)
        if not place.resolve().is_relative_to(victim.root) or place.exists():
            return  # another way to write a file that is there
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        except OSError:
            return  # no file here can have this name
        try:
            assert victim.verdict() in ("FAILED", "REFUSED")
        finally:
            victim.restore()


BITS = (0x01, 0x20, 0x80)
"""A low bit, the bit that makes small letters of capitals, and a high one."""


def test_every_byte_of_the_signature_file(victim: Victim) -> None:
    """The step that reads the signature notices each of them, without any help."""
    whole = victim.files[STATEMENT]
    findings = Findings()
    files = step1_files.list_files(victim.root, step1_files.Leniency(), findings)
    assert files is not None
    assert check_statement(files, victim.policy, None, findings) is not None
    assert findings.worst == "pass"
    survivors = []
    with (victim.root / STATEMENT).open("r+b", buffering=0) as file:
        for at, bits in itertools.product(range(len(whole)), BITS):
            file.seek(0)
            file.write(flipped(whole, at, bits))
            found = Findings()
            check_statement(files, victim.policy, None, found)
            if found.worst not in ("fail", "refuse"):
                survivors.append((at, bits))
    victim.restore()
    assert survivors == []


def test_every_byte_of_the_heads(victim: Victim) -> None:
    """As above, though the release may be signed by somebody who changed a head."""
    findings = Findings()
    files = step1_files.list_files(victim.root, step1_files.Leniency(), findings)
    assert files is not None
    signed = check_statement(files, victim.policy, None, findings)
    assert signed is not None
    with Reader() as tables:
        content = check_content(files, signed, tables, None, findings)
    assert content is not None
    assert check_heads(signed, content, victim.policy, findings) is not None
    heads = [path for path in content.record if "/head-" in path]
    assert len(heads) == 2
    survivors = []
    for path in heads:
        whole = content.record[path]
        for at, bits in itertools.product(range(len(whole)), BITS):
            record = {**content.record, path: flipped(whole, at, bits)}
            found = Findings()
            changed = evolve(content, record=record)
            check_heads(signed, changed, victim.policy, found)
            if found.worst not in ("fail", "refuse"):
                survivors.append((path, at, bits))
    assert survivors == []


@any_key
def test_bytes_all_over_every_file(victim: Victim) -> None:
    for name, whole in victim.files.items():
        for at in range(0, len(whole), max(1, len(whole) // 2)):
            (victim.root / name).write_bytes(flipped(whole, at, 1 << at % 8))
            assert victim.verdict() in ("FAILED", "REFUSED"), (name, at)
        victim.restore()
