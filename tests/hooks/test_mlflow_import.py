"""Runs that MLflow itself has written are imported as it tells them."""

from __future__ import annotations

import shutil
import warnings
from typing import TYPE_CHECKING

import mlflow
import pytest
from mlflow.data.pandas_dataset import from_pandas
from pandas import DataFrame
from sklearn.linear_model import LinearRegression

from provenance.cli import main
from provenance.model.values import to

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from recording import Record

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(scope="module", params=["database", "folder"])
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    place: Path = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.chdir(place)
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        inside = "sqlite:///mlflow.db" if request.param == "database" else "./mlruns"
        mlflow.set_tracking_uri(inside)
        mlflow.set_experiment("tiny experiments")
        with mlflow.start_run(run_name="first", tags={"team": "readers"}):
            mlflow.log_params({"lr": 0.1, "layers": 2})
            for step in range(3):
                mlflow.log_metric("loss", 1 / (step + 1), step=step)
                mlflow.log_metric("val/acc", 0.5 + step / 10, step=step)
            (place / "notes.txt").write_text("hello")
            mlflow.log_artifact("notes.txt")
            frame = DataFrame({"a": [1.0, 2.0]})
            mlflow.log_input(from_pandas(frame, name="rows"), context="training")
            model = LinearRegression().fit([[0], [1]], [0, 1])
            mlflow.sklearn.log_model(
                model, name="line", pip_requirements=[], serialization_format="skops"
            )
    return place


def test_all_that_it_says_is_imported(
    written: Path, here: Path, record: Callable[[], Record]
) -> None:
    shutil.copytree(written, here / "ml")
    place = "ml" if (here / "ml" / "mlflow.db").exists() else "ml/mlruns"
    assert main.main(["import", "mlflow", place, "--store", "store"]) == 0
    found = record()
    (step,) = found.steps
    assert step.imported == "mlflow"
    assert step.outcome == "completed"
    settings = to(found.artifacts["parameters of first"].values)
    assert settings == {"lr": "0.1", "layers": "2"}
    measured = to(found.artifacts["metrics of first"].values)
    assert isinstance(measured, dict)
    assert measured["metrics"] == {"loss": 1 / 3, "val/acc": 0.7}
    assert {one.name: one.kind for one in step.products} == {
        "notes.txt": "file",
        "line": "model",
        "metrics of first": "evaluation",
        "first metrics 1": "table",
    }
    names = {name.path for name in found.artifacts["line"].files}
    assert b"MLmodel" in names
    (gap,) = found.gaps
    assert gap.name == "rows"
