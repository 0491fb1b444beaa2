"""Runs of MLflow, from its folder `mlruns` or its database `mlflow.db`.

The database is opened for reading only, and is asked only what is asked here. Its own
pages may be damaged or hostile, so every query has a bound and every text is checked.
"""

from __future__ import annotations

import math
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from provenance.errors import FileError, FormatError, LimitError
from provenance.fingerprint import opening
from provenance.importers.folder import Folder
from provenance.importers.found import (
    MAX_POINTS,
    MAX_RUNS,
    Content,
    FoundRun,
    FoundStep,
    Lost,
    Point,
    Tracker,
)
from provenance.model.text import spell_time

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence

    from provenance.model.values import Value

MAX_DATABASE = 8 * 2**30
"""Bytes of a database."""
MAX_METRICS = 64 * 2**20
"""Bytes of the file of one metric."""
MAX_FIELD = 2**20
"""Bytes of one field of the database."""
MAX_TAKEN = 2**30
"""Bytes of all fields that are taken out of a database, and a few for each row."""
_ROW = 100
_STEPS_OF_SQLITE = 500_000_000
"""Instructions of SQLite's machine in one query: some minutes at most."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_OUTCOMES = {
    "FINISHED": "completed",
    "FAILED": "failed",
    "KILLED": "interrupted",
    "RUNNING": "running",
    "SCHEDULED": "running",
}
_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_NAME_TAG = "mlflow.runName"
_COMMIT_TAG = "mlflow.source.git.commit"
_HEAVY_TAGS = ("mlflow.log-model.history", "mlflow.note.content")
_ROOTS = ("mlruns", "mlartifacts")


def read(
    place: str | os.PathLike[str], kind: str = "train"
) -> tuple[Tracker, list[FoundRun]]:
    """Read all runs that were not deleted, oldest first.

    Args:
        place: the folder `mlruns`, one with `mlflow.db` in it, or the database.
        kind: what kind of step a run of MLflow is.

    Raises:
        FormatError: it is none of these, or PyYAML is missing for a folder.
        LimitError: it holds more than can be imported.
        FileError: it cannot be read.
    """
    path = Path(place)
    if path.is_dir():
        # A link that leads out of the folder is not what the user has named.
        database = Folder(path).find("mlflow.db")
        if database is None or not database.is_file():
            return _of_folder(path, kind)
        path = database
    return _of_database(path, kind)


# One run, wherever it was read.


class _Parts:
    """What is known of one run, as it is collected."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.name = ""
        self.status = ""
        self.began: object = None
        self.ended: object = None
        self.experiment = ""
        self.params: dict[str, Value] = {}
        self.tags: dict[str, Value] = {}
        self.points: list[Point] = []
        self.datasets: list[dict[str, Value]] = []
        self.products: list[Content] = []
        self.lost: list[Lost] = []

    def found(self, kind: str) -> FoundRun:
        """Return the run."""
        name = self.name or str(self.tags.get(_NAME_TAG) or "") or self.key
        for dataset in self.datasets:
            digest = dataset.get("digest")
            why = f"only MLflow's digest of it is known: {digest}"
            self.lost.append(Lost(what="dataset", name=_name(dataset), why=why))
        points = sorted(self.points, key=_order)
        says: dict[str, Value] = {
            "experiment": self.experiment,
            "status": self.status,
            "started": _moment(self.began),
            "ended": _moment(self.ended),
            "commit": self.tags.get(_COMMIT_TAG),
            "tags": {k: v for k, v in self.tags.items() if k not in _HEAVY_TAGS},
            "datasets": list(self.datasets),
        }
        step = FoundStep(
            name=name,
            kind=kind,
            outcome=_OUTCOMES.get(self.status, "interrupted"),
            config=self.params,
            products=tuple(self.products),
            points=tuple(points),
            measured={point.name: point.value for point in points},
            says={key: one for key, one in says.items() if one},
        )
        return FoundRun(key=self.key, name=name, steps=(step,), lost=tuple(self.lost))

    def add_points(self, points: Iterable[Point]) -> None:
        for point in points:
            if len(self.points) == MAX_POINTS:
                what = f"number of points of metrics of the run {self.key}"
                raise LimitError(what, MAX_POINTS)
            self.points.append(point)

    def add_artifacts(self, folder: Folder, relative: str) -> None:
        """Take what lies in the folder of artifacts: models, and other files."""
        for name, is_folder in folder.entries(relative):
            found = folder.find(relative, name)
            if found is None:
                continue
            model = is_folder and (found / "MLmodel").is_file()
            kind = "model" if model else "file"
            self.products.append(Content(kind=kind, name=name, path=found))


