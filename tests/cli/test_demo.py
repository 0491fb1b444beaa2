"""`provenance demo` does in a folder, and nowhere else, what it says."""

from __future__ import annotations

import json
import math
import os
import re
import stat
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from provenance.cli import demo, example
from provenance.errors import ProvenanceError
from provenance.verify import check_bundle

REFUSED = ("fail", "refuse", "error", "incomplete")
WIDTHS = {"U64": 8, "U32": 4}


@frozen
class Ran:
    code: int
    out: str
    err: str
    place: Path
    elsewhere: tuple[Path, ...]


def run_demo(where: Path, place: Path | None = None, **environment: str) -> Ran:
    """Run the command with a home, a current and a temporary folder of its own."""
    elsewhere = tuple(where / name for name in ("home", "current", "temporary"))
    for folder in elsewhere:
        folder.mkdir(parents=True)
    home, current, temporary = map(str, elsewhere)
    target = place or where / "demo"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "provenance", "demo", str(target)],
        check=False,
        capture_output=True,
        cwd=current,
        env={
            "PATH": os.environ["PATH"],
            **{
                name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ
            },
            "HOME": home,
            "XDG_CONFIG_HOME": f"{home}/config",
            "TMPDIR": temporary,
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        },
        timeout=300,
    )
    return Ran(
        done.returncode,
        done.stdout.decode("utf-8"),
        done.stderr.decode("utf-8"),
        target,
        elsewhere,
    )


