from __future__ import annotations

import pytest

from provenance.model.statements import ARTIFACT_KINDS, ROLES, STEP_KINDS
from provenance.record.roles import default


@pytest.mark.parametrize("step", STEP_KINDS)
@pytest.mark.parametrize("artifact", ARTIFACT_KINDS)
def test_every_artifact_has_a_role_in_every_step(step: str, artifact: str) -> None:
    assert default(step, artifact) in ROLES


@pytest.mark.parametrize(
    ("step", "artifact", "role"),
    [
        ("train", "config", "config"),
        ("train", "code", "code"),
        ("evaluate", "environment", "environment"),
        ("train", "dataset", "training-data"),
        ("finetune", "dataset", "training-data"),
        ("distill", "dataset", "training-data"),
        ("evaluate", "dataset", "evaluation-data"),
        ("collect", "dataset", "input"),
        ("generate", "dataset", "input"),
        ("process", "dataset", "input"),
        ("label", "dataset", "input"),
        ("merge", "dataset", "input"),
        ("quantize", "dataset", "input"),
        ("convert", "dataset", "input"),
        ("train", "architecture", "architecture"),
        ("evaluate", "model", "evaluated-model"),
        ("evaluate", "checkpoint", "evaluated-model"),
        ("distill", "model", "teacher-model"),
        ("train", "checkpoint", "resumed-checkpoint"),
        ("train", "model", "base-model"),
        ("finetune", "checkpoint", "base-model"),
        ("merge", "model", "base-model"),
        ("quantize", "checkpoint", "base-model"),
        ("convert", "model", "base-model"),
        ("merge", "checkpoint", "base-model"),
        ("finetune", "model", "base-model"),
        ("distill", "checkpoint", "teacher-model"),
        ("generate", "model", "generator-model"),
        ("generate", "checkpoint", "generator-model"),
        ("label", "model", "generator-model"),
        ("process", "model", "input"),
        ("collect", "model", "input"),
        ("label", "file", "guidelines"),
        ("evaluate", "file", "input"),
        ("evaluate", "table", "input"),
        ("train", "file", "input"),
        ("train", "evaluation", "input"),
        ("no such step", "model", "input"),
    ],
)
def test_the_usual_role(step: str, artifact: str, role: str) -> None:
    assert default(step, artifact) == role