def _order(point: Point) -> tuple[float, float, str]:
    return (point.step or 0, point.time or 0, point.name)


def _name(dataset: dict[str, Value]) -> str:
    return str(dataset.get("name") or "?")


def _moment(milliseconds: object) -> str | None:
    """Spell a time of MLflow; what is none is left out."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    try:
        return spell_time(datetime.fromtimestamp(milliseconds / 1000, UTC))
    except (ValueError, OverflowError, OSError):
        return None


def _point(name: str, value: object, step: object, time: object) -> Point | None:
    try:
        number = float(value)  # type: ignore[arg-type] # what is none raises
        at = int(step)  # type: ignore[call-overload] # as above
        moment = float(time) / 1000  # type: ignore[arg-type] # as above
    except (TypeError, ValueError, OverflowError):
        return None
    return Point(
        name=name,
        value=number,
        step=at if abs(at) < 2**63 else None,
        time=moment if math.isfinite(moment) else None,
    )


# The folder.


def _of_folder(path: Path, kind: str) -> tuple[Tracker, list[FoundRun]]:
    folder = Folder(path)
    inner_root = folder.find("mlruns")
    if inner_root is not None and inner_root.is_dir():
        folder = Folder(inner_root)
    found: list[tuple[float, FoundRun]] = []
    experiments = 0
    for experiment, is_folder in list(folder.entries()):
        if not is_folder or not folder.find(experiment, "meta.yaml"):
            continue
        about = folder.yaml(f"{experiment}/meta.yaml")
        experiments += 1
        models = dict(_models_of(folder, experiment))
        for key, inner in list(folder.entries(experiment)):
            if not inner or not folder.find(experiment, key, "meta.yaml"):
                continue
            run = _run_of(folder, experiment, key, str(about.get("name")))
            if run is None:
                continue
            if len(found) == MAX_RUNS:
                what = "number of runs"
                raise LimitError(what, MAX_RUNS)
            run.products += models.get(key, ())
            found.append((_number(run.began), run.found(kind)))
    if not experiments:
        message = f"{path.name!r} holds neither experiments of MLflow nor mlflow.db"
        raise FormatError(message)
    tracker = Tracker(name="mlflow", version=None, place=path.resolve().name or "/")
    return tracker, [run for _, run in sorted(found, key=lambda pair: pair[0])]


def _run_of(folder: Folder, experiment: str, key: str, name: str) -> _Parts | None:
    """Read one run; None for one that was deleted, and for what is none."""
    here = f"{experiment}/{key}"
    about = folder.yaml(f"{here}/meta.yaml")
    if "run_id" not in about or about.get("lifecycle_stage") == "deleted":
        return None
    parts = _Parts(key)
    status = about.get("status")
    parts.name = str(about.get("run_name") or "")
    parts.status = _STATUS.get(status, "") if isinstance(status, int) else str(status)
    parts.began, parts.ended = about.get("start_time"), about.get("end_time")
    parts.experiment = name
    for file in folder.files(f"{here}/params"):
        parts.params[file] = folder.text(f"{here}/params/{file}")
    for file in folder.files(f"{here}/tags"):
        parts.tags[file] = folder.text(f"{here}/tags/{file}")
    for file in folder.files(f"{here}/metrics"):
        text = folder.text(f"{here}/metrics/{file}", MAX_METRICS)
        parts.add_points(_points_of(file, text, parts.lost))
    parts.datasets += _inputs_of(folder, experiment, key)
    parts.add_artifacts(folder, f"{here}/artifacts")
    return parts


def _points_of(name: str, text: str, lost: list[Lost]) -> Iterator[Point]:
    """Read lines of time, value and step; the step may be missing in old ones."""
    bad = 0
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        point = None
        if len(words) in (2, 3, 5):  # with a model and a dataset that it is about
            step = words[2] if len(words) > 2 else "0"  # noqa: PLR2004 (see above)
            point = _point(name, words[1], step, words[0])
        if point is None:
            bad += 1
        else:
            yield point
    if bad:
        lost.append(Lost(what="table", name=name, why=f"{bad:,} lines are no points"))


def _inputs_of(folder: Folder, experiment: str, key: str) -> Iterator[dict[str, Value]]:
    for name, is_folder in list(folder.entries(f"{experiment}/{key}/inputs")):
        if not is_folder:
            continue
        link = folder.yaml(f"{experiment}/{key}/inputs/{name}/meta.yaml")
        source = str(link.get("source_id"))
        tags = link.get("tags")
        if not folder.find(experiment, "datasets", source, "meta.yaml"):
            continue
        about = folder.yaml(f"{experiment}/datasets/{source}/meta.yaml")
        context = tags.get("mlflow.data.context") if isinstance(tags, dict) else None
        yield _dataset(
            about.get("name"),
            about.get("digest"),
            about.get("source_type"),
            about.get("source"),
            context,
        )


def _models_of(folder: Folder, experiment: str) -> dict[str, list[Content]]:
    """Return the logged models of an experiment, by the run that made them."""
    found: dict[str, list[Content]] = {}
    for name, is_folder in list(folder.entries(f"{experiment}/models")):
        here = f"{experiment}/models/{name}"
        place = folder.find(here, "artifacts")
        if not is_folder or place is None or not folder.find(here, "meta.yaml"):
            continue
        about = folder.yaml(f"{here}/meta.yaml")
        content = _model(str(about.get("name") or name), name, place)
        found.setdefault(str(about.get("source_run_id")), []).append(content)
    return found


def _model(name: str, key: str, place: Path) -> Content:
    return Content(kind="model", name=name, path=place, says={"model_id": key})


def _dataset(
    name: object, digest: object, kind: object, source: object, context: object
) -> dict[str, Value]:
    told = {
        "name": name,
        "digest": digest,
        "source_type": kind,
        "source": source,
        "context": context,
    }
    return {key: str(one) for key, one in told.items() if one is not None}


# The database.


def _of_database(path: Path, kind: str) -> tuple[Tracker, list[FoundRun]]:
    name = opening.shown(path.name)
    status = _check_file(path, name)
    folder = Folder(path.resolve().parent)
    try:
        with closing(_open(path)) as connection:
            asked = _Database(connection, name)
            tracker = Tracker(name="mlflow", version=asked.version(), place=path.name)
            runs = [_run_in(asked, row, folder) for row in asked.runs()]
    except sqlite3.Error as error:
        message = f"{name!r} cannot be read as a database of MLflow: {error}"
        raise FormatError(message) from error
    except UnicodeDecodeError as error:
        # What SQLite says may quote a damaged page.
        message = f"{name!r} cannot be read as a database of MLflow: it is damaged"
        raise FormatError(message) from error
    if path.stat().st_mtime_ns != status:
        message = "it changed while it was read; stop what writes it"
        raise FileError(name, message)
    return tracker, [run.found(kind) for run in runs]


def _check_file(path: Path, name: str) -> int:
    """See that it is a file that nobody writes; return when it was changed."""
    try:
        found = path.stat()
        opening.check_regular(found.st_mode, name=name)
        log = path.with_name(f"{path.name}-wal")
        busy = log.exists() and log.stat().st_size > 0
    except OSError as error:
        raise opening.explain(name, error) from error
    if found.st_size > MAX_DATABASE:
        what = f"size of {name!r}, in bytes,"
        raise LimitError(what, MAX_DATABASE)
    if busy:
        raise FileError(name, "is being written (there is a -wal file beside it)")
    return found.st_mtime_ns


def _open(path: Path) -> sqlite3.Connection:
    # Immutable: not even a lock or a journal is written beside it.
    url = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
    connection = sqlite3.connect(url, uri=True, isolation_level=None)
    connection.text_factory = lambda data: data.decode("utf-8", "backslashreplace")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_FIELD)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    for pragma in ("trusted_schema=OFF", "query_only=ON", "cell_size_check=ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


class _Database:
    """The few questions that are asked of a database."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection = connection
        self._name = name
        self._left = MAX_TAKEN
        connection.set_progress_handler(_Patience(), 1_000_000)

    def version(self) -> str | None:
        """Return the version of its tables."""
        for (found,) in self._ask("alembic_version", ("version_num",), needed=False):
            return f"schema {found}"
        return None

    def runs(self) -> Iterator[Sequence[Any]]:
        """Yield runs, oldest first: id, status, begin, end, experiment, name."""
        experiments = self._ask("experiments", ("experiment_id", "name"))
        names = {key: name for key, name in experiments}  # noqa: C416 (rows, no pairs)
        columns: tuple[str, ...]
        columns = ("run_uuid", "status", "start_time", "end_time", "experiment_id")
        columns += ("lifecycle_stage", "name")
        rows = list(self._ask("runs", columns, limit=MAX_RUNS))
        rows.sort(key=lambda row: _number(row[2]))
        seen: set[object] = set()
        for *known, experiment, stage, called in rows:
            if known[0] in seen:
                # Nothing but the database itself would keep it from being so.
                message = f"{self._name!r} has two runs with the same id"
                raise FormatError(message)
            seen.add(known[0])
            if stage != "deleted":
                yield (*known, names.get(experiment, experiment), called)

    def of_run(
        self, table: str, columns: tuple[str, ...], key: str, limit: int = MAX_POINTS
    ) -> Iterator[Sequence[Any]]:
        """Yield rows of a table that belong to a run."""
        return self._ask(table, columns, where="run_uuid", key=key, limit=limit)

    def datasets(self, key: str) -> Iterator[dict[str, Value]]:
        """Yield the datasets that a run used."""
        columns = ("source_id", "input_uuid", "source_type")
        inputs = list(
            self._ask("inputs", columns, where="destination_id", key=key, needed=False)
        )
        wanted = ("name", "digest", "dataset_source_type", "dataset_source")
        for source, link, kind in inputs:
            if kind != "DATASET":
                continue
            tags = self._ask(
                "input_tags", ("name", "value"), where="input_uuid", key=link
            )
            context = next((v for k, v in tags if k == "mlflow.data.context"), None)
            for row in self._ask("datasets", wanted, where="dataset_uuid", key=source):
                name, digest, sort, address = row
                yield _dataset(name, digest, sort, address, context)

    def models(self, key: str) -> Iterator[Sequence[Any]]:
        """Yield id, experiment and name of the models that a run has logged."""
        columns = ("model_id", "experiment_id", "name")
        return self._ask(
            "logged_models", columns, where="source_run_id", key=key, needed=False
        )

    def _ask(
        self,
        table: str,
        columns: tuple[str, ...],
        *,
        where: str | None = None,
        key: object = None,
        limit: int = MAX_POINTS,
        needed: bool = True,
    ) -> Iterator[Sequence[Any]]:
        """Yield rows; names of tables and columns are ours, never the database's."""
        if not self._is_plain(table, columns):
            if not needed:
                return
            message = f"{self._name!r} is no database of MLflow: no table {table!r}"
            raise FormatError(message)
        query = f"SELECT {', '.join(columns)} FROM {table}"  # noqa: S608 (see above)
        given: tuple[object, ...] = ()
        if where is not None:
            query, given = f"{query} WHERE {where} = ?", (key,)
        found = self._connection.execute(f"{query} LIMIT {limit + 1}", given)
        for number, row in enumerate(found):
            if number == limit:
                what = f"number of rows of {table!r}"
                raise LimitError(what, limit)
            # A small database can hold the same row for many, and so many times.
            self._left -= _ROW + sum(map(_size, row))
            if self._left < 0:
                what = f"bytes that are taken out of {self._name!r}"
                raise LimitError(what, MAX_TAKEN)
            yield row

    def _is_plain(self, table: str, columns: tuple[str, ...]) -> bool:
        """Tell whether it is a table that holds its columns.

        What a view, a module or an expression computes is not looked at: that is code
        of whoever made the database, and may take as long as it likes.
        """
        kinds = "SELECT type, rootpage FROM sqlite_master WHERE name = ?"
        known = self._connection.execute(kinds, (table,)).fetchall()
        if len(known) != 1 or known[0][0] != "table" or not known[0][1]:
            return False
        listed = self._connection.execute(f"PRAGMA table_xinfo({table})")
        stored = {row[1] for row in listed if not row[6]}
        return stored.issuperset(columns)


