"""What an artifact is to a step when the caller does not say.

>>> default("train", "dataset")
'training-data'
>>> default("evaluate", "checkpoint")
'evaluated-model'
"""

from __future__ import annotations

_SAME = ("code", "config", "environment")
_LEARNING = ("train", "finetune", "distill")
_MODELS = ("model", "checkpoint")


def default(step_kind: str, artifact_kind: str) -> str:
    """Return the role that an artifact of this kind has in most steps of this kind."""
    if artifact_kind in _SAME:
        return artifact_kind
    if artifact_kind == "dataset":
        return _data(step_kind)
    if artifact_kind in _MODELS:
        return _model(step_kind, artifact_kind)
    return "input"


def _data(step_kind: str) -> str:
    if step_kind in _LEARNING:
        return "training-data"
    return "evaluation-data" if step_kind == "evaluate" else "input"


def _model(step_kind: str, artifact_kind: str) -> str:
    match step_kind:
        case "evaluate":
            return "evaluated-model"
        case "distill":
            return "teacher-model"
        case "train" if artifact_kind == "checkpoint":
            return "resumed-checkpoint"
        case "train" | "finetune" | "merge" | "quantize" | "convert":
            return "base-model"
        case _:
            return "input"
