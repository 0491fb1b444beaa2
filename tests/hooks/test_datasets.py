"""What datasets are made from is recorded, and they come out as they always do."""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import datasets
import numpy as np
import pytest
from datasets import Dataset, DatasetDict, concatenate_datasets, interleave_datasets

from provenance.errors import RecordingError
from provenance.hooks import datasets as hook
from provenance.hooks.datasets import recorded
from provenance.model.values import to
from provenance.record import session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from provenance.model.statements import StepRecorded
    from provenance.record.session import Run
    from recording import Record

METHODS = hook.METHODS
ROWS = {"text": ["to be", "or", "not to be"] * 20, "label": [0, 1, 2] * 20}


def is_long(row: dict[str, Any], least: int = 3) -> bool:
    return len(row["text"]) > least


def shout(row: dict[str, Any]) -> dict[str, Any]:
    return {"text": row["text"].upper()}


def fail(row: dict[str, Any]) -> dict[str, Any]:
    raise RuntimeError(row["text"])


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Leave nothing behind in the library: bars, caches and replaced methods."""
    before = {name: vars(Dataset)[name] for name in METHODS}
    datasets.disable_progress_bars()
    yield
    assert {name: vars(Dataset)[name] for name in METHODS} == before
    assert not hook._open


def finished(record: Record, name: str) -> list[StepRecorded]:
    return [s for s in record.steps if s.step.name == name and s.outcome != "running"]


def made(record: Record, name: str) -> tuple[list[str], list[str]]:
    """Return what a step used as input, and what it produced."""
    (body,) = [s for s in record.steps if s.step.name == name and s.products]
    inputs = [use.digest for use in body.uses if use.role == "input"]
    return inputs, [product.digest for product in body.products]


def facts(body: StepRecorded) -> dict[str, Any]:
    found = to(body.facts)
    assert isinstance(found, dict)
    return found


def test_each_dataset_is_made_by_a_step_from_another(
    start: Callable[..., Run], record: Callable[..., Record]
) -> None:
    raw = Dataset.from_dict(ROWS)
    with start() as run:
        with recorded() as watch:
            long = raw.filter(is_long)
            loud = long.map(shout)
            mixed = loud.shuffle(seed=3)
            few = mixed.select(range(5))
        digests = [watch.artifact(one).digest for one in (raw, long, loud, mixed, few)]
        assert digests == [run.dataset(d).digest for d in (raw, long, loud, mixed, few)]
    found = record()
    assert not found.gaps
    assert len(set(digests)) == 5
    names = ["filter", "map", "shuffle", "select"]
    for name, before, after in zip(names, digests, digests[1:], strict=False):
        assert made(found, name) == ([before], [after])
    assert [s.outcome for s in found.steps if not s.products] == ["completed"] * 4
    assert all(s.step.kind == "process" for s in found.steps)


def test_a_step_says_by_which_function_and_how(
    start: Callable[..., Run], record: Callable[..., Record]
) -> None:
    raw = Dataset.from_dict(ROWS)
    with start(), recorded():
        raw.filter(functools.partial(is_long, least=2), batch_size=7)
        raw.map(shout, fn_kwargs={}, remove_columns=["label"])
        raw.shuffle(generator=np.random.default_rng(1))
        raw.select(list(range(50)) * 3)
        raw.train_test_split(test_size=0.5, seed=2)
        raw.map(lambda row: {"n": len(row["text"])})
    found = record()
    first = facts(finished(found, "filter")[0])
    assert first["function"] == {
        "name": f"{__name__}.is_long",
        "source_sha256": hashlib.sha256(
            inspect.getsource(is_long).encode()
        ).hexdigest(),
    }
    assert first["arguments"] == {"batch_size": 7}
    one, other = (facts(body) for body in finished(found, "map"))
    assert one["arguments"] == {"fn_kwargs": {}, "remove_columns": ["label"]}
    assert "<lambda>" in other["function"]["name"]
    (shuffled,) = finished(found, "shuffle")
    generator = "numpy.random._generator.Generator"
    assert facts(shuffled)["arguments"] == {"generator": generator}
    (selected,) = finished(found, "select")
    indices = "builtins.list of 150 items"
    assert facts(selected)["arguments"] == {"indices": indices}
    (split,) = finished(found, "train_test_split")
    assert facts(split)["arguments"] == {"test_size": 0.5, "seed": 2}
    assert not found.gaps


def test_splits_and_joins_have_several_ends(
    start: Callable[..., Run], record: Callable[..., Record]
) -> None:
    raw = Dataset.from_dict(ROWS)
    with start(), recorded() as watch:
        parts = raw.train_test_split(test_size=0.25, seed=1)
        train, test = parts["train"], parts["test"]
        again = concatenate_datasets([train, test])
        mixed = interleave_datasets([train, test])
        artifacts = [watch.artifact(d) for d in (raw, train, test, again, mixed)]
    found = record()
    whole, one, other, joined, woven = (artifact.digest for artifact in artifacts)
    split = [s for s in found.steps if s.step.name == "train_test_split" and s.products]
    assert [s.products[0].digest for s in split] == [one, other]
    assert [s.products[0].name for s in split] == ["train", "test"]
    assert all(whole in [use.digest for use in s.uses] for s in split)
    assert made(found, "concatenate_datasets") == (sorted([one, other]), [joined])
    assert made(found, "interleave_datasets") == (sorted([one, other]), [woven])


def test_every_split_of_a_dict_has_a_step(
    start: Callable[..., Run], record: Callable[..., Record]
) -> None:
    splits = DatasetDict(a=Dataset.from_dict(ROWS), b=Dataset.from_dict(ROWS).skip(3))
    with start(), recorded():
        splits.map(shout)
    assert len(finished(record(), "map")) == 2
    assert len(record().steps) == 4


def test_several_processes_make_one_step(
    start: Callable[..., Run], record: Callable[..., Record], here: Path
) -> None:
    raw = Dataset.from_dict(ROWS)
    raw.save_to_disk(here / "raw")
    raw = datasets.load_from_disk(str(here / "raw"))
    with start(), recorded() as watch:
        loud = raw.map(shout, num_proc=2)
        wanted = watch.artifact(loud).digest
    assert made(record(), "map")[1] == [wanted]
    assert not record().gaps
    assert loud["text"] == [text.upper() for text in ROWS["text"]]


def test_results_fingerprints_and_caches_are_those_of_everyday(
    start: Callable[..., Run], here: Path
) -> None:
    Dataset.from_dict(ROWS).save_to_disk(here / "raw")

    def prepare() -> Dataset:
        raw = datasets.load_from_disk(str(here / "raw"))
        parts = raw.filter(is_long).map(shout).shuffle(seed=1).train_test_split(seed=2)
        return concatenate_datasets([parts["test"], parts["train"]])

    plain = prepare()
    cached = sorted(file.name for file in (here / "raw").rglob("*"))
    with start(), recorded():
        watched = prepare()
    assert watched._fingerprint == plain._fingerprint
    assert watched.to_list() == plain.to_list()
    assert sorted(file.name for file in (here / "raw").rglob("*")) == cached


def test_an_error_of_the_script_is_its_own(
    start: Callable[..., Run], record: Callable[..., Record]
) -> None:
    with start(), recorded(), pytest.raises(RuntimeError, match="to be"):
        Dataset.from_dict(ROWS).map(fail)
    assert [body.outcome for body in finished(record(), "map")] == ["failed"]


def test_an_error_of_ours_is_a_gap(
    start: Callable[..., Run],
    record: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        message = "a bug"
        raise ValueError(message)

    monkeypatch.setattr(hook, "_datasets", broken)
    with start(), recorded():
        loud = Dataset.from_dict(ROWS).map(shout)
    assert loud["text"][0] == "TO BE"
    (gap,) = record().gaps
    assert "ValueError: a bug" in gap.why


def test_a_strict_run_says_so(
    start: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        what = "dataset"
        raise RecordingError(what, "x", "no")

    with start(), recorded():
        monkeypatch.setattr(session.Run, "step", broken)
        with pytest.raises(RecordingError):
            Dataset.from_dict(ROWS).map(shout)


def test_a_version_without_some_method_leaves_a_gap(
    start: Callable[..., Run],
    record: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hook, "METHODS", (*hook.METHODS, "sort_of"))
    with start(), recorded():
        pass
    (gap,) = record().gaps
    assert gap.name == "sort_of"


def test_blocks_within_blocks_record_once(
    start: Callable[..., Run], record: Callable[..., Record]
) -> None:
    with start(), recorded():
        with recorded():
            Dataset.from_dict(ROWS).map(shout)
        Dataset.from_dict(ROWS).filter(is_long)
    assert len(finished(record(), "map")) == 1
    assert len(finished(record(), "filter")) == 1


def test_other_threads_are_watched_as_well(
    start: Callable[..., Run], record: Callable[..., Record]
) -> None:
    raw = Dataset.from_dict(ROWS)
    with start(), recorded():
        threads = [threading.Thread(target=raw.select, args=([n],)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(finished(record(), "select")) == 4


def test_somebody_elses_patch_stays(start: Callable[..., Run]) -> None:
    with start(), recorded():
        ours = Dataset.map

        def theirs(self: Dataset, *args: Any, **kwargs: Any) -> Any:
            return ours(self, *args, **kwargs)

        Dataset.map = theirs  # type: ignore[method-assign]
    try:
        assert Dataset.map is theirs
        assert Dataset.from_dict(ROWS).map(shout)["text"][0] == "TO BE"
    finally:
        Dataset.map = inspect.unwrap(ours, stop=lambda f: f is not ours)


def test_a_block_begins_a_run_where_none_is_open(
    here: Path, key_file: Path, record: Callable[..., Record]
) -> None:
    (here / "train.py").write_text("")
    with recorded(name="prepare", store=here / "store", key=key_file, code="train.py"):
        Dataset.from_dict(ROWS).map(shout)
    assert session.current() is None
    assert record().outcome == "completed"
    assert len(record().steps) == 2


def test_random_states_are_not_touched(start: Callable[..., Run]) -> None:
    raw = Dataset.from_dict(ROWS)
    with start():
        before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
        with recorded() as watch:
            assert watch.artifact(raw.map(shout)).digest
        after = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    assert before == after


def test_the_script_of_the_page_records_what_it_does(
    here: Path, record: Callable[..., Record]
) -> None:
    script = Path(__file__).parents[2] / "docs" / "examples" / "prepare_datasets.py"
    (here / "prepare.py").write_bytes(script.read_bytes())
    environ = os.environ | {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    subprocess.run([sys.executable, "prepare.py"], check=True, env=environ)
    found = record("provenance-store")
    assert not found.gaps
    assert found.outcome == "completed"
    lines = found.artifacts["lines"]
    assert lines.fingerprint.count == 5
    names = [s.step.name for s in found.steps if s.outcome == "completed"]
    assert names == [
        "filter",
        "map",
        "train_test_split",
        "concatenate_datasets",
        "train",
    ]
    assert made(found, "filter")[0] == [lines.fingerprint.digest]
    (train,) = finished(found, "train")
    used = {use.role: use.digest for use in train.uses}
    (mixed,) = made(found, "concatenate_datasets")[1]
    assert used["training-data"] == mixed
    whole = {
        s.products[0].name: s.products[0].digest for s in found.steps if s.products
    }
    assert used["validation-data"] == whole["test"]
    sizes = {
        body.fingerprint.digest: body.fingerprint.count
        for body in found.bodies
        if hasattr(body, "fingerprint")
    }
    assert (sizes[mixed], sizes[whole["test"]]) == (6, 1)
