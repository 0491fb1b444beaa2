"""What an artifact is to a step when the caller does not say.

>>> default("train", "dataset")
'training-data'
>>> default("evaluate", "checkpoint")
'evaluated-model'

A role is a claim, so the usual one is given only where another is rare; `input` says
nothing but that something was used.
"""

from __future__ import annotations

_SAME = ("architecture", "code", "config", "environment")
_MODELS = ("model", "checkpoint")

_DATA = {
    "train": "training-data",
    "finetune": "training-data",
    "distill": "training-data",
    "evaluate": "evaluation-data",
}
_MODEL = {
    # What a model labels is its output, as what it generates: whoever trains on that
    # trains on the model.
    "generate": "generator-model",
    "label": "generator-model",
    "train": "base-model",
    "finetune": "base-model",
    "distill": "teacher-model",
    "evaluate": "evaluated-model",
    "merge": "base-model",
    "quantize": "base-model",
    "convert": "base-model",
    # A model that collects or processes data chooses among it (a filter, say), and
    # puts nothing of its own into it: there it is an input.
}


def default(step_kind: str, artifact_kind: str) -> str:
    """Return the role that an artifact of this kind has in most steps of this kind."""
    if artifact_kind in _SAME:
        return artifact_kind
    if artifact_kind == "order":
        return "data-order"
    if artifact_kind == "dataset":
        return _DATA.get(step_kind, "input")
    if (step_kind, artifact_kind) == ("train", "checkpoint"):
        return "resumed-checkpoint"
    if artifact_kind in _MODELS:
        return _MODEL.get(step_kind, "input")
    if (step_kind, artifact_kind) == ("label", "file"):
        return "guidelines"
    return "input"