def tensors_of(data: bytes) -> dict[str, list[int]]:
    """Read a safetensors file, and accept only what its specification allows."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        assert len(found) == len(pairs), "a key comes twice"
        return found

    (length,) = struct.unpack_from("<Q", data)
    assert length % 8 == 0
    assert length <= 100_000_000
    text = data[8 : 8 + length].decode("utf-8")
    assert text.startswith("{")
    header = json.loads(text, object_pairs_hook=once)
    body = data[8 + length :]
    end = 0
    tensors = {}
    for name, about in sorted(header.items(), key=lambda x: x[1]["data_offsets"]):
        assert set(about) == {"dtype", "shape", "data_offsets"}
        begin, stop = about["data_offsets"]
        width = WIDTHS[about["dtype"]]
        assert begin == end, "a hole or an overlap"
        assert begin % width == 0
        assert stop - begin == width * math.prod(about["shape"])
        kind = {8: "Q", 4: "I"}[width]
        numbers = struct.unpack(f"<{about['shape'][0]}{kind}", body[begin:stop])
        tensors[name] = list(numbers)
        end = stop
    assert end == len(body), "something after the last tensor"
    return tensors


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run_demo(tmp_path_factory.mktemp("ran"))


class TestTheFolder:
    def test_the_demo_succeeds_and_complains_of_nothing(self, ran: Ran) -> None:
        assert (ran.code, ran.err) == (0, "")

    @pytest.mark.parametrize(
        "name",
        [
            "key.pem",
            "trust.toml",
            "data/topics.py",
            "data/train.txt",
            "data/held-out.txt",
            "out/step-1.safetensors",
            "out/step-3.safetensors",
            "out/final/model.safetensors",
            "release/model.safetensors",
            "release/config.json",
            "release/README.md",
            "release/provenance/signatures/release.sigstore.json",
        ],
    )
    def test_the_files_that_it_tells_of_are_there(self, ran: Ran, name: str) -> None:
        assert (ran.place / name).stat().st_size > 0

    def test_nothing_was_written_anywhere_else(self, ran: Ran) -> None:
        assert [list(folder.iterdir()) for folder in ran.elsewhere] == [[], [], []]
        assert {path.name for path in ran.place.parent.iterdir()} == {
            "demo",
            *(folder.name for folder in ran.elsewhere),
        }

    def test_the_key_is_for_its_owner_alone(self, ran: Ran) -> None:
        mode = stat.S_IMODE((ran.place / "key.pem").stat().st_mode)
        # Windows has no such modes: there the folder decides.
        assert mode == (0o600 if os.name == "posix" else 0o666)

    def test_the_text_is_recorded_as_it_was_found(self, ran: Ran) -> None:
        import pydoc_data.topics  # noqa: PLC0415

        installed = Path(pydoc_data.topics.__file__).read_bytes()
        assert (ran.place / "data" / "topics.py").read_bytes() == installed


class TestTheModel:
    def test_two_demos_make_the_same_weights(self, ran: Ran, tmp_path: Path) -> None:
        again = run_demo(tmp_path, PYTHONHASHSEED="1")
        names = ["out/step-1.safetensors", "release/model.safetensors"]
        for name in names:
            assert (ran.place / name).read_bytes() == (again.place / name).read_bytes()

    def test_every_checkpoint_is_a_well_formed_safetensors_file(self, ran: Ran) -> None:
        files = sorted(ran.place.glob("out/**/*.safetensors"))
        assert len(files) == example.CHECKPOINTS
        for file in files:
            tensors = tensors_of(file.read_bytes())
            assert len(tensors) == 2 * example.ORDER
            for size in range(1, example.ORDER + 1):
                grams = tensors[f"{size}.grams"]
                assert grams == sorted(set(grams))
                assert max(grams) < 256**size
                assert len(tensors[f"{size}.counts"]) == len(grams)

    def test_the_counts_are_those_of_the_training_text(self, ran: Ran) -> None:
        text = (ran.place / "data" / "train.txt").read_bytes()
        tensors = tensors_of((ran.place / "release/model.safetensors").read_bytes())
        for size in range(1, example.ORDER + 1):
            assert sum(tensors[f"{size}.counts"]) == len(text) - size + 1
        found = dict(zip(tensors["3.grams"], tensors["3.counts"], strict=True))
        assert found[int.from_bytes(b"the")] == text.count(b"the")

    def test_what_is_held_out_is_not_learned(self, ran: Ran) -> None:
        learned = (ran.place / "data/train.txt").read_text("utf-8").splitlines()
        unseen = (ran.place / "data/held-out.txt").read_text("utf-8").splitlines()
        assert len(unseen) > 20
        assert not set(learned) & set(unseen)
        assert len(set(learned)) == len(learned)

    def test_it_predicts_text_that_it_has_not_seen(self, ran: Ran) -> None:
        counts = example.load(ran.place / "release" / "model.safetensors")
        unseen = (ran.place / "data" / "held-out.txt").read_bytes()
        bits = example.bits_per_char(counts, unseen)
        assert 1.5 < bits < 3.5
        assert f"{bits:.2f} bits" in ran.out
        assert f"{bits:.4f}" in (ran.place / "release/README.md").read_text("utf-8")

    def test_its_chances_add_up_to_one(self, tmp_path: Path) -> None:
        *_, counts = example.fit(b"to be or not to be, that is the question")
        example.save(counts, tmp_path / "model.safetensors")
        kept = example.load(tmp_path / "model.safetensors")
        assert kept == counts
        before = len(b"to b") * example.bits_per_char(kept, b"to b")
        chances = [
            2.0 ** (before - 5 * example.bits_per_char(kept, b"to b" + bytes([last])))
            for last in range(256)
        ]
        assert math.isclose(math.fsum(chances), 1.0)
        assert max(chances) == chances[ord("e")]

    def test_a_python_without_the_text_is_told_plainly(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
        with pytest.raises(ProvenanceError, match="help texts"):
            example.train(tmp_path / "demo", tmp_path / "key.pem")
        assert list(tmp_path.iterdir()) == []


class TestTheVerdicts:
    def test_the_release_is_ok(self, ran: Ran) -> None:
        report = check_bundle(ran.place / "release", trust=ran.place / "trust.toml")
        assert report.verdict == "OK"
        explained = {f.subject for f in report.findings if f.name == "explained"}
        assert explained == {"model.safetensors", "config.json", "README.md"}
        assert not [f for f in report.findings if f.outcome == "warn"]

    @pytest.mark.parametrize(
        ("name", "code"),
        [
            ("flipped-bit", "PV304"),
            ("added-file", "PV302"),
            ("dropped-statement", "PV504"),
            ("swapped-config", "PV304"),
        ],
    )
    def test_a_damaged_copy_fails_for_its_own_reason(
        self, ran: Ran, name: str, code: str
    ) -> None:
        copy = ran.place / "damaged" / name
        report = check_bundle(copy, trust=ran.place / "trust.toml")
        assert report.verdict == "FAILED"
        against = [f for f in report.findings if f.outcome in REFUSED]
        assert code in {finding.code for finding in against}
        told = ran.out.partition(f"damaged/{name}")[2].partition("damaged/")[0]
        assert told.split("\n")[1] == "Verdict: FAILED"
        for finding in against:
            assert f"{finding.code}  {finding.sentence}" in told

    def test_every_damage_is_checked_here(self, ran: Ran) -> None:
        names = {damage.name for damage in demo.DAMAGES}
        assert {path.name for path in (ran.place / "damaged").iterdir()} == names

    def test_damage_that_goes_unnoticed_fails_the_demo(self, tmp_path: Path) -> None:
        code = (
            "import sys\n"
            "from provenance.cli import demo, main\n"
            "demo.DAMAGES = (demo.Damage('none', 'nothing', lambda release: None),)\n"
            "sys.exit(main.main(['demo', sys.argv[1]]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "demo")],
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 4
        assert "Not noticed: none." in done.stderr
        assert "What next" not in done.stdout


class TestWhatItPrints:
    def test_the_story_has_six_acts_in_plain_ascii(self, ran: Ran) -> None:
        assert re.findall(r"^(\d)\. ", ran.out, re.MULTILINE) == list("123456")
        assert ran.out.isascii()
        assert "\x1b" not in ran.out

    def test_its_next_steps_are_commands_that_work(self, ran: Ran) -> None:
        commands = re.findall(r"^  provenance (.+)$", ran.out, re.MULTILINE)
        done = [
            subprocess.run(
                [sys.executable, "-m", "provenance", *command.split()],
                check=False,
                capture_output=True,
                timeout=300,
            ).returncode
            for command in commands
        ]
        assert done == [0, 0, 1]

    def test_it_works_without_home_and_without_unicode(self, tmp_path: Path) -> None:
        place = tmp_path / "fil \u2192 r\u00e9el"
        done = subprocess.run(
            [sys.executable, "-m", "provenance", "demo", str(place)],
            check=False,
            capture_output=True,
            cwd=tmp_path,
            env={
                name: value
                for name, value in {
                    "PATH": os.environ["PATH"],
                    "SYSTEMROOT": os.environ.get("SYSTEMROOT"),
                    "LC_ALL": "C",
                    "PYTHONIOENCODING": "latin-1:strict",
                }.items()
                if value is not None
            },
            timeout=300,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert "fil \\u2192 r\u00e9el".encode("latin-1") in done.stdout
        assert {path.name for path in tmp_path.iterdir()} == {place.name}


class TestThePlace:
    def test_a_folder_with_something_in_it_is_refused(self, tmp_path: Path) -> None:
        place = tmp_path / "mine"
        place.mkdir()
        (place / "thesis.txt").write_text("years of work")
        done = run_demo(tmp_path / "run", place)
        assert done.code == 2
        assert done.out == ""
        assert "is not empty; name a folder that is not there yet" in done.err
        assert [path.name for path in place.iterdir()] == ["thesis.txt"]

    def test_a_file_is_refused(self, tmp_path: Path) -> None:
        place = tmp_path / "mine"
        place.write_text("years of work")
        done = run_demo(tmp_path / "run", place)
        assert (done.code, done.out) == (2, "")
        assert "is a file" in done.err
        assert place.read_text() == "years of work"
