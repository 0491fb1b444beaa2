"""Records whose signer is trusted and lies about how things were made."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from provenance.encoding import fingerprints
from provenance.model.fingerprint import FileEntry
from provenance.verify import check_bundle, step5_ledgers
from simulator import TIME, Forge, Log, Said, sha256, spell, trust

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Check
    from provenance.tables.rows import Row
    from simulator import Made

NOWHERE = "ab" * 32


def digest_of(said: Said) -> str:
    """Return the digest of what a statement is about."""
    return str(said["subject"][0]["digest"]["sha256"])


def sort_uses(step: Said) -> None:
    step["predicate"]["uses"].sort(key=lambda use: (use["role"], use["digest"]))


def uses_of(forge: Forge, role: str) -> list[Said]:
    """Return every edge with this role."""
    return [
        use
        for said in forge.said
        for use in said["predicate"].get("uses", [])
        if use["role"] == role
    ]


def drop_uses(forge: Forge, role: str) -> None:
    for said in forge.said:
        if "uses" in said["predicate"]:
            kept = [use for use in said["predicate"]["uses"] if use["role"] != role]
            said["predicate"]["uses"] = kept


def steps_of(forge: Forge, name: str) -> list[Said]:
    return [
        said
        for said in forge.said
        if said["predicate"].get("step", {}).get("name") == name
    ]


def told_of_data(forge: Forge) -> list[Said]:
    """Return all that is said about raw and clean data."""
    artifacts = [forge.artifact("raw"), forge.artifact("clean")]
    return [*artifacts, *steps_of(forge, "clean")]


def as_input(forge: Forge) -> list[Said]:
    """Return one edge, to the clean data."""
    return [uses_of(forge, "training-data")[0] | {"role": "input"}]


def new_step(forge: Forge, *, step_id: str = "5" * 32) -> Said:
    """Return a step that is like the one that made the clean data, but another."""
    said = copy.deepcopy(forge.step("clean"))
    said["predicate"]["step"]["id"] = step_id
    said["predicate"]["step"]["name"] = "again"
    said["predicate"]["entry"]["nonce"] = step_id
    return said


def second_ledger(forge: Forge) -> Log:
    """Return a second writer of the run, which has said nothing yet but hello."""
    hello = copy.deepcopy(forge.said[0])
    for said, rank in ((forge.said[0], 0), (hello, 1)):
        said["predicate"] |= {"rank": rank, "ranks": 2}
    writer = "1" * 32
    hello["predicate"]["entry"] |= {"writer": writer, "nonce": "2" * 32}
    log = Log(forge.logs[0].run, writer, 1, [hello])
    forge.logs.append(log)
    return log


def move(forge: Forge, said: list[Said], log: Log) -> None:
    """Let another writer say this."""
    for one in said:
        forge.said.remove(one)
        one["predicate"]["entry"]["writer"] = log.writer
        log.said.append(one)


def test_the_forger_changes_nothing(forge: Forge, check: Check) -> None:
    forge.write()
    check(forge.root, "PV900", "OK")


class TestAttack044Ids:
    def test_attack_044_an_id_that_is_not_the_hash(
        self, forge: Forge, check: Check
    ) -> None:
        def lie(listed: list[Row]) -> list[Row]:
            return [evolve(listed[0], id=bytes(32)), *listed[1:]]

        forge.write(rows=lie)
        check(forge.root, "PV503", "FAILED")

    def test_attack_044_one_id_for_two_statements(
        self, forge: Forge, check: Check
    ) -> None:
        def lie(listed: list[Row]) -> list[Row]:
            return [listed[0], evolve(listed[1], id=listed[0].id), *listed[2:]]

        forge.write(rows=lie)
        check(forge.root, "PV503", "FAILED")

    def test_attack_044_the_same_artifact_told_twice_is_one(
        self, forge: Forge, check: Check
    ) -> None:
        again = copy.deepcopy(forge.artifact("config"))
        again["predicate"]["entry"]["nonce"] = "3" * 32
        forge.said.insert(-1, again)
        forge.write()
        check(forge.root, "PV900", "OK")


class TestAttack045Cycles:
    def test_attack_045_a_step_uses_what_is_stated_later(
        self, forge: Forge, check: Check
    ) -> None:
        clean = forge.artifact("clean")
        made = steps_of(forge, "clean")
        for one in (clean, *made):
            forge.said.remove(one)
        forge.said[-1:-1] = [clean, *made]
        forge.write()
        found = check(forge.root, "PV701", "REFUSED")
        assert found[0].evidence["digest"] == digest_of(clean)
        assert "'train'" in found[0].sentence

    def test_attack_045_a_step_uses_its_own_product(
        self, forge: Forge, check: Check
    ) -> None:
        final = forge.artifact("final")
        forge.said.remove(final)
        at = forge.said.index(steps_of(forge, "train")[1])
        step = forge.said[at]
        use = dict(uses_of(forge, "training-data")[0])
        step["predicate"]["uses"].append(
            use | {"digest": digest_of(final), "role": "resumed-checkpoint"}
        )
        sort_uses(step)
        forge.said.insert(at + 1, final)
        forge.write()
        check(forge.root, "PV701", "REFUSED")

    def test_attack_045_two_ledgers_wait_for_each_other(
        self, forge: Forge, check: Check
    ) -> None:
        log = second_ledger(forge)
        config, clean = forge.artifact("config"), forge.artifact("clean")
        # The config is told by the other writer, and only after a step that uses what
        # the first writer tells only after the training that uses the config.
        needs_clean = new_step(forge)
        needs_clean["subject"][0]["digest"]["sha256"] = NOWHERE
        needs_clean["predicate"]["uses"] = as_input(forge)
        forge.said.append(needs_clean)
        made = steps_of(forge, "clean")
        for one in (clean, *made):
            forge.said.remove(one)
        at = forge.said.index(steps_of(forge, "train")[-1]) + 1
        forge.said[at:at] = [clean, *made]
        move(forge, [needs_clean, config], log)
        forge.write()
        check(forge.root, "PV701", "REFUSED")

    def test_attack_045_two_ledgers_that_help_each_other_are_legal(
        self, forge: Forge, check: Check
    ) -> None:
        log = second_ledger(forge)
        told = [
            forge.artifact("raw"),
            forge.artifact("clean"),
            *steps_of(forge, "clean"),
        ]
        move(forge, told, log)
        forge.write()
        check(forge.root, "PV700", "OK")

    def test_attack_045_a_step_that_changes_nothing_is_legal(
        self, forge: Forge, check: Check
    ) -> None:
        again = new_step(forge)
        again["predicate"]["uses"] = [
            uses_of(forge, "training-data")[0] | {"role": "input"}
        ]
        forge.said.insert(forge.said.index(forge.artifact("config")), again)
        forge.write()
        (finding,) = check(forge.root, "PV702", "OK")
        assert finding.outcome == "warn"
        assert finding.evidence["digest"] == digest_of(forge.artifact("clean"))


class TestAttack046Dangling:
    def test_attack_046_an_edge_to_nothing(self, forge: Forge, check: Check) -> None:
        for use in uses_of(forge, "config"):
            use["digest"] = NOWHERE
        for step in steps_of(forge, "train"):
            sort_uses(step)
        forge.write()
        (finding,) = check(forge.root, "PV803", "INCOMPLETE")
        assert finding.evidence["digest"] == NOWHERE

    def test_attack_046_a_checkpoint_that_nobody_made(
        self, forge: Forge, check: Check
    ) -> None:
        forge.said.remove(steps_of(forge, "train")[1])
        forge.write()
        (finding,) = check(forge.root, "PV804", "INCOMPLETE")
        assert finding.subject == "final"

    def test_attack_046_a_dataset_without_source(
        self, forge: Forge, check: Check
    ) -> None:
        forge.artifact("raw")["predicate"]["facts"] = [["", "dict", "0"]]
        forge.write()
        (finding,) = check(forge.root, "PV805", "OK")
        assert finding.outcome == "warn"

    def test_attack_046_a_base_model_is_a_legitimate_root(
        self, forge: Forge, check: Check
    ) -> None:
        use_base_model(forge)
        forge.write()
        check(forge.root, "PV900", "OK")
        codes = {one.code for one in check_bundle(forge.root).findings}
        assert codes.isdisjoint({"PV803", "PV804", "PV805"})


def use_base_model(forge: Forge) -> Said:
    """Let the training begin with a model that somebody else has made."""
    base = copy.deepcopy(forge.artifact("step-1"))
    base["predicate"] |= {"kind": "model", "name": "base"}
    base["subject"][0]["name"] = "base"
    base["predicate"]["entry"]["nonce"] = "4" * 32
    # Another content, so that no step has produced it.
    base["subject"][1]["digest"]["sha256"] = "cd" * 32
    refingerprint(base)
    forge.said.insert(1, base)
    use: Said = {
        "digest": digest_of(base),
        "name": "base",
        "role": "base-model",
        "run": base["predicate"]["entry"]["run"],
    }
    for step in steps_of(forge, "train"):
        step["predicate"]["uses"].append(use)
        sort_uses(step)
    return base


def refingerprint(said: Said) -> None:
    """Let the fingerprint of a tree follow from its files again."""
    files = [
        FileEntry(
            path=one["name"].encode(),
            size=described["bytes"],
            sha256=one["digest"]["sha256"],
        )
        for one, described in zip(
            said["subject"][1:], said["predicate"]["files"], strict=True
        )
    ]
    found = fingerprints.tree(files)
    said["predicate"]["fingerprint"] = fingerprints.document(found)
    said["subject"][0]["digest"]["sha256"] = found.digest


class TestAttack047OtherRuns:
    def test_attack_047_an_edge_to_a_run_that_is_not_here(
        self, forge: Forge, check: Check
    ) -> None:
        for use in uses_of(forge, "config"):
            use["run"] = "9" * 32
        forge.write()
        (finding,) = check(forge.root, "PV807", "OK")
        assert finding.subject == "9" * 32
        assert finding.outcome == "warn"

    def test_attack_047_what_that_run_says_is_missing(
        self, forge: Forge, check: Check
    ) -> None:
        for use in uses_of(forge, "config"):
            use["run"] = "9" * 32
        forge.said.remove(forge.artifact("config"))
        forge.write()
        check(forge.root, "PV807", "INCOMPLETE")
        check(forge.root, "PV803", "INCOMPLETE")

    def test_attack_047_an_edge_to_a_run_that_is_here(
        self, forge: Forge, check: Check, other: Made
    ) -> None:
        (foreign,) = Forge(other.release, other.signer).logs
        forge.logs.append(foreign)
        wanted = next(
            said
            for said in foreign.said
            if said["predicate"].get("name") == "config"  # type: ignore[index]
        )
        for use in uses_of(forge, "config"):
            use["run"] = foreign.run
        assert digest_of(wanted) == uses_of(forge, "config")[0]["digest"]  # type: ignore[arg-type]
        forge.write()
        check(forge.root, "PV900", "OK")
        codes = {one.code for one in check_bundle(forge.root).findings}
        assert "PV807" not in codes


class TestAttack048Replay:
    def test_attack_048_a_statement_of_another_run(
        self, forge: Forge, check: Check, other: Made
    ) -> None:
        foreign = Forge(other.release, other.signer).artifact("config")
        at = forge.said.index(forge.artifact("config"))
        forge.said[at] = foreign
        forge.write()
        check(forge.root, "PV602", "FAILED")

    def test_attack_048_a_gap_about_another_run(
        self, forge: Forge, check: Check, other: Made
    ) -> None:
        foreign = Forge(other.release, other.signer).said[-1]
        forge.said[-1]["subject"] = foreign["subject"]
        forge.write()
        check(forge.root, "PV605", "REFUSED")

    def test_attack_048_the_head_of_another_run(
        self, forge: Forge, check: Check
    ) -> None:
        def rename(said: Said) -> Said:
            said["predicate"]["run"] = "9" * 32
            return said

        forge.write(run_head=rename)
        check(forge.root, "PV405", "FAILED")

    def test_attack_048_a_ledger_head_of_another_writer(
        self, forge: Forge, check: Check
    ) -> None:
        def rename(said: Said) -> Said:
            said["predicate"]["writer"] = "9" * 32
            return said

        forge.write(head=rename)
        check(forge.root, "PV405", "FAILED")

    def test_attack_048_a_release_of_another_line(
        self, release: Path, check: Check, made: Made, tmp_path: Path
    ) -> None:
        check(release, "PV206", "FAILED", line="huge")
        check(release, "PV200", "OK", line="tiny")
        known = {"alice": made.signer.public}
        policy = trust(tmp_path / "t.toml", known, more='lines = ["huge"]')
        check(release, "PV206", "FAILED", trust=policy)


class TestAttack049Edges:
    @pytest.mark.parametrize(
        "lie",
        [
            {"uses": ()},
            {"uses": ((bytes(32), "code"),)},
            {"subjects": (("other", bytes(32)),)},
            {"subjects": ()},
            {"kind": "gap"},
            {"time": TIME},
            {"time": None},
        ],
    )
    def test_attack_049_the_columns_contradict_the_statement(
        self, forge: Forge, check: Check, lie: dict[str, Any]
    ) -> None:
        at = forge.said.index(forge.step("train"))

        def change(listed: list[Row]) -> list[Row]:
            return [evolve(row, **lie) if row.index == at else row for row in listed]

        forge.write(rows=change)
        check(forge.root, "PV603", "REFUSED")

    def test_attack_049_an_edge_outside_the_signature(
        self, release: Path, check: Check
    ) -> None:
        (segment,) = release.glob("provenance/runs/*/*/rows-000000000000.parquet")
        data = segment.read_bytes().replace(b"training-data", b"evaluati-data")
        assert data != segment.read_bytes()
        segment.write_bytes(data)
        check(release, "PV304", "FAILED")


class TestAttack050Roles:
    def roles(self, made: Made, tmp_path: Path, *roles: str) -> Path:
        listed = ", ".join(f'"{role}"' for role in roles)
        more = f"[require]\nroles = [{listed}]"
        known = {"alice": made.signer.public}
        return trust(tmp_path / "roles.toml", known, more=more)

    def test_attack_050_an_evaluation_set_claimed_as_training_set(
        self, forge: Forge, check: Check, made: Made, tmp_path: Path
    ) -> None:
        for use in uses_of(forge, "training-data"):
            use["role"] = "evaluation-data"
        for step in steps_of(forge, "train"):
            sort_uses(step)
        forge.write()
        (finding,) = check(forge.root, "PV901", "INCOMPLETE")
        assert finding.subject == "training-data"
        policy = self.roles(made, tmp_path, "training-data")
        check(forge.root, "PV902", "FAILED", trust=policy)

    def test_attack_050_a_role_that_no_step_says_is_not_shown(
        self, release: Path, check: Check, made: Made, tmp_path: Path
    ) -> None:
        # Raw data is input to the cleaning; that it is also called a dataset, and
        # that an evaluation used the clean data, makes neither of them base models.
        policy = self.roles(made, tmp_path, "input", "training-data")
        found = check(release, "PV900", "OK", trust=policy)
        assert {one.subject for one in found} == {"input", "training-data"}
        policy = self.roles(made, tmp_path, "base-model")
        check(release, "PV902", "FAILED", trust=policy)
        # The evaluation used the model; it is not on the way to it.
        policy = self.roles(made, tmp_path, "evaluation-data")
        check(release, "PV902", "FAILED", trust=policy)

    def test_attack_050_a_checkpoint_recorded_as_a_dataset(
        self, forge: Forge, check: Check
    ) -> None:
        forge.artifact("final")["predicate"]["kind"] = "dataset"
        forge.write()
        found = check(forge.root, "PV800", "OK")
        assert all("checkpoint" not in finding.sentence for finding in found)

    @pytest.mark.parametrize("kind", ["config", "code", "evaluation", "weights"])
    def test_attack_050_a_checkpoint_recorded_as_what_it_cannot_be(
        self, forge: Forge, check: Check, kind: str
    ) -> None:
        forge.artifact("final")["predicate"]["kind"] = kind
        forge.write()
        check(forge.root, "PV601", "REFUSED")

    def test_attack_050_a_role_of_nobody(self, forge: Forge, check: Check) -> None:
        uses_of(forge, "config")[0]["role"] = "blessing"
        forge.write()
        check(forge.root, "PV601", "REFUSED")


class TestAttack051Ancestors:
    @pytest.mark.parametrize("role", ["training-data", "code", "config"])
    def test_attack_051_an_ancestor_is_missing(
        self, forge: Forge, check: Check, made: Made, tmp_path: Path, role: str
    ) -> None:
        drop_uses(forge, role)
        forge.write()
        (finding,) = check(forge.root, "PV901", "INCOMPLETE")
        assert finding.subject == role
        more = f'[require]\nroles = ["{role}"]'
        policy = trust(tmp_path / "t.toml", {"alice": made.signer.public}, more=more)
        check(forge.root, "PV902", "FAILED", trust=policy)

    def test_attack_051_the_record_of_an_ancestor_is_stripped(
        self, forge: Forge, check: Check
    ) -> None:
        forge.said.remove(forge.artifact("clean"))
        for step in steps_of(forge, "clean"):
            forge.said.remove(step)
        forge.write()
        (finding,) = check(forge.root, "PV803", "INCOMPLETE")
        assert finding.subject == "clean"

    def test_attack_051_the_record_is_about_something_else(
        self, forge: Forge, check: Check
    ) -> None:
        forge.said[:] = [forge.said[0], forge.said[-1]]
        forge.write()
        check(forge.root, "PV801", "REFUSED")


class TestAttack052Padding:
    def padded(self, forge: Forge, other: Made) -> Log:
        (foreign,) = Forge(other.release, other.signer).logs
        # Told as another story, so that nothing in it joins this one.
        kept: list[Any] = [
            said
            for said in foreign.said
            if said["predicateType"].endswith((":run:1", ":end:1"))  # type: ignore[index,union-attr]
        ]
        foreign.said[:] = kept
        forge.logs.append(foreign)
        return foreign

    def test_attack_052_a_run_that_has_nothing_to_do_with_it(
        self, forge: Forge, check: Check, other: Made
    ) -> None:
        padding = self.padded(forge, other)
        forge.write()
        (finding,) = check(forge.root, "PV808", "OK")
        assert finding.subject == padding.run
        assert finding.outcome == "warn"

    def test_attack_052_padding_never_counts(
        self, forge: Forge, check: Check, other: Made
    ) -> None:
        drop_uses(forge, "code")
        unrelated = new_step(forge)
        unrelated["subject"][0]["digest"]["sha256"] = NOWHERE
        code = forge.artifact("code")
        unrelated["predicate"]["uses"] = [
            {
                "digest": digest_of(code),
                "name": "code",
                "role": "code",
                "run": code["predicate"]["entry"]["run"],
            }
        ]
        forge.said.insert(-1, unrelated)
        self.padded(forge, other)
        forge.write()
        (finding,) = check(forge.root, "PV901", "INCOMPLETE")
        assert finding.subject == "code"

    def test_attack_052_padding_signed_by_others(
        self, forge: Forge, check: Check, other: Made
    ) -> None:
        self.padded(forge, other)
        forge.run_signer = other.signer
        forge.write()
        check(forge.root, "PV403", "INCOMPLETE")


def test_attack_053_several_steps_claim_one_product(forge: Forge, check: Check) -> None:
    forge.said.insert(-1, new_step(forge))
    forge.write()
    (finding,) = check(forge.root, "PV703", "OK")
    assert finding.outcome == "warn"
    assert "again, clean" in finding.sentence


class TestAttack054Sizes:
    """Iterative algorithms, and caps."""

    def test_attack_054_a_chain_of_3000_steps(self, forge: Forge, check: Check) -> None:
        first = forge.artifact("clean")
        template = new_step(forge)
        before = digest_of(first)
        chain = []
        for number in range(3_000):
            step = copy.deepcopy(template)
            step["predicate"]["step"]["id"] = f"{number:032x}"
            step["predicate"]["entry"]["nonce"] = f"{number:032x}"
            use = template["predicate"]["uses"][0] | {"digest": before}
            # Parallel edges: the same thing in two roles.
            step["predicate"]["uses"] = [use | {"role": r} for r in ("config", "input")]
            before = sha256(str(number).encode())
            step["subject"][0]["digest"]["sha256"] = before
            chain.append(step)
        at = forge.said.index(forge.artifact("config"))
        forge.said[at:at] = chain
        for use in uses_of(forge, "training-data"):
            use["digest"] = before
        for step in steps_of(forge, "train"):
            sort_uses(step)
        forge.write()
        # Only the artifacts in between are not recorded.
        found = check(forge.root, "PV803", "INCOMPLETE")
        assert len(found) == 3_000

    def test_attack_054_more_statements_than_memory(
        self, forge: Forge, check: Check, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        size = sum(len(spell(said)) for said in forge.said)
        monkeypatch.setattr(step5_ledgers, "MAX_RECORD", size)
        check(forge.root, "PV500", "OK")
        monkeypatch.setattr(step5_ledgers, "MAX_RECORD", size - 1)
        check(forge.root, "PV502", "REFUSED")

    def test_attack_054_the_limit_holds_for_all_ledgers_together(
        self, forge: Forge, check: Check, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = second_ledger(forge)
        told = [
            forge.artifact("raw"),
            forge.artifact("clean"),
            *steps_of(forge, "clean"),
        ]
        move(forge, told, log)
        forge.write()
        size = sum(len(spell(said)) for log in forge.logs for said in log.said)  # type: ignore[arg-type]
        monkeypatch.setattr(step5_ledgers, "MAX_RECORD", size)
        check(forge.root, "PV500", "OK")
        monkeypatch.setattr(step5_ledgers, "MAX_RECORD", size - 1)
        check(forge.root, "PV502", "REFUSED")
