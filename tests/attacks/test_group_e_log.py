"""Ledgers cut, mixed and reordered, heads that lie, and proofs that prove nothing."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

import provenance
from provenance.encoding import merkle
from provenance.errors import ProofError
from provenance.signing import envelope
from provenance.tables import write
from provenance.verify import check_bundle
from simulator import STATEMENT, Forge, Said, Withheld, sha256, spell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Check
    from provenance.tables.rows import Row
    from simulator import Made


def segment_of(release: Path) -> Path:
    """Return the first segment."""
    return next(iter(release.glob("provenance/runs/*/*/rows-000000000000.parquet")))


class TestAttack056To058Freshness:
    """What a folder alone cannot tell is said, and never counts as checked."""

    def test_attack_056_the_end_is_cut_off_together_with_its_head(
        self, forge: Forge, check: Check
    ) -> None:
        while forge.said[-1] is not forge.artifact("heldout"):
            forge.said.pop()
        forge.write()
        check(forge.root, "PV903", "OK")
        (finding,) = check(forge.root, "PV610", "OK")
        assert "cut short" in finding.sentence

    def test_attack_058_an_older_release_is_of_unknown_freshness(
        self, release: Path, check: Check, made: Made
    ) -> None:
        check(release, "PV903", "OK")
        assert check_bundle(release, trust=made.trust).freshness == "unknown"


def swapped(said: list[Any]) -> list[Any]:
    return [said[0], said[2], said[1], *said[3:]]


def removed(said: list[Any]) -> list[Any]:
    return [said[0], *said[2:]]


def doubled(said: list[Any]) -> list[Any]:
    return [*said[:2], *said[1:]]


def inserted(said: list[Any]) -> list[Any]:
    return [*said[:-1], said[3], said[-1]]


CHANGES = [swapped, removed, doubled, inserted]


@pytest.mark.parametrize("change", CHANGES)
class TestAttack057Order:
    """Entries reordered, one removed, one inserted, one duplicated."""

    def test_attack_057_by_somebody_without_a_key(
        self, forge: Forge, check: Check, change: Callable[..., list[Any]]
    ) -> None:
        signature = (forge.root / STATEMENT).read_bytes()
        forge.said[:] = change(forge.said)
        forge.write()
        (forge.root / STATEMENT).write_bytes(signature)
        check(forge.root, "PV301", "FAILED")

    def test_attack_057_by_the_signer_of_the_release_alone(
        self, forge: Forge, check: Check, change: Callable[..., list[Any]]
    ) -> None:
        # The heads of the run stay as they were signed.
        heads = {path: path.read_bytes() for path in forge.bundle.rglob("head-*")}
        runs = forge.runs
        forge.said[:] = change(forge.said)
        forge.write()
        for path in list(forge.bundle.rglob("head-*")):
            path.unlink()
        for path, data in heads.items():
            path.write_bytes(data)
        forge.runs = runs
        forge.sign()
        check(forge.root, "PV504", "FAILED")

    def test_attack_057_by_the_signer_of_the_run(
        self, forge: Forge, check: Check, change: Callable[..., list[Any]]
    ) -> None:
        # Ids, root and heads fit; the statements were made for other places.
        forge.said[:] = change([spell(said) for said in forge.said])
        forge.write()
        check(forge.root, "PV602", "FAILED")


class TestAttack057Columns:
    def test_attack_057_indexes_that_do_not_count_up(
        self, forge: Forge, check: Check
    ) -> None:
        def shift(listed: list[Row]) -> list[Row]:
            return [evolve(row, index=row.index + 1) for row in listed]

        forge.write(rows=shift)
        check(forge.root, "PV504", "FAILED")

    def test_attack_057_a_segment_under_another_number(
        self, forge: Forge, check: Check
    ) -> None:
        forge.write()
        place = segment_of(forge.root)
        place.rename(place.with_name("rows-000000000001.parquet"))
        forge.sign()
        check(forge.root, "PV504", "FAILED")

    def test_attack_057_a_segment_in_two_files(
        self, forge: Forge, check: Check
    ) -> None:
        parts: list[list[Row]] = []

        def halve(listed: list[Row]) -> list[Row]:
            parts.append(listed)
            return listed

        forge.write(rows=halve)
        place = segment_of(forge.root)
        place.write_bytes(write.segment(parts[0][:5]))
        second = place.with_name("rows-000000000005.parquet")
        second.write_bytes(write.segment(parts[0][5:]))
        forge.sign()
        check(forge.root, "PV500", "OK")  # how rows are cut means nothing
        third = place.with_name("rows-000000000017.parquet")
        third.write_bytes(write.segment([evolve(parts[0][5], index=17)]))
        forge.sign()
        check(forge.root, "PV504", "FAILED")

    def test_attack_057_something_after_the_end(
        self, forge: Forge, check: Check
    ) -> None:
        forge.said.append(forge.said.pop(1))
        forge.write()
        check(forge.root, "PV605", "REFUSED")

    def test_attack_057_a_second_beginning(self, forge: Forge, check: Check) -> None:
        again = json.loads(spell(forge.said[0]))
        forge.said.insert(5, again)
        forge.write()
        check(forge.root, "PV605", "REFUSED")

    def test_attack_057_no_beginning(self, forge: Forge, check: Check) -> None:
        forge.said.pop(0)
        forge.write()
        check(forge.root, "PV605", "REFUSED")


class TestWithheldRows:
    """A withheld row needs no proof; what it hides on the way is missing."""

    def test_attack_051_a_withheld_row_on_the_way(
        self, forge: Forge, check: Check
    ) -> None:
        at = forge.said.index(forge.artifact("clean"))
        forge.said[at] = Withheld(forge.said[at])
        forge.write()
        (finding,) = check(forge.root, "PV609", "INCOMPLETE")
        assert finding.evidence["reason"] == "personal data"
        check(forge.root, "PV803", "INCOMPLETE")

    def test_a_withheld_row_beside_the_way(self, forge: Forge, check: Check) -> None:
        at = forge.said.index(forge.artifact("heldout"))
        forge.said[at] = Withheld(forge.said[at])
        forge.write()
        check(forge.root, "PV609", "OK")

    def test_attack_065_more_counted_than_withheld_rows_explain(
        self, forge: Forge, check: Check
    ) -> None:
        at = forge.said.index(forge.artifact("heldout"))
        forge.said[at] = Withheld(forge.said[at])

        def miscount(said: Said) -> Said:
            counts = said["predicate"]["counts"]
            counts["artifact"] += 1
            counts["step"] -= 1
            return said

        forge.write(head=miscount)
        check(forge.root, "PV604", "REFUSED")

    def test_attack_057_the_beginning_is_withheld(
        self, forge: Forge, check: Check
    ) -> None:
        forge.said[0] = Withheld(forge.said[0])
        forge.write()
        check(forge.root, "PV605", "REFUSED")


class TestAttack060MixAndMatch:
    """Rows, tables or heads of several releases, all of them genuine."""

    @pytest.fixture
    def store_run(self, made: Made) -> Path:
        return next(iter((made.store / "runs").iterdir()))

    def test_attack_060_the_rows_of_then_with_the_head_of_now(
        self, forge: Forge, check: Check
    ) -> None:
        segments = sorted(forge.bundle.glob("runs/*/*/rows-*.parquet"))
        assert len(segments) > 1
        segments[-1].unlink()
        forge.sign()
        check(forge.root, "PV504", "FAILED")

    def test_attack_060_an_older_head_beside_the_newest(
        self, forge: Forge, check: Check, store_run: Path
    ) -> None:
        (older, *_) = sorted(store_run.glob("*/head-*.sigstore.json"))
        place = forge.bundle / "runs" / older.relative_to(store_run.parent)
        assert not place.exists()
        shutil.copy(older, place)
        check(forge.root, "PV302", "FAILED")
        forge.sign()
        (finding,) = check(forge.root, "PV407", "OK")
        assert finding.subject.endswith(older.name)

    def test_attack_060_an_older_head_in_place_of_the_newest(
        self, forge: Forge, check: Check, store_run: Path
    ) -> None:
        (older, *_) = sorted(store_run.glob("*/head-*.sigstore.json"))
        (newest,) = forge.bundle.glob("runs/*/*/head-*.sigstore.json")
        newest.unlink()
        shutil.copy(older, newest)
        forge.sign()
        check(forge.root, "PV405", "FAILED")

    def test_attack_060_the_statement_of_another_release(
        self, release: Path, check: Check, made: Made, tmp_path: Path
    ) -> None:
        key = made.release.parent / "key.pem"
        payload = tmp_path / "payload"
        shutil.copytree(made.payload, payload)
        (payload / "README.md").write_bytes(b"A small model.")
        later = tmp_path / "later"
        provenance.release(
            made.store, payload=payload, to=later, after=release, key=key
        )
        check(later, "PV300", "OK")
        shutil.copy(later / STATEMENT, release / STATEMENT)
        (finding,) = check(release, "PV304", "FAILED")
        assert finding.subject == "README.md"

    def test_attack_060_a_run_that_the_release_does_not_name(
        self, forge: Forge, check: Check, other: Made
    ) -> None:
        runs = other.release / "provenance" / "runs"
        shutil.copytree(runs, forge.bundle / "runs", dirs_exist_ok=True)
        forge.sign()
        check(forge.root, "PV407", "OK")

    def test_attack_060_a_part_without_a_name(self, forge: Forge, check: Check) -> None:
        forge.put("runs/notes.txt", b"trust me")
        forge.sign()
        check(forge.root, "PV406", "REFUSED")


@pytest.mark.parametrize(
    ("sequence", "verdict", "code"),
    [
        (2**63 - 1, "REFUSED", "PV202"),
        (2**53, "REFUSED", "PV202"),
        (0, "REFUSED", "PV202"),
        (-1, "REFUSED", "PV202"),
        (2**53 - 1, "OK", "PV300"),
    ],
)
def test_attack_062_fast_forward(
    forge: Forge, check: Check, sequence: int, verdict: str, code: str
) -> None:
    def forward(said: Said) -> Said:
        said["predicate"] |= {"sequence": sequence, "predecessor": "ab" * 32}
        return said

    forge.write(release=forward)
    check(forge.root, code, verdict)


@pytest.mark.parametrize(
    ("sequence", "predecessor"), [(1, "ab" * 32), (2, None), (2, "x")]
)
def test_attack_062_a_place_in_the_line_that_makes_no_sense(
    forge: Forge, check: Check, sequence: int, predecessor: str | None
) -> None:
    def forward(said: Said) -> Said:
        said["predicate"] |= {"sequence": sequence, "predecessor": predecessor}
        return said

    forge.write(release=forward)
    check(forge.root, "PV202", "REFUSED")


@pytest.fixture
def leaves(made: Made) -> list[bytes]:
    """The ids of the statements of the recorded run."""
    said = Forge(made.release, made.signer).said
    return [bytes.fromhex(sha256(spell(one))) for one in said]


class TestAttack063Inclusion:
    """A proof for one place proves nothing about another."""

    def test_attack_063_the_real_proof(self, leaves: list[bytes]) -> None:
        root = merkle.root(leaves)
        for index, leaf in enumerate(leaves):
            proof = merkle.inclusion_proof(leaves, index)
            merkle.check_inclusion(
                proof, index=index, size=len(leaves), leaf=leaf, root=root
            )

    @pytest.mark.parametrize(
        "lie",
        [
            {"index": 4},
            {"index": -1},
            {"index": 17},
            {"index": 2**63},
            {"size": 16},
            {"size": 33},  # 18 has the same path: sizes come from signed heads
            {"size": 0},
            {"size": 5},
            {"leaf": bytes(32)},
            {"root": bytes(32)},
        ],
    )
    def test_attack_063_something_about_it_is_wrong(
        self, leaves: list[bytes], lie: dict[str, Any]
    ) -> None:
        proof = merkle.inclusion_proof(leaves, 5)
        true = {
            "index": 5,
            "size": len(leaves),
            "leaf": leaves[5],
            "root": merkle.root(leaves),
        }
        merkle.check_inclusion(proof, **true)
        with pytest.raises(ProofError):
            merkle.check_inclusion(proof, **(true | lie))

    def test_attack_063_the_proof_is_damaged(self, leaves: list[bytes]) -> None:
        proof = merkle.inclusion_proof(leaves, 5)
        flipped = [bytes([proof[0][0] ^ 1]) + proof[0][1:], *proof[1:]]
        for bad in (
            [],
            proof[1:],
            proof[:-1],
            [*proof, bytes(32)],
            proof[::-1],
            flipped,
            [proof[0][:31], *proof[1:]],
            [bytes(32)] * 64,
        ):
            with pytest.raises(ProofError):
                merkle.check_inclusion(
                    bad,
                    index=5,
                    size=len(leaves),
                    leaf=leaves[5],
                    root=merkle.root(leaves),
                )

    def test_attack_063_a_leaf_presented_as_a_node(self, leaves: list[bytes]) -> None:
        left, right = merkle.leaf_hash(leaves[0]), merkle.leaf_hash(leaves[1])
        proof = merkle.inclusion_proof(leaves, 0)[1:]
        with pytest.raises(ProofError):
            merkle.check_inclusion(
                proof, index=0, size=9, leaf=left + right, root=merkle.root(leaves)
            )


class TestAttack064Consistency:
    """A head that does not continue the one before."""

    @pytest.mark.parametrize("old", [0, 1, 8, 10, 16, 17])
    def test_attack_064_the_real_proof(self, leaves: list[bytes], old: int) -> None:
        merkle.check_consistency(
            merkle.consistency_proof(leaves, old),
            old=old,
            new=len(leaves),
            old_root=merkle.root(leaves[:old]),
            new_root=merkle.root(leaves),
        )

    @pytest.mark.parametrize(
        "lie",
        [
            {"old": 18},
            {"old": -1},
            {"old": 9},
            {"new": 16},
            {"new": 9},
            {"old_root": bytes(32)},
            {"new_root": bytes(32)},
            {"old": 17},
            {"old": 0},
        ],
    )
    def test_attack_064_something_about_it_is_wrong(
        self, leaves: list[bytes], lie: dict[str, Any]
    ) -> None:
        true = {
            "old": 10,
            "new": len(leaves),
            "old_root": merkle.root(leaves[:10]),
            "new_root": merkle.root(leaves),
        }
        proof = merkle.consistency_proof(leaves, 10)
        merkle.check_consistency(proof, **true)
        with pytest.raises(ProofError):
            merkle.check_consistency(proof, **(true | lie))

    def test_attack_064_equal_sizes_and_other_roots(self, leaves: list[bytes]) -> None:
        size = len(leaves)
        with pytest.raises(ProofError):
            merkle.check_consistency(
                [],
                old=size,
                new=size,
                old_root=merkle.root(leaves),
                new_root=merkle.root(leaves[::-1]),
            )

    @pytest.mark.parametrize("proof", [[bytes(32)], [bytes(32)] * 64])
    def test_attack_064_a_proof_for_nothing(
        self, leaves: list[bytes], proof: list[bytes]
    ) -> None:
        with pytest.raises(ProofError):
            merkle.check_consistency(
                proof,
                old=0,
                new=len(leaves),
                old_root=merkle.root([]),
                new_root=merkle.root(leaves),
            )


def with_predicate(**changes: object) -> Callable[[Said], Said]:
    def change(said: Said) -> Said:
        said["predicate"] |= changes
        return said

    return change


def recounted(**changes: int) -> Callable[[Said], Said]:
    """Change counts, and the size with them."""

    def change(said: Said) -> Said:
        said["predicate"]["counts"] |= changes
        said["predicate"]["size"] = sum(said["predicate"]["counts"].values())
        return said

    return change


class TestAttack065Heads:
    """Heads that say too little, too much, or something else."""

    @pytest.mark.parametrize(
        "missing", ["size", "root", "counts", "run", "writer", "time", "previous"]
    )
    def test_attack_065_a_field_is_missing(
        self, forge: Forge, check: Check, missing: str
    ) -> None:
        def forget(said: Said) -> Said:
            del said["predicate"][missing]
            return said

        forge.write(head=forget)
        check(forge.root, "PV401", "REFUSED")

    @pytest.mark.parametrize(
        "change",
        [{"size": 0}, {"size": 16}, {"size": 2**53}, {"root": "00"}, {"run": "x"}],
    )
    def test_attack_065_a_field_makes_no_sense(
        self, forge: Forge, check: Check, change: dict[str, object]
    ) -> None:
        forge.write(head=with_predicate(**change))
        check(forge.root, "PV401", "REFUSED")

    def test_attack_065_counts_that_are_not_those_of_the_ledger(
        self, forge: Forge, check: Check
    ) -> None:
        forge.write(head=recounted(gap=1, end=0))
        check(forge.root, "PV604", "REFUSED")

    def test_attack_065_a_kind_is_not_counted(self, forge: Forge, check: Check) -> None:
        def forget(said: Said) -> Said:
            del said["predicate"]["counts"]["gap"]
            return said

        forge.write(head=forget)
        check(forge.root, "PV401", "REFUSED")

    @pytest.mark.parametrize("gap", [1, 10**9])
    def test_attack_065_a_size_beyond_the_rows(
        self, forge: Forge, check: Check, gap: int
    ) -> None:
        bind = {}

        def enlarge(said: Said) -> Said:
            changed = recounted(gap=gap)(said)
            bind["size"] = changed["predicate"]["size"]
            return changed

        def agree(said: Said) -> Said:
            said["predicate"]["heads"][0] |= bind
            return said

        forge.write(head=enlarge, run_head=agree)
        check(forge.root, "PV504", "FAILED")

    def test_attack_065_a_size_below_the_rows(self, forge: Forge, check: Check) -> None:
        bind = {}

        def shrink(said: Said) -> Said:
            changed = recounted(end=0)(said)
            bind["size"] = changed["predicate"]["size"]
            return changed

        def agree(said: Said) -> Said:
            said["predicate"]["heads"][0] |= bind
            return said

        forge.write(head=shrink, run_head=agree)
        (finding,) = check(forge.root, "PV504", "FAILED")
        assert "more rows" in finding.sentence

    @pytest.mark.parametrize(
        "change", [{"root": "ab" * 32}, {"size": 5}, {"writer": "7" * 32}]
    )
    def test_attack_065_the_run_head_says_something_else(
        self, forge: Forge, check: Check, change: dict[str, object]
    ) -> None:
        def lie(said: Said) -> Said:
            said["predicate"]["heads"][0] |= change
            return said

        forge.write(run_head=lie)
        check(forge.root, "PV405", "FAILED")

    def test_attack_065_the_run_head_says_another_rank(
        self, forge: Forge, check: Check
    ) -> None:
        forge.logs[0].rank = 3
        forge.write()
        check(forge.root, "PV605", "REFUSED")

    @pytest.mark.parametrize("count", [0, 2])
    def test_attack_065_no_writer_or_one_twice(
        self, forge: Forge, check: Check, count: int
    ) -> None:
        def repeat(said: Said) -> Said:
            said["predicate"]["heads"] *= count
            return said

        forge.write(run_head=repeat)
        check(forge.root, "PV401", "REFUSED")

    @pytest.mark.parametrize("place", ["runs/*/*/head-*", "runs/*/head-*"])
    def test_attack_065_a_thousand_signatures(
        self, forge: Forge, check: Check, place: str
    ) -> None:
        forge.write()
        (head,) = forge.bundle.glob(place)
        found = json.loads(head.read_bytes())
        found["dsseEnvelope"]["signatures"] *= 1_000
        head.write_bytes(spell(found))
        forge.sign()
        check(forge.root, "PV401", "REFUSED")

    @pytest.mark.parametrize("place", ["runs/*/*/head-*", "runs/*/head-*"])
    def test_attack_065_a_wrong_hint(
        self, forge: Forge, check: Check, other: Made, place: str
    ) -> None:
        forge.write()
        (head,) = forge.bundle.glob(place)
        found = json.loads(head.read_bytes())
        hint = other.signer.public.id
        found["verificationMaterial"]["publicKey"]["hint"] = hint
        head.write_bytes(spell(found))
        forge.sign()
        check(forge.root, "PV401", "REFUSED")

    @pytest.mark.parametrize("place", ["runs/*/*/head-*", "runs/*/head-*"])
    def test_attack_065_a_head_signed_by_nobody(
        self, forge: Forge, check: Check, place: str
    ) -> None:
        forge.write()
        (head,) = forge.bundle.glob(place)
        found = json.loads(head.read_bytes())
        forged = json.loads(envelope.seal(b"{}", forge.signer))
        found["dsseEnvelope"]["signatures"] = forged["dsseEnvelope"]["signatures"]
        head.write_bytes(spell(found))
        forge.sign()
        check(forge.root, "PV402", "FAILED")

    def test_attack_065_a_statement_of_another_kind(
        self, forge: Forge, check: Check
    ) -> None:
        forge.write(head=lambda _: spell(forge.before))
        check(forge.root, "PV401", "REFUSED")
