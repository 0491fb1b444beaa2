"""What one step sees of its data, batch after batch, and where that is kept.

A batch costs a tuple in a buffer; what stands for its samples is hashed on the
recorder's thread, when a part is cut: at each checkpoint, at the end of the step, and
when there are many. Each part names the one before, so that the last one commits to
all of them. What could not be recorded is a gap, and the chain begins again behind it.

Nothing here raises, unless the run is strict, and nothing draws a random number.
"""

from __future__ import annotations

import operator
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from provenance.encoding import orders
from provenance.errors import FormatError, ProvenanceError
from provenance.model.orders import MAX_BATCHES, MAX_IDS, Batch, Header

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from provenance.model.values import Value
    from provenance.record.journal import Journal
    from provenance.record.recorder import Recorder

Entry: TypeAlias = "tuple[int, int, int | None, Any, Any, int | None]"
"""Epoch, batch in it, training step, what stands for the samples, tokens, samples."""

MAX_WAITING = 16 * MAX_BATCHES
"""Batches that wait while the store takes nothing; what comes then is a gap."""
MAX_WAITING_IDS = 4 * MAX_IDS

MAX_KEPT = 2**26
"""Identities that are kept of one order; behind these, there are digests only."""

_LATE = "batches were served after the step had ended"
_BUSY = "{} batches came while the store took nothing, or too slowly"


