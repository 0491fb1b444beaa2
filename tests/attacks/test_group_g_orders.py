"""Data orders of a signer who is trusted, and of somebody who damages a release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import evolve

import provenance
import simulator
from provenance.encoding import fingerprints, orders
from provenance.model.orders import Batch, Header
from provenance.tables import write
from provenance.verify import check_bundle, step6_statements
from simulator import Forge, Made, Said, Withheld, sha256

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Check

NAME = "data order of train"
FIRST = Header(first=0, identity="index", previous=None)
BATCHES = [orders.of_indices([n, n + 1], epoch=0, batch=n) for n in range(4)]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A release of a run with a data order in two parts."""
    folder = tmp_path_factory.mktemp("ordered")
    key, signer = simulator.new_key(folder / "key.pem")
    (folder / "train.py").write_text("print('training')\n")
    (folder / "out").mkdir()
    with (
        provenance.start(
            "tiny",
            store=folder / "store",
            key=key,
            code=folder / "train.py",
            strict=True,
        ) as run,
    ):
        data = run.dataset(folder / "train.py", source="https://example.org/data")
        train = run.step("train", uses=[data, run.config({"lr": 0.1})])
        order = train.order(identity="index")
        for number in range(4):
            order.add([number, number + 1], epoch=0, step=number)
            if number % 2:
                (folder / "out" / f"{number}.bin").write_bytes(bytes([number]))
                train.checkpoint(folder / "out" / f"{number}.bin", step=number)
    provenance.release(
        folder / "store", run.id, payload=folder / "out", to=folder / "release", key=key
    )
    found = Made(
        release=folder / "release",
        signer=signer,
        trust=simulator.trust(folder / "trust.toml", {"alice": signer.public}),
        store=folder / "store",
        payload=folder / "out",
    )
    assert check_bundle(found.release, trust=found.trust).verdict == "OK"
    yield found
    assert check_bundle(found.release, trust=found.trust).verdict == "OK"


def parts(forge: Forge) -> list[Said]:
    return [said for said in forge.said if said["predicate"].get("kind") == "order"]


def restate(
    forge: Forge, said: Said, header: Header, batches: list[Batch], table: bytes
) -> None:
    """State another part in place of this one, with a root that follows."""
    values = orders.spell(header)
    made = orders.fingerprint(values, batches)
    predicate, (subject,) = said["predicate"], said["subject"]
    old, subject["digest"]["sha256"] = subject["digest"]["sha256"], made.digest
    predicate["fingerprint"] = fingerprints.document(made)
    predicate["values"] = [list(entry) for entry in values]
    predicate["manifest"] = {"bytes": len(table), "sha256": sha256(table)}
    forge.put(f"tables/{sha256(table)}.parquet", table)
    for other in forge.said:
        for use in other["predicate"].get("uses", []):
            if use["digest"] == old:
                use["digest"] = made.digest
        uses = other["predicate"].get("uses", [])
        uses.sort(key=lambda use: (use["role"], use["digest"]))


class TestTables:
    def test_another_part_may_be_stated(self, forge: Forge, check: Check) -> None:
        restate(forge, parts(forge)[1], FIRST, BATCHES, write.order(BATCHES))
        forge.write()
        check(forge.root, "PV600", "OK")

    def test_a_table_that_lies_there_changed(self, release: Path, check: Check) -> None:
        table = min(release.glob("provenance/tables/*"))
        data = bytearray(table.read_bytes())
        data[len(data) // 2] ^= 1
        table.write_bytes(data)
        check(release, "PV304", "FAILED")

    def test_a_table_of_other_batches(self, forge: Forge, check: Check) -> None:
        table = write.order(BATCHES[::-1])
        restate(forge, parts(forge)[1], FIRST, BATCHES, table)
        forge.write()
        (found,) = check(forge.root, "PV606", "REFUSED")
        assert "does not follow from its batches" in found.sentence

    def test_a_table_whose_samples_are_not_those_of_its_digests(
        self, forge: Forge, check: Check
    ) -> None:
        lying = [evolve(BATCHES[0], ids=BATCHES[1].ids)]
        restate(forge, parts(forge)[1], FIRST, lying, write.order(lying))
        forge.write()
        check(forge.root, "PV606", "REFUSED")

    def test_a_table_of_another_kind(self, forge: Forge, check: Check) -> None:
        restate(forge, parts(forge)[1], FIRST, BATCHES, write.manifest([]))
        forge.write()
        check(forge.root, "PV606", "REFUSED")

    def test_a_table_that_is_not_here(self, forge: Forge, check: Check) -> None:
        for table in forge.bundle.glob("tables/*"):
            table.unlink()
        forge.write()
        found = check(forge.root, "PV803", "INCOMPLETE")
        assert "the list of batches of 'data order of train' is not in the bundle" in (
            one.sentence for one in found
        )

    def test_more_batches_than_a_release_may_hold(
        self, forge: Forge, check: Check, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        forge.write()
        for limit in ("MAX_SERVED", "MAX_NAMED"):
            with monkeypatch.context() as patch:
                patch.setattr(step6_statements, limit, 3)
                check(forge.root, "PV502", "REFUSED")


class TestStatements:
    @pytest.mark.parametrize(
        "change",
        [
            {"manifest": None},
            {"values": []},
            {"values": [["", "dict", "0"]]},
            {"files": [{"bytes": 1, "mode": None}]},
        ],
    )
    def test_a_part_that_lacks_something(
        self, forge: Forge, check: Check, change: Said
    ) -> None:
        parts(forge)[0]["predicate"].update(change)
        forge.write()
        check(forge.root, "PV601", "REFUSED")

    @pytest.mark.parametrize("count", [0, 4, 5, 4 + 65_537, 2**53 - 1])
    def test_a_part_of_no_or_too_many_batches(
        self, forge: Forge, check: Check, count: int
    ) -> None:
        said = parts(forge)[0]
        document = said["predicate"]["fingerprint"]
        document["count"] = count
        said["subject"][0]["digest"]["sha256"] = fingerprints.digest(document)
        forge.write()
        check(forge.root, "PV606" if count == 5 else "PV601", "REFUSED")

    def test_a_batch_between_two_parts_is_left_out(
        self, forge: Forge, check: Check
    ) -> None:
        before = parts(forge)[0]["subject"][0]["digest"]["sha256"]
        header = Header(first=3, identity="index", previous=before)
        restate(forge, parts(forge)[1], header, BATCHES[3:], write.order(BATCHES[3:]))
        forge.write()
        (found,) = check(forge.root, "PV611", "REFUSED")
        assert (
            "batch 3 of 'data order of train' comes after 2 batches" in found.sentence
        )

    def test_what_came_before_is_left_out(self, forge: Forge, check: Check) -> None:
        header = Header(first=2, identity="index", previous=None)
        restate(forge, parts(forge)[1], header, BATCHES[2:], write.order(BATCHES[2:]))
        forge.write()
        check(forge.root, "PV612", "OK")

    def test_attack_046_the_part_before_is_not_there(
        self, forge: Forge, check: Check
    ) -> None:
        header = Header(first=2, identity="index", previous="ab" * 32)
        restate(forge, parts(forge)[1], header, BATCHES[2:], write.order(BATCHES[2:]))
        forge.write()
        found = check(forge.root, "PV803", "INCOMPLETE")
        assert any(one.evidence.get("digest") == "ab" * 32 for one in found)

    def test_the_part_before_is_withheld(self, forge: Forge, check: Check) -> None:
        said = parts(forge)[0]
        forge.said[forge.said.index(said)] = Withheld(said)
        forge.write()
        check(forge.root, "PV803", "INCOMPLETE")
