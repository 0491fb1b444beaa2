"""The steps one by one, where the whole does not come easily."""

from __future__ import annotations

import copy
import os
import re
import shutil
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import provenance
from provenance.encoding import fingerprints
from provenance.errors import ChangedError, NotRegularError, UnreadableError
from provenance.fingerprint.walk import Listed
from provenance.model.fingerprint import FileEntry
from provenance.tables import write
from provenance.tables.read import Reader
from provenance.verify import check_bundle, findings, step3_content
from provenance.verify.findings import CATALOGUE, EXIT_CODES, OUTCOMES, VERDICTS
from provenance.verify.step1_files import Files
from provenance.verify.step4_heads import check_heads
from simulator import STATEMENT, Forge, Log, Said, sha256, spell, subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Steps
    from simulator import Made


class TestCatalogue:
    def test_codes_names_and_outcomes_belong_together(self) -> None:
        assert len({name for name, _ in CATALOGUE.values()}) == len(CATALOGUE)
        assert list(CATALOGUE) == sorted(CATALOGUE)
        for code, (name, outcome) in CATALOGUE.items():
            assert re.fullmatch(r"PV[0-9]{3}", code)
            assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
            assert outcome in OUTCOMES
        assert list(VERDICTS) == list(OUTCOMES)
        assert set(VERDICTS.values()) == set(EXIT_CODES)
        assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)

    def test_the_worst_decides(self) -> None:
        found = findings.Findings()
        assert found.worst == "error"  # nothing checked is nothing passed
        worst = []
        for code in ("PV100", "PV107", "PV404", "PV204", "PV105", "PV301", "PV101"):
            found.add(code, "x", "x")
            worst.append(found.worst)
        assert worst == list(OUTCOMES)


class TestStep1Reading:
    def test_a_file_that_grew(self, steps: Steps) -> None:
        files = steps.files()
        with (steps.root / "config.json").open("ab") as file:
            file.write(b"more")
        with pytest.raises(ChangedError, match="config"):
            files.read("config.json")

    def test_a_file_that_became_a_fifo(self, steps: Steps) -> None:
        files = steps.files()
        (steps.root / "config.json").unlink()
        os.mkfifo(steps.root / "config.json")
        with pytest.raises(NotRegularError, match="a FIFO"):
            files.read("config.json")

    def test_a_file_that_cannot_be_read_to_its_end(self) -> None:
        # Nothing is mapped at address 0, so reading there is an error of the system.
        listed = {"mem": Listed(b"mem", 10, stat.S_IFREG)}
        files = Files(root=Path("/proc/self"), listed=listed)
        with pytest.raises(UnreadableError, match="mem"):
            files.read("mem")


class TestStep2Reading:
    def test_the_statement_is_replaced_after_it_was_listed(self, steps: Steps) -> None:
        files = steps.files()
        (steps.root / STATEMENT).unlink()
        os.mkfifo(steps.root / STATEMENT)
        assert steps.signed(files) is None
        assert steps.codes[-1] == "PV105"

    def test_a_key_is_replaced_after_it_was_listed(self, steps: Steps) -> None:
        files = steps.files()
        (key,) = steps.root.glob("provenance/keys/*.pem")
        key.unlink()
        signed = steps.signed(files)
        assert signed is not None
        assert signed.shipped == {}


