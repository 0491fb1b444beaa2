"""The environment: what is installed, and nothing that names a person or machine."""

from __future__ import annotations

import getpass
import importlib.metadata
import json
import platform
import sys
import time
from pathlib import Path

import pytest

from provenance.encoding import fingerprints
from provenance.fingerprint.environment import UNREADABLE, environment
from provenance.model import values


def distributions() -> dict[str, object]:
    found = environment()["distributions"]
    assert isinstance(found, dict)
    return found


def install(site: Path, folder: str, text: bytes | None) -> None:
    (site / folder).mkdir(parents=True)
    if text is not None:
        (site / folder / "METADATA").write_bytes(text)


def test_it_can_be_spelled_and_is_the_same_each_time() -> None:
    one, two = (values.of(environment()) for _ in range(2))
    assert one == two
    assert fingerprints.of_values("environment-1", one).method == "environment-1"


def test_it_names_interpreter_platform_and_distributions() -> None:
    found = environment()
    assert sorted(found) == ["distributions", "platform", "python"]
    assert f"'version': '{platform.python_version()}'" in str(found["python"])
    assert distributions()["attrs"] == importlib.metadata.version("attrs")


def test_it_names_no_path_host_or_user() -> None:
    text = json.dumps(environment())
    for private in (
        sys.prefix,
        str(Path.cwd()),
        f'"{getpass.getuser()}"',
        f'"{platform.node()}"',
    ):
        assert private not in text


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path / "one"), str(tmp_path / "two")])
    (tmp_path / "two").mkdir()
    (tmp_path / "one").mkdir()
    return tmp_path / "one"


def test_names_are_normalized_and_the_first_on_the_path_counts(site: Path) -> None:
    install(site, "Foo_Bar-1.dist-info", b"Name: Foo_.Bar\nVersion: 1\n\nName: no")
    other = site.parent / "two"
    install(other, "foo_bar-2.dist-info", b"Name: foo-bar\nVersion: 2\n")
    assert distributions() == {"foo-bar": "1"}


def test_broken_metadata_is_tolerated_and_counted(site: Path) -> None:
    install(site, "empty-1.dist-info", None)
    install(site, "binary-1.dist-info", b"\xff\xfe\x00")
    install(site, "body-1.dist-info", b"Summary: x\n\nName: body\nVersion: 1\n")
    install(site, "long-1.dist-info", b"Name: " + b"x" * 300 + b"\n")
    install(site, "half-1.dist-info", b"Name: half\n")
    assert distributions() == {UNREADABLE: 4, "half": None}


def test_old_kinds_of_installation_are_read(site: Path) -> None:
    (site / "old.egg-info").write_text("Name: old\nVersion: 3\n")
    (site / "older.egg-info").mkdir()
    (site / "older.egg-info" / "PKG-INFO").write_text("Name: older\nVersion: 4\n")
    assert distributions() == {"old": "3", "older": "4"}


def test_three_hundred_distributions_take_little_time(site: Path) -> None:
    for number in range(300):
        text = b"Name: d%d\nVersion: 1\n\n" % number + b"long text\n" * 2_000
        install(site, f"d{number}-1.dist-info", text)
    started = time.perf_counter()
    assert len(distributions()) == 300
    assert time.perf_counter() - started < 1  # 0.05 s on an idle machine
