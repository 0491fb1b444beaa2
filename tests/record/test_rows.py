"""A run takes objects with rows as datasets, and lets go of them."""

from __future__ import annotations

import base64
import gc
import random
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

import independent_reader
import provenance
from provenance.errors import RecordingError
from provenance.model.values import to
from provenance.signing import keys
from provenance.tables import batches, records
from provenance.verify import check_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.record.session import Run
    from recording import Record

TABLE = pa.table({"text": ["to be", "or not"], "label": [0, 1]})


def test_a_table_is_a_dataset(
    start: Callable[..., Run], record: Callable[..., Record]
) -> None:
    with start() as run:
        found = run.dataset(
            TABLE, name="corpus", source="https://example.org", license="CC0-1.0"
        )
        with run.step("train", uses=[found]):
            pass
    body = record().artifacts["corpus"]
    wanted = batches.of_arrow(TABLE).fingerprint()
    assert body.fingerprint == wanted
    assert found.digest == wanted.digest
    assert to(body.facts) == {
        "source": "https://example.org",
        "license": "CC0-1.0",
        "found": {
            "table": {
                "class": "pyarrow.Table",
                "columns": [
                    {"name": "text", "type": "string"},
                    {"name": "label", "type": "int64"},
                ],
                "rows": 2,
            }
        },
    }
    (step,) = record().steps
    assert (found.digest, "training-data") in [(u.digest, u.role) for u in step.uses]
    assert not record().gaps


def test_a_step_produces_a_table(
    start: Callable[..., Run], record: Callable[..., Record]
) -> None:
    with start() as run:
        raw = run.dataset(TABLE)
        with run.step("process", name="filter", uses=[raw]) as step:
            clean = step.dataset(TABLE.slice(1), name="clean", rule="no Hamlet")
    (made, _) = record().steps
    assert [one.digest for one in made.products] == [clean.digest]
    facts = to(record().artifacts["clean"].facts)
    assert isinstance(facts, dict)
    assert facts["rule"] == "no Hamlet"
    assert clean.digest != raw.digest


def test_what_changes_after_the_call_is_recorded_as_it_was(
    start: Callable[..., Run],
) -> None:
    array = np.arange(1_000)
    with start() as run:
        found = run.dataset(array)
        array[:] = 0
    assert found.digest == batches.of_array(np.arange(1_000)).fingerprint().digest


def test_what_is_no_dataset_leaves_a_gap(
    start: Callable[..., Run], record: Callable[..., Record]
) -> None:
    with start() as run:
        assert run.dataset([{"text": "to be"}], name="rows").digest is None
        assert run.dataset(TABLE, name="fine").digest
    (gap,) = record().gaps
    assert (gap.what, gap.name) == ("dataset", "rows")
    assert "hand over a pyarrow.Table of its rows" in gap.why


def test_a_type_that_the_format_does_not_know_leaves_a_gap(
    start: Callable[..., Run], record: Callable[..., Record]
) -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    with start() as run:
        assert run.dataset(pa.table({"u": union}), name="odd").digest is None
    (gap,) = record().gaps
    assert "does not know the type" in gap.why


def test_a_strict_run_raises(start: Callable[..., Run]) -> None:
    with (
        start(strict=True) as run,
        pytest.raises(RecordingError, match=r"pyarrow\.Table"),
    ):
        run.dataset([1, 2])


def test_nobody_holds_the_rows_once_they_are_read(start: Callable[..., Run]) -> None:
    table = TABLE.slice(0)
    seen = weakref.ref(table)
    with start() as run:
        found = run.dataset(table)
        del table
        assert found.digest
        gc.collect()
        assert seen() is None


def test_random_states_are_not_touched(start: Callable[..., Run]) -> None:
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    with start() as run:
        assert run.dataset(np.arange(5)).digest
    after = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    assert before == after


def test_the_caller_does_not_wait_for_rows_that_cannot_change(
    start: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    real = records.of_batches

    def slow(*given: Any) -> Any:
        assert go.wait(60)
        return real(*given)

    monkeypatch.setattr(records, "of_batches", slow)
    with start() as run:
        found = run.dataset(TABLE)  # returns, though nobody reads yet
        assert "…" in repr(found)
        go.set()
    assert found.digest


def test_a_release_with_a_table_verifies(
    start: Callable[..., Run], here: Path, key_file: Path
) -> None:
    with start() as run:
        corpus = run.dataset(TABLE, name="corpus", source="https://example.org")
        settings = run.config({"lr": 0.1})
        with run.step("train", uses=[corpus, settings]) as step:
            (here / "out").mkdir()
            (here / "out" / "model.bin").write_bytes(b"weights")
            step.checkpoint(here / "out" / "model.bin", step=1)
    provenance.release(
        here / "store", run.id, payload=here / "out", to=here / "rel", key=key_file
    )
    trust = here / "trust.toml"
    trust.write_text(
        'format = "training-provenance-trust-1"\n'
        f'[keys.own]\npublic = """\n{keys.load_signer(key_file).public.pem}"""\n'
        '[release]\nsigners = ["own"]\n'
    )
    trust.chmod(0o644)
    report = check_bundle(here / "rel", trust=trust)
    assert report.verdict == "OK", [found.sentence for found in report.findings]
    pem = keys.load_signer(key_file).public.pem
    der = base64.b64decode("".join(pem.splitlines()[1:-1]))
    assert independent_reader.read_release(here / "rel", der) == [b"model.bin"]
