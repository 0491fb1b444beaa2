"""Train trees on a file of numbers, and record how they came to be.

    python train_lightgbm.py --rounds 20

No run is begun here: the callback begins one, in `provenance-store`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import lightgbm
from sklearn.datasets import load_diabetes

from provenance.hooks.lightgbm import ProvenanceCallback


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    settings = parser.parse_args()

    place = write(Path("diabetes.tsv"))
    data = lightgbm.Dataset(place)
    with ProvenanceCallback(name="diabetes", training_data=place) as recorded:
        booster = lightgbm.train(
            {"objective": "regression", "seed": 7, "num_threads": 1, "verbose": -1},
            data,
            num_boost_round=settings.rounds,
            valid_sets=[data],
            valid_names=["training"],
            callbacks=[recorded],
        )
    Path("model").mkdir(exist_ok=True)
    booster.save_model("model/diabetes.txt")


def write(place: Path) -> Path:
    """Put the patients into a file, as LightGBM reads it: what is asked for first."""
    patients = load_diabetes()
    lines = [
        "\t".join(map(repr, map(float, [wanted, *known])))
        for wanted, known in zip(patients.target, patients.data, strict=True)
    ]
    place.write_text("\n".join(lines) + "\n")
    return place


if __name__ == "__main__":
    main()
