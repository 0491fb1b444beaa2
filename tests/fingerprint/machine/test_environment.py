"""The environment: what a run executes in, and nothing that names a person or host."""

from __future__ import annotations

import getpass
import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path

import pytest

from provenance.encoding import fingerprints
from provenance.fingerprint.machine.distributions import installed
from provenance.fingerprint.machine.environment import environment
from provenance.model import values


def test_it_can_be_spelled_and_is_the_same_each_time() -> None:
    one, two = (values.of(environment()) for _ in range(2))
    assert one == two
    assert fingerprints.of_values("environment-1", one).method == "environment-1"


def test_it_names_interpreter_platform_machine_and_distributions() -> None:
    found = environment()
    assert sorted(found) == [
        *("accelerators", "container", "distributions", "hardware"),
        *("origins", "platform", "python", "records"),
    ]
    assert f"'version': '{platform.python_version()}'" in str(found["python"])
    distributions = found["distributions"]
    assert isinstance(distributions, dict)
    assert distributions["attrs"] == importlib.metadata.version("attrs")


def test_it_tells_what_kind_of_interpreter_runs() -> None:
    python = environment()["python"]
    assert isinstance(python, dict)
    assert python["debug"] is hasattr(sys, "gettotalrefcount")
    assert python["free_threaded"] is ("t" in getattr(sys, "abiflags", ""))


def test_it_names_no_path_host_or_user() -> None:
    text = json.dumps(environment())
    for private in (
        sys.prefix,
        str(Path.cwd()),
        f'"{getpass.getuser()}"',
        f'"{platform.node()}"',
    ):
        assert private not in text


def test_no_variable_of_the_process_is_in_it() -> None:
    os.environ["SOME_VARIABLE"] = "canary-9d1f"
    try:
        assert "canary-9d1f" not in json.dumps(environment())
    finally:
        del os.environ["SOME_VARIABLE"]


def test_what_was_read_already_is_not_read_again() -> None:
    assert environment(installed())["distributions"] == environment()["distributions"]


@pytest.mark.parametrize("system", ["Darwin", "Windows", "Linux"])
def test_each_system_has_a_name_and_a_version(
    monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "freedesktop_os_release", no_release)
    told = environment()["platform"]
    assert isinstance(told, dict)
    wanted = {"Darwin": "macos ", "Windows": "windows "}
    assert str(told["os"]).startswith(wanted.get(system, "None"))


def no_release() -> None:
    raise FileNotFoundError
