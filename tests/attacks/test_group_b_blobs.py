"""Content that comes along with a record, and is not what it seems to be."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import simulator
from provenance.encoding import statements
from provenance.verify import check_bundle
from simulator import Forge, Made, sha256

if TYPE_CHECKING:
    from conftest import Check

TRAIN = b"print('training')\n"
LOOSE = b"import evil\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A release with the code that was recorded."""
    folder = tmp_path_factory.mktemp("made")
    return simulator.record(folder, code=folder / "code")


@pytest.fixture
def blob(release: Path) -> Path:
    """The one file of code in it."""
    (found,) = (release / "provenance" / "blobs").iterdir()
    assert (found.name, found.read_bytes()) == (sha256(TRAIN), TRAIN)
    return found


def _is_ok(release: Path, made: Made) -> set[str]:
    report = check_bundle(release, trust=made.trust)
    assert report.verdict == "OK", [one.sentence for one in report.findings]
    return {one.code for one in report.findings}


class TestUnsigned:
    """Whoever has no key cannot touch what came along."""

    def test_it_is_ok_as_it_is(self, release: Path, blob: Path, made: Made) -> None:
        assert blob.exists()
        assert not _is_ok(release, made) & {"PV406", "PV809"}

    def test_content_that_was_replaced(
        self, release: Path, blob: Path, check: Check
    ) -> None:
        blob.write_bytes(TRAIN.replace(b"train", b"drain"))
        check(release, "PV304", "FAILED")

    def test_content_that_was_renamed(
        self, release: Path, blob: Path, check: Check
    ) -> None:
        blob.rename(blob.with_name("0" * 64))
        check(release, "PV302", "FAILED")

    def test_content_that_was_added(
        self, release: Path, blob: Path, check: Check
    ) -> None:
        blob.with_name(sha256(LOOSE)).write_bytes(LOOSE)
        check(release, "PV302", "FAILED")

    def test_content_that_was_removed(
        self, release: Path, blob: Path, check: Check
    ) -> None:
        blob.unlink()
        check(release, "PV301", "FAILED")

    def test_content_that_became_a_link(
        self, release: Path, blob: Path, check: Check
    ) -> None:
        blob.rename(release.parent / "elsewhere")
        blob.symlink_to(release.parent / "elsewhere")
        check(release, "PV101", "REFUSED")


class TestSigned:
    """The signer lies, and the names of content give it away."""

    def test_content_under_the_name_of_other_content(
        self, forge: Forge, blob: Path, check: Check
    ) -> None:
        blob.write_bytes(LOOSE)
        forge.sign()
        (finding,) = check(forge.root, "PV406", "REFUSED")
        assert finding.subject == f"blobs/{blob.name}"

    def test_content_under_a_name_that_nothing_has(
        self, forge: Forge, blob: Path, check: Check
    ) -> None:
        blob.rename(blob.with_name("0" * 64))
        forge.sign()
        (finding,) = check(forge.root, "PV406", "REFUSED")
        assert finding.subject == f"blobs/{'0' * 64}"

    @pytest.mark.parametrize(
        "name",
        [
            "blobs/evil.py",
            f"blobs/{sha256(LOOSE).upper()}",
            f"blobs/{sha256(LOOSE)}.py",
            f"blobs/{sha256(LOOSE)}/x",
            f"blobs/x/{sha256(LOOSE)}",
            f"blob/{sha256(LOOSE)}",
        ],
    )
    def test_content_under_no_digest_at_all(
        self, forge: Forge, check: Check, name: str
    ) -> None:
        forge.put(name, LOOSE)
        forge.sign()
        (finding,) = check(forge.root, "PV406", "REFUSED")
        assert finding.subject == name

    def test_content_that_no_statement_names(self, forge: Forge, check: Check) -> None:
        name = f"blobs/{sha256(LOOSE)}"
        forge.put(name, LOOSE)
        forge.sign()
        (finding,) = check(forge.root, "PV809", "OK")
        assert finding.subject == name

    def test_content_whose_statement_is_withheld(
        self, forge: Forge, blob: Path, check: Check
    ) -> None:
        at = forge.said.index(forge.artifact("code"))
        forge.said[at] = simulator.Withheld(forge.said[at])
        forge.write()
        (finding,) = check(forge.root, "PV809", "INCOMPLETE")
        assert finding.subject == f"blobs/{blob.name}"

    def test_content_of_everything_that_is_named_may_come_along(
        self, forge: Forge, made: Made
    ) -> None:
        folder = made.release.parent
        for path in ("raw/a.txt", "clean/all.txt", "final/model-1.bin"):
            data = (folder / path).read_bytes()
            forge.put(f"blobs/{sha256(data)}", data)
        forge.sign()
        assert "PV809" not in _is_ok(forge.root, made)

    def test_content_need_not_come_along(
        self, forge: Forge, blob: Path, made: Made
    ) -> None:
        blob.unlink()
        forge.sign()
        assert "PV809" not in _is_ok(forge.root, made)


def test_content_that_a_manifest_names_is_not_loose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "MAX_PATH_BYTES", 10)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "second.py").write_bytes(LOOSE)
    made = simulator.record(tmp_path, code=tmp_path / "code")
    blobs = made.release / "provenance" / "blobs"
    assert {path.name for path in blobs.iterdir()} == {sha256(LOOSE), sha256(TRAIN)}
    assert list((made.release / "provenance" / "tables").iterdir())
    assert "PV809" not in _is_ok(made.release, made)
    forge = Forge(Path(shutil.copytree(made.release, tmp_path / "copy")), made.signer)
    forge.put(f"blobs/{sha256(b'x')}", b"x")
    forge.sign()
    assert "PV809" in _is_ok(forge.root, made)
