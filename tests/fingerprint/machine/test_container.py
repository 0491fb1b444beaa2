"""Containers: what podman, apptainer and whoever starts one let us see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from provenance.fingerprint.machine.container import container, parse_containerenv
from provenance.model import values

if TYPE_CHECKING:
    from pathlib import Path

PODMAN = """engine="podman-4.9.4"
name="agitated_noether"
id="27a3fb4bd7ba4e9d9b1d0f3b8a2b1ce7"
image="docker.io/library/python:3.13"
imageid="3f2c1d5f5c8a"
rootless=1
graphRootMounted=1
"""


def test_outside_of_a_container_there_is_none(tmp_path: Path) -> None:
    assert container({}, tmp_path) is None


def test_podman_tells_its_image_and_not_its_name(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/.containerenv").write_text(PODMAN)
    assert container({}, tmp_path) == {
        "kind": "podman-4.9.4",
        "image": "docker.io/library/python:3.13",
        "image_id": "3f2c1d5f5c8a",
    }


def test_an_empty_file_of_podman_says_podman() -> None:
    assert parse_containerenv("") == {"kind": "podman"}


def test_docker_does_not_tell_its_image(tmp_path: Path) -> None:
    (tmp_path / ".dockerenv").touch()
    empty = {"kind": "docker", "image": None, "image_id": None}
    assert container({}, tmp_path) == empty


def test_whoever_starts_it_can_tell_the_image(tmp_path: Path) -> None:
    (tmp_path / ".dockerenv").touch()
    image = "ghcr.io/lab/train@sha256:" + "ab" * 32
    variables = {"PROVENANCE_IMAGE": image, "CI_JOB_IMAGE": "other"}
    assert container(variables, tmp_path) == {
        "kind": "docker",
        "image": image,
        "image_id": None,
    }


def test_kubernetes_is_seen_by_its_variable(tmp_path: Path) -> None:
    variables = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    found = container(variables, tmp_path)
    assert found == {"kind": "kubernetes", "image": None, "image_id": None}


@pytest.mark.parametrize(
    ("told", "image"),
    [
        ("/home/me/images/train.sif", "train.sif"),
        ("C:\\images\\train.sif", "train.sif"),
        ("docker://python:3.13", "docker://python:3.13"),
        ("bytes\udcff", "bytes\\udcff"),
    ],
)
def test_an_image_that_is_a_file_has_a_name_and_no_folder(
    tmp_path: Path, told: str, image: str
) -> None:
    found = container({"APPTAINER_CONTAINER": told}, tmp_path)
    assert found == {"kind": "apptainer", "image": image, "image_id": None}
    assert values.of(found)


def test_by_default_it_is_ours() -> None:
    assert values.of(container())
