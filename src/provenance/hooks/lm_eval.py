"""Record what lm-evaluation-harness has measured.

`record_results` takes what `lm_eval.simple_evaluate` returns, or the file or folder
that the command `lm_eval --output_path` has written:

    from provenance.hooks.lm_eval import record_results

    record_results(lm_eval.simple_evaluate(...), model=final)
    record_results("results", model=final)

Each task becomes an evaluation with its metrics, standard errors and numbers of
samples; the configuration of task and harness is used by it, and what the harness says
about itself (versions, examples in the prompt, seeds, hashes) are facts. Samples are
kept as a table of one row each where the harness has logged them.

The harness is not imported: its results are plain values. Its description of the
machine is left out; the environment of the run is on record anyway.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from attrs import frozen

from provenance.errors import FormatError, ProvenanceError
from provenance.fingerprint import opening, reading, strict_json
from provenance.fingerprint.models import settings
from provenance.hooks.joining import Joining, guarded
from provenance.record import plain

if TYPE_CHECKING:
    from provenance.record.artifact import Artifact
    from provenance.record.session import Run

__all__ = ["record_results"]

MAX_RESULTS = 64 * 2**20
"""Bytes of a file of results."""
MAX_SAMPLES = 512 * 2**20
"""Bytes of a file of samples."""
MAX_FILES = 1_000
"""Files of results in one folder."""

_Datasets: TypeAlias = "Artifact | Mapping[str, Artifact] | None"
_HARNESS = ("git_hash", "lm_eval_version", "transformers_version", "chat_template_sha")
_SEEDS = ("random_seed", "numpy_seed", "torch_seed", "fewshot_seed")
_RESULTS = re.compile(r"(?P<stem>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)\.json")
_NO_METRICS = ("alias", "name", "sample_len", "sample_count")
_HASHES = ("doc_hash", "prompt_hash", "target_hash")


def record_results(
    results: Mapping[str, Any] | str | os.PathLike[str],
    *,
    model: Artifact | None = None,
    dataset: _Datasets = None,
    uses: Iterable[Artifact | tuple[Artifact, str]] = (),
    samples: bool = True,
    **joining: Any,
) -> dict[str, Artifact]:
    """Record the results of lm-evaluation-harness; returns the evaluations by task.

    Args:
        results: what `simple_evaluate` returned; or a file `results_….json`, or a
            folder in which all such files are taken.
        model: what was measured.
        dataset: what it was measured on; by task, if that differs.
        uses: what else it was measured with.
        samples: whether the result of each sample is kept, where it was logged. They
            are released only when that is asked for.
        joining: as in every hook: `name`, `store` and so on, of a run that begins and
            ends with this call because none is open.
    """
    hook = _Harness(**joining)
    told = _Told(model=model, dataset=dataset, uses=tuple(uses), samples=samples)
    try:
        return hook.record(results, told) or {}
    finally:
        hook.leave()


@frozen(kw_only=True)
class _Told:
    """What the caller says beside the results."""

    model: Artifact | None
    dataset: _Datasets
    uses: tuple[Artifact | tuple[Artifact, str], ...]
    samples: bool

    def dataset_of(self, task: str) -> Artifact | None:
        if isinstance(self.dataset, Mapping):
            return self.dataset.get(task)
        return self.dataset


class _Harness(Joining):
    """Turns results into evaluations of a run."""

    @guarded
    def record(
        self, results: Mapping[str, Any] | str | os.PathLike[str], told: _Told
    ) -> dict[str, Artifact]:
        run = self.join()
        if isinstance(results, Mapping):
            return self._all(run, results, told)
        found: dict[str, Artifact] = {}
        for file in _files(Path(results)):
            # One that is broken must not take the others with it.
            found |= self._file(run, file, told) or {}
        return found

    @guarded
    def _file(self, run: Run, file: Path, told: _Told) -> dict[str, Artifact]:
        read = _read(file, told)
        origin = run.file(file, name=file.name)
        return self._all(run, read, told, origin=origin)

    def _all(
        self,
        run: Run,
        results: Mapping[str, Any],
        told: _Told,
        *,
        origin: Artifact | None = None,
    ) -> dict[str, Artifact]:
        found = {}
        for task in _dict(results, "results"):
            evaluation = self._task(run, str(task), results, told, origin)
            if evaluation is not None:
                found[str(task)] = evaluation
        if not found:
            message = "there is no task in these results"
            raise FormatError(message)
        return found

    @guarded
    def _task(
        self,
        run: Run,
        task: str,
        results: Mapping[str, Any],
        told: _Told,
        origin: Artifact | None,
    ) -> Artifact:
        values = {
            "task": _dict(results, "configs").get(task),
            "harness": results.get("config"),
        }
        config = run.config(_settings(values), name=f"lm-eval {task}")
        uses = [config, *told.uses]
        if origin is not None:
            uses.append((origin, "input"))
        rows = _dict(results, "samples").get(task) if told.samples else None
        return run.evaluation(
            task,
            _metrics(task, results),
            model=told.model,
            dataset=told.dataset_of(task),
            uses=uses,
            samples=[_row(row) for row in rows] if rows else None,
            **_facts(task, results),
        )


# What a task measured, and how.


def _metrics(task: str, results: Mapping[str, Any]) -> dict[str, object]:
    """Return the metrics of a task, each with its error, direction and number."""
    measured = _dict(_dict(results, "results"), task)
    higher = _dict(_dict(results, "higher_is_better"), task)
    count = _dict(_dict(results, "n-samples"), task).get("effective")
    found: dict[str, object] = {}
    for key, value in measured.items():
        metric, comma, kind = key.partition(",")
        is_error = metric.endswith("_stderr")
        if key in _NO_METRICS or is_error or not _is_number(value):
            continue
        told: dict[str, object] = {"value": value}
        error = measured.get(f"{metric}_stderr{comma}{kind}")
        if _is_number(error) and error >= 0:
            told["stderr"] = error
        if isinstance(higher.get(metric), bool):
            told["better"] = "higher" if higher[metric] else "lower"
        if type(count) is int:
            told["n"] = count
        found[key] = told
    return found


def _facts(task: str, results: Mapping[str, Any]) -> dict[str, object]:
    config = _dict(results, "config")
    facts: dict[str, object] = {
        "harness": "lm-evaluation-harness",
        "task_version": _dict(results, "versions").get(task),
        "shots": _dict(results, "n-shot").get(task),
        "counted": _dict(results, "n-samples").get(task),
        "task_hash": _task_hash(task, results),
        "seeds": {key: config[key] for key in _SEEDS if config.get(key) is not None},
        **{key: results.get(key) for key in _HARNESS},
    }
    return {key: _settings(fact) for key, fact in facts.items() if fact}


def _task_hash(task: str, results: Mapping[str, Any]) -> object:
    """Return the hash over all samples that the harness writes into its files."""
    if known := _dict(results, "task_hashes").get(task):
        return known
    rows = _dict(results, "samples").get(task) or ()
    if not rows or not all(key in row for row in rows for key in _HASHES):
        return None
    text = "".join(str(row[key]) for row in rows for key in _HASHES)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _row(sample: Mapping[str, Any]) -> dict[str, object]:
    """Turn a sample into columns: numbers and texts as they are, the rest as JSON."""
    return {str(key): _cell(str(key), value) for key, value in sample.items()}


def _cell(key: str, value: Any) -> object:
    if key == "target":
        return str(value)  # a number here and a text there
    if isinstance(value, bool) or value is None:
        return value if value is None else float(value)
    if isinstance(value, str | int):
        return value
    if _is_number(value):
        return float(value)
    item = getattr(value, "item", None)
    if getattr(value, "shape", None) == () and item is not None:
        return _cell(key, item())  # a number of NumPy
    return json.dumps(value, ensure_ascii=False, default=settings.name_of)


def _settings(value: Any) -> Any:
    """Return settings exactly; where something has no spelling, what is told of it."""
    try:
        return plain.plain(value)
    except ProvenanceError:
        return settings.plain(value)


def _dict(found: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    inner = found.get(key)
    return inner if isinstance(inner, Mapping) else {}


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


# Files that the harness has written.


def _files(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    found = [
        file
        for file in sorted(place.rglob("*.json"))
        if _RESULTS.fullmatch(file.name) and not file.is_symlink()
    ]
    if not found:
        message = f"there is no file of results in {place.name!r}"
        raise FormatError(message)
    if len(found) > MAX_FILES:
        message = f"more than {MAX_FILES:,} files of results in {place.name!r}"
        raise FormatError(message)
    return found


def _read(file: Path, told: _Told) -> dict[str, Any]:
    results = strict_json.parse(_content(file, MAX_RESULTS), name=file.name, words=True)
    tasks = results.get("results") if isinstance(results, dict) else None
    if not isinstance(results, dict) or not isinstance(tasks, dict):
        message = f"{file.name!r} holds no results of lm-evaluation-harness"
        raise FormatError(message)
    named = _RESULTS.fullmatch(file.name)
    if not told.samples or named is None:
        return dict(results)
    samples: dict[str, Any] = {}
    for task in tasks:
        beside = file.with_name(f"samples_{task}_{named['date']}.jsonl")
        if "/" not in task and os.path.isfile(beside):  # noqa: PTH113 (raises nothing)
            samples[task] = _lines(beside)
    return {**results, "samples": samples}


def _lines(file: Path) -> list[dict[str, Any]]:
    found = []
    lines = _content(file, MAX_SAMPLES).split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name = f"{file.name}, line {number}"
        row = strict_json.parse(line, name=name, words=True)
        if not isinstance(row, dict):
            message = f"{name!r} is no sample"
            raise FormatError(message)
        found.append(dict(row))
    return found


def _content(file: Path, limit: int) -> bytes:
    descriptor = opening.open_regular(file, name=file.name, follow=False)
    what = f"size of {file.name!r}, in bytes,"
    return reading.whole(descriptor, limit, name=file.name, what=what)
