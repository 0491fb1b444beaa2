"""Runs of W&B, from logs like its own; tests/hooks has one that it has written."""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.errors import FormatError
from provenance.importers import wandb_log

if TYPE_CHECKING:
    from pathlib import Path

    from importers.conftest import Import, Refuse

HEADER = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
BLOCK = 32_768


def number(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def field(key: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return number(key << 3) + number(value & (2**64 - 1))
    data = value.encode() if isinstance(value, str) else value
    return number(key << 3 | 2) + number(len(data)) + data


def item(name: str, value: object, *, nested: bool = True) -> bytes:
    parts = b"".join(field(2, part) for part in name.split(".")) if nested else b""
    return parts + (b"" if nested else field(1, name)) + field(16, json.dumps(value))


def log(*records: bytes) -> bytes:
    """Write a log in blocks, as LevelDB does."""
    found = bytearray(HEADER)
    for record in records:
        rest, first = record, True
        while rest or first:
            left = BLOCK - len(found) % BLOCK
            if left < 7:
                found += bytes(left)
                continue
            piece, rest = rest[: left - 7], rest[left - 7 :]
            kind = (1 if first else 4) if not rest else (2 if first else 3)
            checksum = zlib.crc32(bytes([kind]) + piece)
            found += struct.pack("<IHB", checksum, len(piece), kind) + piece
            first = False
    return bytes(found)


def history(step: int, **values: object) -> bytes:
    items = b"".join(field(1, item(name, one)) for name, one in values.items())
    return field(2, items + field(2, field(1, step)))


RECORDS = [
    field(21, field(1, field(1, "0.31.0+abc"))),
    field(
        17,
        field(1, "k3")
        + field(3, "tiny")
        + field(4, field(1, item("lr", 0.1)) + field(1, item("data.size", 3)))
        + field(8, "first")
        + field(10, "x")
        + field(17, field(1, 1_796_066_793))
        + field(21, field(2, "c0ffee")),
    ),
    field(5, field(1, item("layers", 2)) + field(1, item("_wandb", {"t": 1}))),
    history(0, loss=1.0, _timestamp=1_796_066_800.0, _step=0),
    history(1, loss=0.5, val={"acc": 0.75}, _timestamp=1_796_066_802.0),
    history(2, picture={"_type": "image-file"}, note="hello"),
    field(3, field(1, item("loss", 0.5)) + field(1, item("_runtime", 3))),
    field(8, field(5, "weights") + field(6, "abc=")),
    field(18, field(1, 0)),
]


@pytest.fixture
def run_folder(here: Path) -> Path:
    place = here / "wandb" / "offline-run-20261130_192635-k3"
    (place / "files").mkdir(parents=True)
    (place / "files" / "requirements.txt").write_text("numpy==2.4\n")
    (place / "run-k3.wandb").write_bytes(log(*RECORDS))
    return place


class TestARun:
    def test_its_log_says_all(self, run_folder: Path, imported: Import) -> None:
        (run,) = imported("wandb-offline", run_folder)
        assert run.name == "first"
        assert run.marked
        assert run.values("parameters of first") == {
            "lr": 0.1,
            "layers": 2,
            "data": {"size": 3},
        }
        assert run.values("metrics of first")["metrics"] == {"loss": 0.5}
        says = run.says("first")
        assert says["commit"] == "c0ffee"
        assert says["tags"] == ["x"]
        assert says["started"] == "2026-11-30T19:26:33.000000Z"
        assert run.makes("first") == {
            "files": "file",
            "metrics of first": "evaluation",
            "first metrics 1": "table",
        }
        assert run.record.outcome == "completed"

    def test_what_is_no_number_and_what_is_elsewhere_are_gaps(
        self, run_folder: Path, imported: Import
    ) -> None:
        (run,) = imported("wandb-offline", run_folder)
        assert set(run.gaps) == {"table picture", "table note", "artifact weights"}
        assert "abc=" in run.gaps["artifact weights"]

    def test_all_runs_of_a_folder_are_imported(
        self, run_folder: Path, imported: Import
    ) -> None:
        other = run_folder.with_name("run-20261130_200000-z9")
        other.mkdir()
        (other / "run-z9.wandb").write_bytes(log(RECORDS[0], RECORDS[3]))
        runs = imported("wandb-offline", run_folder.parent)
        assert sorted(run.name for run in runs) == ["first", "z9"]

    def test_older_versions_have_settings_in_files(
        self, run_folder: Path, imported: Import
    ) -> None:
        (run_folder / "run-k3.wandb").write_bytes(log(RECORDS[0], RECORDS[3]))
        (run_folder / "files" / "config.yaml").write_text(
            "wandb_version: 1\nlr:\n  desc: null\n  value: 0.2\n_wandb:\n  value: {}\n"
        )
        (run_folder / "files" / "wandb-summary.json").write_text('{"loss": 0.1}')
        (run,) = imported("wandb-offline", run_folder)
        assert run.values("parameters of k3") == {"lr": 0.2}
        assert run.values("metrics of k3")["metrics"] == {"loss": 0.1}
        assert run.step("k3").outcome == "running"

    @pytest.mark.parametrize(("code", "outcome"), [(0, "completed"), (1, "failed")])
    def test_its_end_is_told(
        self, code: int, outcome: str, run_folder: Path, imported: Import
    ) -> None:
        ended = field(18, field(1, code))
        (run_folder / "run-k3.wandb").write_bytes(log(*RECORDS[:-1], ended))
        (run,) = imported("wandb-offline", run_folder)
        assert run.step("first").outcome == outcome


class TestTheLog:
    @given(st.lists(st.binary(max_size=70_000), max_size=6))
    def test_records_of_any_length_come_back(self, records: list[bytes]) -> None:
        assert list(wandb_log.records(log(*records), name="x")) == records

    @given(st.integers(0, len(log(*RECORDS)) - 1), st.integers(1, 255))
    def test_one_damaged_byte_never_changes_a_record(self, at: int, how: int) -> None:
        bad = bytearray(log(*RECORDS))
        bad[at] ^= how
        found = []
        with pytest.raises(FormatError):
            found.extend(wandb_log.records(bytes(bad), name="x"))
        assert found == RECORDS[: len(found)]

    @given(st.binary(max_size=200))
    def test_any_bytes_are_fields_or_an_error(self, data: bytes) -> None:
        try:
            list(wandb_log.fields(data))
        except FormatError:
            return


class TestHostileFiles:
    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"", "no log of W&B"),
            (b"hello", "no log of W&B"),
            (HEADER + b"\1" * 6, "ends within"),
            (HEADER + struct.pack("<IHB", 1, 2, 1) + b"ab", "damaged"),
            (log(b"\x0b"), "kind 3"),
            (log(field(5, field(1, item("x", 1)[:-1]))), "longer than"),
            (log(field(5, field(1, field(2, "x") + field(16, "{")))), "not JSON"),
            (log(field(5, field(1, field(2, "x") + field(16, "[" * 99)))), "nesting"),
        ],
    )
    def test_a_bad_log_is_an_error(
        self, data: bytes, said: str, run_folder: Path, refused: Refuse
    ) -> None:
        (run_folder / "run-k3.wandb").write_bytes(data)
        assert said in refused("wandb-offline", run_folder)

    def test_a_log_that_is_cut_short_gives_what_it_has_and_a_gap(
        self, run_folder: Path, imported: Import
    ) -> None:
        (run_folder / "run-k3.wandb").write_bytes(log(*RECORDS)[:-3])
        (run,) = imported("wandb-offline", run_folder)
        assert "cut short" in run.gaps["ledger run-k3.wandb"]
        assert run.values("parameters of first")["lr"] == 0.1
        assert run.record.outcome == "interrupted"

    def test_a_link_in_the_place_of_the_log_is_not_followed(
        self, run_folder: Path, here: Path, refused: Refuse
    ) -> None:
        place = run_folder / "run-k3.wandb"
        place.rename(here / "elsewhere.wandb")
        place.symlink_to(here / "elsewhere.wandb")
        assert "no run of W&B" in refused("wandb-offline", run_folder)

    def test_names_in_names_do_not_overflow(
        self, run_folder: Path, imported: Import
    ) -> None:
        deep = ".".join(["x"] * 5_000)
        (run_folder / "run-k3.wandb").write_bytes(
            log(RECORDS[1], field(5, field(1, item(deep, 1))))
        )
        (run,) = imported("wandb-offline", run_folder)
        assert any("nesting" in why for why in run.gaps.values())

    @pytest.mark.parametrize(
        "odd", ["NaN", "Infinity", "-1e400", "9" * 400, "1e300", "true", '"x"', "[]"]
    )
    def test_odd_numbers_are_no_steps_and_no_times(
        self, odd: str, run_folder: Path, imported: Import
    ) -> None:
        def named(name: str, text: str) -> bytes:
            return field(1, field(2, name) + field(16, text))

        points = named("loss", "0.5") + named("_step", odd) + named("_timestamp", odd)
        (run_folder / "run-k3.wandb").write_bytes(
            log(RECORDS[1], field(2, points), field(2, named("loss", odd)))
        )
        (run,) = imported("wandb-offline", run_folder)
        assert run.record.outcome is not None
