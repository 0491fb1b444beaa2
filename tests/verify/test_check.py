"""Verifying as a whole: arguments, verdicts, and what happens when we fail."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from provenance.errors import UsageError, VerificationError
from provenance.verify import (
    check,
    check_bundle,
    load_policy,
    step8_payload,
    verify_bundle,
)
from simulator import trust

if TYPE_CHECKING:
    from pathlib import Path

    from simulator import Forge, Made


class TestArguments:
    def test_an_unknown_profile(self, release: Path) -> None:
        with pytest.raises(UsageError, match="'ftp' is not a profile; there is 'hf'"):
            check_bundle(release, profile="ftp")

    def test_paths_as_text(self, release: Path, made: Made) -> None:
        assert check_bundle(str(release), trust=str(made.trust)).verdict == "OK"

    def test_a_policy_as_a_value(self, release: Path, made: Made) -> None:
        policy = load_policy(made.trust)
        assert check_bundle(release, trust=policy).verdict == "OK"

    def test_progress_adds_up_to_the_payload(self, release: Path, made: Made) -> None:
        seen: list[int] = []
        check_bundle(release, trust=made.trust, progress=seen.append)
        payload = [
            path.stat().st_size
            for path in release.rglob("*")
            if path.is_file() and "provenance" not in path.relative_to(release).parts
        ]
        assert sum(seen) == sum(payload)


class TestVerifyBundle:
    def test_it_returns_the_report_of_a_good_release(
        self, release: Path, made: Made
    ) -> None:
        assert verify_bundle(release, trust=made.trust).verdict == "OK"

    def test_it_raises_with_what_stands_against_the_release(
        self, release: Path, made: Made
    ) -> None:
        (release / "config.json").unlink()
        with pytest.raises(VerificationError) as caught:
            verify_bundle(release, trust=made.trust)
        assert caught.value.verdict == "FAILED"
        assert caught.value.findings == ("'config.json' is signed and not here",)
        assert caught.value.report == check_bundle(release, trust=made.trust)
        assert str(caught.value).startswith("FAILED\n- 'config.json'")

    def test_a_policy_that_cannot_be_used(self, release: Path, tmp_path: Path) -> None:
        with pytest.raises(VerificationError, match="cannot read the policy"):
            verify_bundle(release, trust=tmp_path / "nothing")


class TestVerdicts:
    def test_without_trust_nothing_is_better_than_incomplete(
        self, release: Path
    ) -> None:
        report = check_bundle(release)
        assert (report.verdict, report.exit_code) == ("INCOMPLETE", 3)
        assert report.complete

    def test_a_fail_of_the_second_step_ends_it(self, release: Path, made: Made) -> None:
        (release / "config.json").unlink()
        report = check_bundle(release, trust=made.trust, line="other")
        assert [finding.code for finding in report.findings][-1] == "PV206"
        assert not report.complete
        # What the release says of itself is shown nevertheless.
        assert report.release is not None
        assert report.release.line == "tiny"

    def test_what_was_not_gone_through_is_not_ok(
        self, release: Path, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(step8_payload, "check_payload", lambda *_: None)
        report = check_bundle(release, trust=made.trust)
        assert (report.verdict, report.exit_code) == ("ERROR", 4)

    def test_a_fault_of_ours_is_told_as_one(
        self,
        release: Path,
        made: Made,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def fail(*_: object) -> None:
            message = "oh dear"
            raise ZeroDivisionError(message)

        monkeypatch.setattr(step8_payload, "check_payload", fail)
        report = check_bundle(release, trust=made.trust)
        assert report.verdict == "ERROR"
        assert report.findings[-1].code == "PV002"
        assert "ZeroDivisionError" in report.findings[-1].sentence
        assert "oh dear" in caplog.text  # with the place in the code

    def test_a_fault_of_ours_does_not_hide_what_was_found(
        self, release: Path, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (release / "config.json").unlink()
        monkeypatch.delattr(step8_payload, "check_payload")
        report = check_bundle(release, trust=made.trust)
        assert report.verdict == "FAILED"

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_an_interruption_is_not_a_finding(
        self,
        release: Path,
        made: Made,
        monkeypatch: pytest.MonkeyPatch,
        error: type[BaseException],
    ) -> None:
        def stop(*_: object) -> None:
            raise error

        monkeypatch.setattr(check.step7_graph, "check_graph", stop)
        with pytest.raises(error):
            check_bundle(release, trust=made.trust)

    def test_without_a_process_for_tables_it_cannot_be_checked(
        self, release: Path, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        report = check_bundle(release, trust=made.trust)
        assert report.verdict == "ERROR"
        assert report.findings[-1].code == "PV505"


class TestReports:
    def test_the_report_as_json(self, release: Path, made: Made) -> None:
        report = check_bundle(release, trust=made.trust)
        told = json.loads(json.dumps(report.to_json()))
        assert list(told) == [
            "format",
            "version",
            "verdict",
            "freshness",
            "release",
            "signers",
            "findings",
        ]
        assert told["format"] == "training-provenance-report"
        assert told["version"] == 1
        assert told["verdict"] == "OK"
        assert told["freshness"] == "unknown"
        assert told["release"]["line"] == "tiny"
        assert told["release"]["files"] == len(list_of_files(release)) - 1
        assert told["signers"][0] == {
            "key": made.signer.public.id,
            "name": "alice",
            "signed": "release",
        }
        assert set(told["findings"][0]) == {
            "code",
            "name",
            "outcome",
            "subject",
            "sentence",
            "evidence",
        }

    def test_a_report_without_a_release(self, tmp_path: Path) -> None:
        told = check_bundle(tmp_path).to_json()
        assert told["release"] is None
        assert told["signers"] == []
        assert told["verdict"] == "REFUSED"


def list_of_files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


class TestRemarks:
    """What a record admits of itself is said, and is nothing against it."""

    @pytest.mark.parametrize("outcome", ["failed", "interrupted"])
    def test_a_run_that_did_not_complete(
        self, forge: Forge, made: Made, outcome: str
    ) -> None:
        forge.said[-1]["predicate"]["outcome"] = outcome
        forge.write()
        report = check_bundle(forge.root, trust=made.trust)
        told = [finding for finding in report.findings if finding.code == "PV610"]
        assert [one.sentence for one in told] == [f"the run 'tiny' ended as {outcome}"]
        assert report.verdict == "OK"

    def test_lines_that_the_policy_allows(
        self, release: Path, made: Made, tmp_path: Path
    ) -> None:
        known = {"alice": made.signer.public}
        policy = trust(tmp_path / "trust.toml", known, more='lines = ["tiny"]')
        assert check_bundle(release, trust=policy).verdict == "OK"
