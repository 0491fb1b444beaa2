"""Train trees that tell iris plants apart, and record how they came to be.

python train_xgboost.py --rounds 20
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import xgboost
from sklearn.datasets import load_iris

import provenance
from provenance.hooks.xgboost import ProvenanceCallback


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    settings = parser.parse_args()

    with provenance.start("irises") as run:
        source = "https://doi.org/10.1111/j.1469-1809.1936.tb02137.x"
        raw = run.dataset(write(Path("iris.csv")), source=source)
        with run.step("process", name="split", uses=[raw]) as step:
            training, validation = split(Path("iris.csv"))
            parts = [step.dataset(training), step.dataset(validation)]

        callback = ProvenanceCallback(training_data=parts[0], validation_data=parts[1])
        booster = xgboost.train(
            {"objective": "multi:softprob", "num_class": 3, "seed": 7, "nthread": 1},
            read(training),
            num_boost_round=settings.rounds,
            evals=[(read(validation), "validation")],
            callbacks=[callback],
            verbose_eval=False,
        )
        Path("model").mkdir(exist_ok=True)
        booster.save_model("model/irises.ubj")


def write(place: Path) -> Path:
    """Put the plants into a file, as they would come from somewhere else."""
    plants = load_iris()
    with place.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([*plants.feature_names, "sort"])
        rows.writerows(np.column_stack([plants.data, plants.target]).tolist())
    return place


def split(place: Path) -> tuple[Path, Path]:
    """Put every fifth plant aside."""
    head, *rows = place.read_text().splitlines(keepends=True)
    parts = Path("training.csv"), Path("validation.csv")
    for part, first in zip(parts, (False, True), strict=True):
        kept = [row for at, row in enumerate(rows) if (at % 5 == 0) is first]
        part.write_text("".join([head, *kept]))
    return parts


def read(place: Path) -> xgboost.DMatrix:
    """Read plants with their sorts."""
    table = np.loadtxt(place, delimiter=",", skiprows=1)
    return xgboost.DMatrix(table[:, :-1], label=table[:, -1])


if __name__ == "__main__":
    main()