class _Patience:
    """Ends a query that takes for ever; called after each million of instructions."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self) -> int:
        self._calls += 1
        return self._calls * 1_000_000 > _STEPS_OF_SQLITE


def _run_in(asked: _Database, row: Sequence[Any], folder: Folder) -> _Parts:
    key, status, began, ended, experiment, name = row
    if not isinstance(key, str) or not _ID.fullmatch(key):
        message = f"{key!r} is no id of a run of MLflow"
        raise FormatError(message)
    parts = _Parts(key)
    parts.status, parts.name = str(status), str(name or "")
    parts.began, parts.ended = began, ended
    parts.experiment = str(experiment)
    for known, table in ((parts.params, "params"), (parts.tags, "tags")):
        for label, value in asked.of_run(table, ("key", "value"), key):
            known[str(label)] = _plain(value)
    columns = ("key", "value", "step", "timestamp", "is_nan")
    parts.add_points(_points_in(asked.of_run("metrics", columns, key), parts.lost))
    parts.datasets += asked.datasets(key)
    for place in _places(folder, key):
        parts.add_artifacts(folder, place)
    for model, number, called in asked.models(key):
        for root in _ROOTS:
            if _ID.fullmatch(str(model)) and _ID.fullmatch(str(number)):
                here = f"{root}/{number}/models/{model}/artifacts"
                if (found := folder.find(here)) is not None:
                    parts.products.append(_model(str(called), str(model), found))
    return parts


def _places(folder: Folder, key: str) -> Iterator[str]:
    """Find the artifacts of a run where MLflow puts them beside its database.

    The address in the database is a stranger's word for any place on this machine, so
    it is not followed.
    """
    for root in _ROOTS:
        for experiment, is_folder in list(folder.entries(root)):
            here = f"{root}/{experiment}/{key}/artifacts"
            if is_folder and folder.find(here) is not None:
                yield here


def _points_in(rows: Iterable[Sequence[Any]], lost: list[Lost]) -> Iterator[Point]:
    bad = 0
    for name, value, step, time, is_nan in rows:
        point = _point(str(name), math.nan if is_nan else value, step, time)
        if point is None:
            bad += 1
        else:
            yield point
    if bad:
        lost.append(Lost(what="table", name="metrics", why=f"{bad:,} are no points"))


def _plain(value: object) -> Value:
    return value if isinstance(value, str | int | float | bytes) else None


def _size(value: object) -> int:
    return len(value) if isinstance(value, str | bytes) else 0


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
