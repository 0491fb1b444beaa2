"""Tests of hooks need their frameworks, which a session of their own installs.

There, `PROVENANCE_FRAMEWORKS` names those that must not be missing.
"""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path

from recording import here, key_file, reader, record, records, start

__all__ = ["here", "key_file", "reader", "record", "records", "start"]

_NEEDS = {
    "accelerate": "accelerate",
    "datasets": "datasets",
    "dvc": "dvc",
    "keras": "keras",
    "lightgbm": "lightgbm",
    "lightning": "lightning",
    "lm_eval": "lm_eval",
    "mlflow": "mlflow",
    "ranks": "torch",
    "sklearn": "sklearn",
    "torch": "torch",
    "transformers": "transformers",
    "wandb": "wandb",
    "xgboost": "xgboost",
}


_WANTED = os.environ.get("PROVENANCE_FRAMEWORKS", "").split(",")


def _left_out(file: Path) -> bool:
    found = re.match(r"test_(lm_eval|[a-z0-9]+)", file.name)
    needed = _NEEDS.get(found[1]) if found else None
    return needed is not None and needed not in _WANTED and find_spec(needed) is None


collect_ignore = [
    file.name for file in Path(__file__).parent.glob("test_*.py") if _left_out(file)
]