class TestStep3Record:
    def test_a_part_that_is_too_large(
        self, release: Path, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(step3_content, "MAX_RECORD_FILE", 1_000)
        report = check_bundle(release, trust=made.trust)
        assert (report.verdict, report.findings[-1].code) == ("REFUSED", "PV104")

    def test_parts_that_are_too_large_together(
        self, release: Path, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(step3_content, "MAX_RECORD_BYTES", 10_000)
        report = check_bundle(release, trust=made.trust)
        assert (report.verdict, report.findings[-1].code) == ("REFUSED", "PV104")

    def test_a_part_is_replaced_after_it_was_listed(
        self, release: Path, steps: Steps
    ) -> None:
        files = steps.files()
        signed = steps.signed(files)
        assert signed is not None
        (head,) = release.glob("provenance/runs/*/head-*")
        head.unlink()
        with Reader() as tables:
            content = step3_content.check_content(
                files, signed, tables, None, steps.findings
            )
        assert content is not None
        assert steps.codes[-1] == "PV306"
        assert check_heads(signed, content, steps.policy, steps.findings) is None
        assert steps.codes[-1] == "PV405"


@pytest.fixture(scope="module")
def large(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("large")
    payload = folder / "payload"
    payload.mkdir()
    shutil.copy(made.payload / "config.json", payload)
    for number in range(10_001):
        (payload / f"{number}.txt").write_bytes(b"%d" % number)
    provenance.release(
        made.store,
        payload=payload,
        to=folder / "release",
        key=made.release.parent / "key.pem",
    )
    release = folder / "release"
    assert check_bundle(release, trust=made.trust).verdict == "OK"
    yield release
    assert check_bundle(release, trust=made.trust).verdict == "OK"


class TestStep3Manifests:
    """A release of more than 10,000 files lists them in a table."""

    @pytest.fixture
    def manifest(self, large: Path) -> Iterator[Path]:
        """The table; it is as before after each test."""
        (found,) = large.glob("provenance/tables/*.parquet")
        before = found.read_bytes()
        yield found
        found.write_bytes(before)

    def verdict(self, large: Path, made: Made) -> tuple[str, str]:
        report = check_bundle(large, trust=made.trust)
        bad = ("fail", "refuse", "error")
        against = [one.code for one in report.findings if one.outcome in bad]
        return report.verdict, against[0]

    def test_a_changed_file(self, large: Path, made: Made) -> None:
        place = large / "5000.txt"
        place.write_bytes(b"5001")
        assert self.verdict(large, made) == ("FAILED", "PV304")
        place.write_bytes(b"5000")

    def test_an_extra_file(self, large: Path, made: Made) -> None:
        (large / "more.txt").write_bytes(b"")
        assert self.verdict(large, made) == ("FAILED", "PV302")
        (large / "more.txt").unlink()

    def test_an_extra_table(self, large: Path, made: Made) -> None:
        extra = large / "provenance" / "tables" / f"{'0' * 64}.parquet"
        extra.write_bytes(b"")
        assert self.verdict(large, made) == ("FAILED", "PV302")
        extra.unlink()

    def test_no_table(self, large: Path, made: Made, manifest: Path) -> None:
        manifest.unlink()
        assert self.verdict(large, made) == ("FAILED", "PV304")

    def test_another_table(self, large: Path, made: Made, manifest: Path) -> None:
        data = bytearray(manifest.read_bytes())
        data[1000] ^= 1
        manifest.write_bytes(data)
        assert self.verdict(large, made) == ("FAILED", "PV304")
        manifest.write_bytes(bytes(data) + b"x")
        assert self.verdict(large, made) == ("FAILED", "PV304")

    def test_the_table_cannot_be_read(
        self, large: Path, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        assert self.verdict(large, made) == ("ERROR", "PV306")

    def test_the_table_is_too_large(
        self, large: Path, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(step3_content, "MAX_RECORD_FILE", 10_000)
        assert self.verdict(large, made) == ("REFUSED", "PV307")

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(lambda entries: entries[:-1], id="a file less"),
            pytest.param(
                lambda entries: [
                    *entries[:-1],
                    FileEntry(path=b"~", size=1, sha256="0" * 64),
                ],
                id="a bad name",
            ),
            pytest.param(lambda _: None, id="no table"),
        ],
    )
    def test_attack_095_the_table_is_a_lie_of_the_signer(
        self,
        large: Path,
        made: Made,
        manifest: Path,
        change: Callable[[list[FileEntry]], list[FileEntry] | None],
    ) -> None:
        with Reader() as tables:
            entries = change(tables.manifest(manifest.read_bytes()))
        table = write.manifest(entries) if entries is not None else b"hello"
        signature = (large / STATEMENT).read_bytes()
        forge = Forge(large, made.signer)
        forge.put(f"tables/{sha256(table)}.parquet", table)

        def lie(said: Said) -> bytes:
            told = copy.deepcopy(forge.before)
            manifest = {"bytes": len(table), "sha256": sha256(table)}
            told["predicate"]["manifest"] = manifest
            told["subject"] = [subject("tiny", sha256(spell(told["predicate"])))]
            assert said
            return spell(told)

        forge.sign(lie)
        assert self.verdict(large, made) == ("REFUSED", "PV307")
        (large / STATEMENT).write_bytes(signature)
        (forge.bundle / f"tables/{sha256(table)}.parquet").unlink()


class TestStep6:
    def test_the_writers_of_a_run_tell_of_one_run(
        self, forge: Forge, made: Made
    ) -> None:
        hello = copy.deepcopy(forge.said[0])
        for said, rank in ((forge.said[0], 0), (hello, 1)):
            said["predicate"] |= {"rank": rank, "ranks": 2}
        hello["predicate"]["entry"]["writer"] = "1" * 32
        hello["predicate"]["document"]["name"] = "another"
        document = sha256(spell(hello["predicate"]["document"]))
        hello["subject"][0]["digest"]["sha256"] = document
        forge.logs.append(Log(forge.logs[0].run, "1" * 32, 1, [hello]))
        forge.write()
        report = check_bundle(forge.root, trust=made.trust)
        assert (report.verdict, report.findings[-1].code) == ("REFUSED", "PV605")
        assert "tell of different runs" in report.findings[-1].sentence

    def test_without_a_process_for_tables_a_list_of_files_cannot_be_read(
        self, forge: Forge, steps: Steps, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        listed_in_a_table(forge)
        forge.write()
        with Reader() as tables:
            content = steps.content(tables)
            assert content is not None
            ledgers = steps.ledgers(content, tables)
        assert ledgers is not None
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        with Reader() as tables:
            assert steps.story(ledgers, content, tables) is None
        assert steps.codes[-1] == "PV505"


def listed_in_a_table(forge: Forge) -> None:
    """Let the raw data be more files than a statement lists, one of them empty."""
    entries = [
        FileEntry(path=b"%05d" % at, size=1, sha256=sha256(b"%d" % at))
        for at in range(10_000)
    ]
    entries.append(FileEntry(path=b"x", size=0, sha256=sha256(b"")))
    table = write.manifest(entries)
    found = fingerprints.tree(entries)
    raw = forge.artifact("raw")
    before = raw["subject"][0]["digest"]["sha256"]
    raw["predicate"] |= {
        "files": [],
        "fingerprint": fingerprints.document(found),
        "manifest": {"bytes": len(table), "sha256": sha256(table)},
    }
    raw["subject"] = [subject("raw", found.digest)]
    for said in forge.said:
        for use in said["predicate"].get("uses", []):
            if use["digest"] == before:
                use["digest"] = found.digest
    forge.put(f"tables/{sha256(table)}.parquet", table)


class TestStep7Manifests:
    def test_a_payload_joins_by_a_file_in_a_table_and_an_empty_one_joins_nothing(
        self, forge: Forge, made: Made
    ) -> None:
        listed_in_a_table(forge)
        (forge.root / "README.md").write_bytes(b"77")
        forge.write()
        report = check_bundle(forge.root, trust=made.trust)
        assert report.verdict == "OK"
        told = {f.subject: f.code for f in report.findings if f.code[:3] == "PV8"}
        assert told["README.md"] == "PV800"
        assert told["sub/empty.txt"] == "PV802"