class Order:
    """What a step consumes from one source; made by `Step.order` and `Step.consume`.

    Attributes:
        name: what it is called.
        at: the training step of the batches that are added without one.
        ends: digests of the parts that commit to all that were recorded: the last one
            of each chain. For the recorder's thread.
    """

    def __init__(
        self,
        name: str,
        recorder: Recorder,
        *,
        identity: str | None = None,
        found: Mapping[str, Value] | None = None,
    ) -> None:
        self.name = name
        self.at: int | None = None
        self.ends: list[str] = []
        self._recorder = recorder
        self._identity = identity
        self._found = found or {}
        self._epoch = 0
        self._batch = 0
        self._open = True
        self._told_late = False
        self._blocked = False
        # Appending and popping need no lock: one side is the caller's, one the
        # recorder's. Each keeps its own count, and neither writes that of the other.
        self._waiting: deque[Entry | int] = deque()
        self._added = 0
        self._added_ids = 0
        self._lost = 0
        self._cut_at = 0
        self._cut_ids = 0
        self._look_at = 1
        self._look_at_ids = MAX_IDS
        # Of the recorder's thread:
        self._taken = 0
        self._taken_ids = 0
        self._first = 0
        self._chained = False
        self._kept = 0
        self._complained = False

    @property
    def is_open(self) -> bool:
        """Whether batches are taken here and now."""
        return self._open and self._recorder.is_open

    def add(
        self,
        ids: Iterable[Any] | bytes | None = None,
        *,
        tokens: int | None = None,
        epoch: int | None = None,
        batch: int | None = None,
        step: int | None = None,
        samples: int | None = None,
    ) -> None:
        """Say that a batch was handed to the model just now; takes a microsecond.

        Args:
            ids: what stands for its samples: their positions in the dataset or their
                names; the 32 bytes of a digest where the identity is `content`; None
                where nothing is known.
            tokens: how many tokens it holds.
            epoch: in which pass over the data; the same as before if not given.
            batch: its number in that pass; one more than before if not given, and 0
                in another epoch.
            step: the training step that it is for; `at` if not given.
            samples: how many samples it holds, where `ids` does not tell.
        """
        if epoch is not None and epoch != self._epoch:
            self._epoch = epoch
            self._batch = 0
        if batch is not None:
            self._batch = batch
        number = self._batch
        self._batch += 1
        if self._blocked and not self._has_room():
            return
        taken = frozen(ids)
        at = self.at if step is None else step
        self._waiting.append((self._epoch, number, at, taken, tokens, samples))
        self._count(taken)

    def passing(
        self, epoch: int, batch: int = 0
    ) -> Callable[[Any, Any, int | None], None]:
        """Begin another pass over the data, at a batch that need not be its first.

        Returns:
            What adds the next batch of this pass: what stands for its samples, taken
            as it is, which must not change; its tokens; how many samples it holds.
        """
        self._epoch = epoch
        self._batch = number = batch
        wait = self._waiting.append

        def append(ids: Any, tokens: Any, samples: int | None) -> None:
            nonlocal number
            if not self._blocked or self._has_room():
                wait((epoch, number, self.at, ids, tokens, samples))
                # As `_count` does, which would be one more call for each batch.
                self._added = added = self._added + 1
                if ids is not None:
                    self._added_ids += len(ids)
                if added >= self._look_at or self._added_ids >= self._look_at_ids:
                    self._look()
            number += 1

        return append

    def _count(self, ids: Any) -> None:
        self._added += 1
        if ids is not None:
            self._added_ids += len(ids)
        # Whatever else is to be seen to is not seen to at each batch.
        if self._added >= self._look_at or self._added_ids >= self._look_at_ids:
            self._look()

    def cut(self) -> None:
        """Record what has come since the last part."""
        if self._added != self._cut_at and self._recorder.is_open:
            self._put()

    def end(self) -> None:
        """Record the rest, and take no more; safe to call twice."""
        if not self._open:
            return
        self._open = False
        self._blocked = True
        if self._lost:
            self._mark_lost()
        # Asked for once more where it was asked for already: it may have been dropped.
        if self._added > self._taken and self._recorder.is_open:
            self._put()

    def _put(self) -> None:
        until = self._cut_at = self._added
        self._cut_ids = self._added_ids
        self._recorder.put("order", self.name, lambda j: self._record_until(j, until))

    def refuse(self, why: str) -> None:
        """Leave a gap, and go on without what it is about; raise if strict."""

        def work(_: Journal) -> None:
            raise FormatError(why)

        self._recorder.put("order", self.name, work)

    def _look(self) -> None:
        """Cut a part where it is time, and see whether there is still room."""
        if (
            self._added - self._cut_at >= MAX_BATCHES
            or self._added_ids - self._cut_ids >= MAX_IDS
        ):
            self.cut()
        self._blocked = self._is_full
        self._look_at = min(
            self._cut_at + MAX_BATCHES, self._added + max(1, MAX_WAITING // 1024)
        )
        self._look_at_ids = self._cut_ids + MAX_IDS

    @property
    def _is_full(self) -> bool:
        return self._added - self._taken >= MAX_WAITING or (
            self._added_ids - self._taken_ids >= MAX_WAITING_IDS
        )

    def _has_room(self) -> bool:
        """Whether a batch can be taken after all; if not, count it."""
        if not self._open:
            self._tell_late()
            return False
        if self._is_full:
            self._lost += 1
            self.cut()
            return False
        if self._lost:
            self._mark_lost()
        self._blocked = False
        return True

    def _mark_lost(self) -> None:
        lost, self._lost = self._lost, 0
        self._waiting.append(lost)
        self._added += 1

    def _tell_late(self) -> None:
        if not self._told_late:
            self._told_late = True
            self.refuse(_LATE)

    # On the recorder's thread.

    def _record_until(self, journal: Journal, until: int) -> None:
        """Record all parts up to here; what fails does not keep the rest from it."""
        failed: Exception | None = None
        while (before := self._taken) < until:
            try:
                self._record(journal, until)
            except Exception as error:  # noqa: BLE001 (raised below, as all are)
                failed = error
                if self._taken == before:
                    break
        if failed is not None:
            raise failed

    def _record(self, journal: Journal, until: int) -> None:
        """Record one part, or say why there is none."""
        before, first = self._taken, self._first
        chained, self._chained = self._chained, False
        try:
            batches, lost = self._take(journal, until)
        finally:
            self._first += self._taken - before
        if lost:
            self._first += lost - 1  # one entry stands for all of them
        if batches:
            previous = self.ends[-1] if chained else None
            header = Header(
                first=first, identity=self._identity or "count", previous=previous
            )
            part = journal.capture.order(self.name, header, batches, self._found)
            # Without the one before, the chain begins again.
            self.ends[len(self.ends) - chained :] = [part]
            self._chained = not lost
        if lost:
            journal.report("order", self.name, _BUSY.format(lost))

    def _take(self, journal: Journal, until: int) -> tuple[list[Batch], int]:
        """Take what makes up one part, and the number of batches lost behind it."""
        batches: list[Batch] = []
        count = 0
        while self._taken < until and len(batches) < MAX_BATCHES:
            entry = self._waiting[0]
            size = 0 if isinstance(entry, int) else len(entry[3] or ())
            if batches and count + size > MAX_IDS:
                break
            self._waiting.popleft()
            self._taken += 1
            self._taken_ids += size
            if isinstance(entry, int):
                return batches, entry
            batch = self._batch_of(journal, entry)
            count += len(batch.ids or b"") // 8
            batches.append(batch)
        return batches, 0

    def _batch_of(self, journal: Journal, entry: Entry) -> Batch:
        epoch, number, step, ids, tokens, samples = entry
        known: dict[str, Any] = {"epoch": epoch, "batch": number, "step": _whole(step)}
        counted = _whole(tokens)
        if self._identity is None:
            self._identity = _identity(ids)
        try:
            made = self._named(ids, known | {"tokens": counted}, samples)
        except ProvenanceError as error:
            # That it was there is known; what it was is not.
            self._complain(journal, str(error))
            made = Batch(**known, tokens=counted, samples=samples, digest=_NOTHING)
        if made.ids is None:
            return made
        self._kept += made.samples or 0
        return made if self._kept <= MAX_KEPT else _without_ids(made)

    def _named(self, ids: Any, known: dict[str, Any], samples: int | None) -> Batch:
        if ids is None:
            return Batch(**known, samples=_whole(samples), digest=_NOTHING)
        match self._identity:
            case "index":
                return orders.of_indices(ids, **known)
            case "id":
                return orders.of_texts(map(_text, ids), **known)
            case "content":
                return Batch(**known, samples=_whole(samples), digest=ids)
            case _:
                return Batch(**known, samples=_whole(samples), digest=_NOTHING)

    def _complain(self, journal: Journal, why: str) -> None:
        if not self._complained:
            self._complained = True
            journal.report("order", self.name, f"of some batches: {why}")


_NOTHING = orders.NOTHING
_FROZEN = frozenset({tuple, bytes, type(None)})


def frozen(ids: Any) -> Any:
    """Take identities as they are now, in whatever kind of list: it may be used again.

    >>> frozen([3, 1])
    (3, 1)
    """
    if type(ids) is list:
        return tuple(ids)
    if type(ids) in _FROZEN:
        return ids
    try:
        # An array or a tensor gives its numbers at once, a list or one number.
        found = ids.tolist() if hasattr(ids, "tolist") else list(ids)
    except Exception as error:  # noqa: BLE001 (somebody else's object)
        return (error,)  # refused by its type when its turn comes
    return tuple(found) if isinstance(found, list) else (found,)


def _identity(ids: Any) -> str:
    """Return what kind of identities these are."""
    if ids is None:
        return "count"
    if type(ids) is bytes:
        return "content"
    return "index" if all(type(one) is int for one in ids) else "id"


def _text(identity: object) -> str:
    """Spell one identity that is not a position."""
    if type(identity) is str:
        return identity
    if type(identity) is bytes:
        return identity.hex()
    if type(identity) in (tuple, list):
        return "/".join(map(_text, cast("Iterable[object]", identity)))
    try:
        return str(operator.index(cast("Any", identity)))
    except TypeError:
        kind = type(identity)
        message = (
            f"a {kind.__module__}.{kind.__qualname__} names no sample; use a position "
            "or a text"
        )
        raise FormatError(message) from None


def _whole(number: Any) -> int | None:
    """Return a count as a plain whole number, or None for what is none."""
    if number is None or type(number) is int:
        return number
    try:
        return operator.index(number)
    except Exception:  # noqa: BLE001 (somebody else's number)
        return None


def _without_ids(batch: Batch) -> Batch:
    return Batch(
        epoch=batch.epoch,
        batch=batch.batch,
        step=batch.step,
        samples=batch.samples,
        tokens=batch.tokens,
        digest=batch.digest,
    )
