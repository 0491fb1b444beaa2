"""Choose and fit a classifier of flowers, and record how it came to be.

python train_sklearn.py --seed 7
"""

from __future__ import annotations

import argparse

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import provenance
from provenance.hooks.sklearn import fit


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folds", type=int, default=3)
    settings = parser.parse_args()

    with provenance.start("flowers") as run:
        flowers = load_iris(as_frame=True)
        table = run.dataset(
            flowers.frame, name="iris", source="sklearn.datasets.load_iris"
        )
        with run.step("process", name="split", uses=[table, run.config(settings)]) as s:
            X_train, X_test, y_train, y_test = train_test_split(  # noqa: N806
                flowers.data, flowers.target, random_state=settings.seed
            )
            s.dataset(X_train, name="X_train")
            s.dataset(y_train, name="y_train")
            held_out = s.dataset(X_test, name="X_test")
            answers = s.dataset(y_test, name="y_test")

        search = GridSearchCV(
            make_pipeline(StandardScaler(), LogisticRegression()),
            {"logisticregression__C": [0.1, 1.0, 10.0]},
            cv=settings.folds,
        )
        # Instead of search.fit(X_train, y_train):
        fit(search, X_train, y_train, to="out/flowers.skops")

        found = {
            "accuracy": accuracy_score(y_test, search.predict(X_test)),
            "log_loss": log_loss(y_test, search.predict_proba(X_test)),
        }
        run.evaluation(
            "held out",
            found,
            model=run.model("out/flowers.skops"),
            dataset=held_out,
            uses=[(answers, "evaluation-data")],
        )


if __name__ == "__main__":
    main()
