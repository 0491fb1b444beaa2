"""`provenance replay-order`: would a loader serve the same batches once more?

The record says which samples each batch held. The loader is made again by a function
of the user, in this process; a `DataLoader` of torch is asked for what it draws, and
loads nothing.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click
from attrs import frozen

from provenance.cli import output
from provenance.cli.output import hint, shown
from provenance.cli.replayed import Loader, batch_of
from provenance.cli.view import read
from provenance.encoding.orders import NOTHING as UNKNOWN
from provenance.errors import FormatError, LedgerError, LimitError, UsageError
from provenance.ledger import orders
from provenance.ledger.reader import find_run
from provenance.model.statements import ArtifactRecorded, StepRecorded
from provenance.model.values import to
from provenance.tables.read import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from provenance.cli.view import View
    from provenance.encoding.canonical import Json
    from provenance.ledger.orders import Served
    from provenance.ledger.reader import RecordedRun
    from provenance.model.orders import Batch

FORMAT = "training-provenance-replay"
VERSION = 1
DIFFERS = 1
NOTHING = 3
REFUSED = 5
MAX_SHOWN = 8
"""Samples of a batch that are shown."""


@click.command(name="replay-order")
@click.argument("place", metavar="STORE|RELEASE")
@click.option(
    "--loader",
    metavar="MODULE:FUNCTION",
    required=True,
    help="Your function that makes the loader.",
)
@click.option("--run", "wanted", default="latest", help="The run: an id, or `latest`.")
@click.option("--order", "name", help="The data order, where there are several.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def replay_order(
    place: str, loader: str, wanted: str, name: str | None, *, as_json: bool
) -> int:
    """Compare the recorded data order with what a loader serves now.

    FUNCTION is your own code, and it runs, with all your rights. It is called with
    those of `config`, `seed`, `epoch`, `rank` and `ranks` that it has as parameters,
    and returns a DataLoader of torch, or batches of positions or names of samples.
    With `epoch` it is called for each epoch, otherwise once for all.

    Nothing is verified here: whose record it is, `provenance verify` tells.

    \b
    Exit codes:
      0  the same order, on every rank
      1  another order
      3  nothing to compare
      5  the record contradicts itself
    """  # noqa: D301 (click wants the character)
    try:
        view = read(place)
        run = find_run(list(view.runs), wanted)
        served = list(_served(view, run, name))
    except (FormatError, LedgerError, LimitError) as error:
        click.echo(f"REFUSED: {shown(str(error))}", err=True)
        return REFUSED
    compared: list[Compared] = []
    if served:  # otherwise nobody's code need run
        make = _function(loader)
        compared = [_compare(one, make, _known(run, one)) for one in served]
    if as_json:
        output.print_json(_document(run, compared))
    else:
        _print(compared)
    return _exit_code(compared)


@frozen(kw_only=True)
class Difference:
    """Where a loader first served something else.

    Attributes:
        epoch: the pass over the data.
        batch: the batch in it.
        expected: what the record says stood there, in words.
        got: what the loader served, in words.
    """

    epoch: int
    batch: int
    expected: str
    got: str


@frozen(kw_only=True)
class Compared:
    """One data order, compared.

    Attributes:
        served: what was recorded.
        batches: how many batches are the same, from the first one on.
        difference: where they are no more; None where all are.
    """

    served: Served
    batches: int
    difference: Difference | None


def _served(view: View, run: RecordedRun, name: str | None) -> Iterator[Served]:
    found = orders.parts_of(run)
    names = sorted({parts[-1].name for _, parts in found})
    if name is not None and name not in names:
        known = ", ".join(map(repr, names)) or "none"
        message = f"the run {run.id[:12]} has no data order {name!r}; it has: {known}"
        raise UsageError(message)
    if name is None and len(names) > 1:
        listed = ", ".join(map(repr, names))
        message = f"say which data order with --order: {listed}"
        raise UsageError(message)
    with Reader() as tables:
        for rank, parts in found:
            if name in (None, parts[-1].name):
                yield orders.read(view.store, tables, parts, rank=rank)


def _function(spelled: str) -> Callable[..., Any]:
    """Import the user's function, from the current folder too.

    Raises:
        UsageError: there is none.
    """
    module, _, name = spelled.partition(":")
    if not module or not name:
        message = f"--loader is MODULE:FUNCTION, not {spelled!r}"
        raise UsageError(message)
    here = os.getcwd()  # noqa: PTH109 (as a string, for the path of modules)
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        message = f"there is no {spelled!r}: {error}"
        raise UsageError(message) from error
    if not callable(found):
        message = f"{spelled!r} is no function"
        raise UsageError(message)
    function: Callable[..., Any] = found
    return function


def _known(run: RecordedRun, served: Served) -> dict[str, Any]:
    """Return what the record tells a loader."""
    return {
        "config": _config(run, served),
        "seed": _seed(served.found.get("loader")),
        "rank": served.rank,
        "ranks": len({ledger.begun.rank for ledger in run.ledgers}),
    }


def _config(run: RecordedRun, served: Served) -> Any:
    """Return the values of the configuration of the step that was served.

    Where it used several, they come as a dict by name.
    """
    by_digest = {
        body.fingerprint.digest: body
        for body in run.bodies(ArtifactRecorded)
        if body.kind == "config"
    }
    used = {
        use.digest
        for step in run.bodies(StepRecorded)
        if any(
            one.role == "data-order" and one.name == served.name for one in step.uses
        )
        for use in step.uses
    }
    found = {one.name: to(one.values) for key, one in by_digest.items() if key in used}
    return next(iter(found.values())) if len(found) == 1 else found


def _seed(loader: Any) -> int | None:
    """Return the seed of a loader, or of the innermost sampler that tells one."""
    found = None
    while isinstance(loader, dict):
        seed = loader.get("seed", loader.get("initial_seed"))
        found = seed if isinstance(seed, int) else found
        loader = loader.get("sampler") or loader.get("batch_sampler")
    return found


def _compare(
    served: Served, make: Callable[..., Any], known: dict[str, Any]
) -> Compared:
    """Compare batch by batch; stop at the first that is another one."""
    asked = set(inspect.signature(make).parameters)
    given = {name: value for name, value in known.items() if name in asked}
    content = served.identity == "content"
    made = None if "epoch" in asked else Loader(make(**given), content=content)
    same = 0
    for epoch, batches in groupby(served.batches, key=lambda batch: batch.epoch):
        loader = made or Loader(make(**given, epoch=epoch), content=content)
        again = loader.epoch()
        position = 0
        for batch in batches:
            if batch.ids is None and batch.digest == UNKNOWN:
                continue  # it is not known what was in it
            got = None
            while position <= batch.batch:
                got = next(again, None)
                position += 1
                if got is None:
                    break
            difference = _difference(served.identity, batch, got)
            if difference is not None:
                return Compared(served=served, batches=same, difference=difference)
            same += 1
    return Compared(served=served, batches=same, difference=None)


def _difference(identity: str, batch: Batch, got: Any) -> Difference | None:
    if got is None:
        said = "no more batches"
    else:
        again = batch_of(identity, got, batch)
        if again.digest == batch.digest:
            return None
        said = _words(again)
    return Difference(
        epoch=batch.epoch, batch=batch.batch, expected=_words(batch), got=said
    )


def _words(batch: Batch) -> str:
    numbers = batch.numbers
    if numbers is None:
        return f"the digest {batch.digest.hex()[:12]}…"
    more = ", …" if len(numbers) > MAX_SHOWN else ""
    return f"[{', '.join(map(str, numbers[:MAX_SHOWN]))}{more}]"


def _print(compared: list[Compared]) -> None:
    if not any(one.batches or one.difference for one in compared):
        hint("nothing to compare: no data order with samples is recorded here")
    for one in compared:
        about = f"rank {one.served.rank}, {shown(one.served.name)}"
        if one.served.missing:
            hint(f"{about}: {one.served.missing:,} batches are not recorded")
        if one.difference is not None:
            found = one.difference
            click.echo(
                f"ANOTHER ORDER, {about}: after {one.batches:,} same batches, batch "
                f"{found.batch:,} of epoch {found.epoch:,}"
            )
            click.echo(f"  recorded {shown(found.expected)}")
            click.echo(f"  now      {shown(found.got)}")
        elif one.batches:
            click.echo(f"same order, {about}: {one.batches:,} batches")


def _exit_code(compared: list[Compared]) -> int:
    if any(one.difference is not None for one in compared):
        return DIFFERS
    return 0 if compared and all(one.batches for one in compared) else NOTHING


def _document(run: RecordedRun, compared: list[Compared]) -> dict[str, Json]:
    listed: list[Json] = []
    for one in compared:
        found = one.difference
        difference: Json = None
        if found is not None:
            difference = {
                "batch": found.batch,
                "epoch": found.epoch,
                "expected": found.expected,
                "got": found.got,
            }
        listed.append(
            {
                "difference": difference,
                "identity": one.served.identity,
                "missing": one.served.missing,
                "name": one.served.name,
                "rank": one.served.rank,
                "same": one.batches,
            }
        )
    return {"format": FORMAT, "orders": listed, "run": run.id, "version": VERSION}
