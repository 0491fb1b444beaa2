"""Files of the system: what they say, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provenance.fingerprint.machine import system_files

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_that_says_nothing_is_another_thing_than_none(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert system_files.read(tmp_path / "empty") == ""
    assert system_files.read(tmp_path / "none") is None
    assert system_files.read(tmp_path) is None


def test_what_cannot_be_read_has_no_text(tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(b"a\xffb\n")
    assert system_files.text_of(tmp_path / "odd") == "a\N{REPLACEMENT CHARACTER}b\n"
    assert system_files.text_of(tmp_path / "none") == ""
