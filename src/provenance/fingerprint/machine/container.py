r"""The container around a run, as far as it can be seen from inside.

>>> parse_containerenv('engine="podman-5.0"\nimage="python:3.13"\nimageid="ab"\n')
{'kind': 'podman-5.0', 'image': 'python:3.13', 'image_id': 'ab'}

From inside, docker and Kubernetes do not tell which image they run. Whoever starts
the container can: `PROVENANCE_IMAGE` is taken as the image, best with its digest.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from provenance.fingerprint.machine import system_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provenance.model.values import Value

VARIABLE = "PROVENANCE_IMAGE"
_IMAGES = (VARIABLE, "CI_JOB_IMAGE", "APPTAINER_CONTAINER", "SINGULARITY_CONTAINER")
_MAX_TEXT = 500
_ROOT = Path("/")
_ITEM = re.compile(r'^([a-z]+)="(.*)"$', re.MULTILINE)


def container(
    environ: Mapping[str, str] | None = None, root: Path = _ROOT
) -> dict[str, Value] | None:
    """Return `kind`, `image` and `image_id` of the container; None outside of one.

    What cannot be seen is None: the kind is known where the image is not, and the
    other way round.

    Args:
        environ: the variables; by default those of this process.
        root: where the files of the system lie.
    """
    variables = os.environ if environ is None else environ
    found = {**_by_files(root), **_by_variables(variables)}
    if not found:
        return None
    empty: dict[str, Value] = {"kind": None, "image": None, "image_id": None}
    return {**empty, **found}


def parse_containerenv(text: str) -> dict[str, Value]:
    """Read the file `.containerenv` of podman; it is empty where podman tells little.

    The name and the id of the container itself are left out.
    """
    items = dict(_ITEM.findall(text))
    named = {"kind": "engine", "image": "image", "image_id": "imageid"}
    found: dict[str, Value] = {
        ours: items[theirs][:_MAX_TEXT]
        for ours, theirs in named.items()
        if items.get(theirs)
    }
    return {"kind": "podman", **found}


def _by_files(root: Path) -> dict[str, Value]:
    podman = system_files.read(root / "run/.containerenv")
    if podman is not None:
        return parse_containerenv(podman)
    return {"kind": "docker"} if (root / ".dockerenv").exists() else {}


def _by_variables(variables: Mapping[str, str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    if "KUBERNETES_SERVICE_HOST" in variables:
        found["kind"] = "kubernetes"
    if "APPTAINER_CONTAINER" in variables or "SINGULARITY_CONTAINER" in variables:
        found["kind"] = "apptainer"
    image = next((variables[one] for one in _IMAGES if variables.get(one)), None)
    if image is not None:
        found["image"] = _without_path(image)[:_MAX_TEXT]
    return found


def _without_path(image: str) -> str:
    """Leave of an image that is a file its name alone."""
    is_file = image.startswith(("/", "~", ".")) or "\\" in image
    name = re.split(r"[/\\]", image)[-1] if is_file else image
    # A variable may hold bytes that are no text.
    return name.encode("utf-8", "backslashreplace").decode()
