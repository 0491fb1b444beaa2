"""What `datasets.Dataset` is made from: each `map`, `filter` and so on, as a step.

    from provenance.hooks.datasets import recorded

    with recorded() as watch:
        clean = raw.filter(is_english).map(tokenize)
    step = run.step("train", uses=[watch.artifact(clean)])

While the block is open, the methods of `datasets.Dataset` that make another dataset,
and `concatenate_datasets` and `interleave_datasets`, are also steps of the run: from
what, into what, by which function and with which arguments. They do what they always
do, with the same results, fingerprints and cache files. After the block they are
what they were before.

Each dataset on the way is fingerprinted by its rows, on the recorder's thread. What one
method calls of the others is part of its step and no step itself.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import threading
import weakref
from typing import TYPE_CHECKING, Any, Self

import datasets
import datasets.combine

from provenance.hooks.joining import Joining, guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from provenance.model.values import Value
    from provenance.record.artifact import Artifact
    from provenance.record.step import Step

__all__ = ["Watch", "recorded"]

METHODS = (
    "add_column",
    "add_item",
    "align_labels_with_mapping",
    "batch",
    "cast",
    "cast_column",
    "class_encode_column",
    "filter",
    "flatten",
    "map",
    "remove_columns",
    "rename_column",
    "rename_columns",
    "repeat",
    "select",
    "select_columns",
    "shard",
    "shuffle",
    "skip",
    "sort",
    "take",
    "train_test_split",
)
"""What makes other rows or columns. Formats only change how the same rows look."""

FUNCTIONS = {
    # Whoever imports the public ones by name has them already: these are looked up
    # by them at each call.
    "_concatenate_map_style_datasets": "concatenate_datasets",
    "_interleave_map_style_datasets": "interleave_datasets",
}

MAX_ITEMS = 100
MAX_WORDS = 1_000
MAX_LEVELS = 3
"""What is longer, or deeper, in arguments is told by its type and size."""

_lock = threading.Lock()
_open: list[Watch] = []
_replaced: list[tuple[Any, str, Any, Any]] = []
_within = threading.local()


def recorded(**options: Any) -> Watch:
    """Watch what datasets are made from; use it in a `with` statement.

    Args:
        options: what `provenance.start` takes, where no run is open and the block
            begins one.
    """
    return Watch(**options)


class Watch(Joining):
    """An open block of `recorded`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._known: weakref.WeakKeyDictionary[Any, Artifact] = (
            weakref.WeakKeyDictionary()
        )

    def artifact(self, dataset: datasets.Dataset) -> Artifact:
        """Return the artifact of a dataset; record it if it is not known yet."""
        found = self._known.get(dataset)
        if found is None:
            found = self.join().dataset(dataset)
            self._known[dataset] = found
        return found

    def call(
        self,
        name: str,
        original: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Call what is watched, and record it as a step."""
        step = self._begin(name, original, args, kwargs)
        if step is None:
            return original(*args, **kwargs)
        with step:
            made = original(*args, **kwargs)
            self._made(step, made)
        return made

    @guarded
    def _begin(
        self,
        name: str,
        original: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Step:
        given = inspect.signature(original).bind(*args, **kwargs).arguments
        given |= given.pop("kwargs", {})
        uses = [self.artifact(one) for one in _datasets(given)]
        function = given.pop("function", None)
        facts: dict[str, Any] = {
            "function": None if function is None else _function(function),
            "arguments": {key: _told(given[key]) for key in given} or None,
        }
        return self.join().step("process", name=name, uses=uses, **facts)

    @guarded
    def _made(self, step: Step, made: object) -> None:
        if isinstance(made, datasets.DatasetDict):
            for split, one in made.items():
                self._keep(step, one, name=str(split))
        elif isinstance(made, datasets.Dataset):
            self._keep(step, made, name=None)

    def _keep(self, step: Step, made: datasets.Dataset, *, name: str | None) -> None:
        if made not in self._known:  # some methods return what they were called on
            self._known[made] = step.dataset(made, name=name)

    def __enter__(self) -> Self:
        self.join()
        self._start()
        return self

    def __exit__(
        self,
        _: type[BaseException] | None,
        error: BaseException | None,
        __: TracebackType | None,
    ) -> None:
        with _lock:
            if self in _open:
                _open.remove(self)
            if not _open:
                _restore()
        self.leave("completed" if error is None else "failed")

    @guarded
    def _start(self) -> None:
        with _lock:
            _open.append(self)
            if _replaced:
                return
            missing = [name for name in METHODS if not _replace(datasets.Dataset, name)]
            missing += [
                public
                for name, public in FUNCTIONS.items()
                if not _replace(datasets.combine, name, public)
            ]
        for name in missing:
            why = f"datasets {datasets.__version__} has no such method to watch"
            self.join().gap("step", name, why)


def _replace(owner: Any, name: str, called: str | None = None) -> bool:
    original = vars(owner).get(name)
    if not callable(original):
        return False
    ours = _watched(called or name, original)
    _replaced.append((owner, name, original, ours))
    setattr(owner, name, ours)
    return True


def _restore() -> None:
    for owner, name, original, ours in reversed(_replaced):
        # What somebody else has put there since calls ours, which then does nothing.
        if vars(owner).get(name) is ours:
            setattr(owner, name, original)
    _replaced.clear()


def _watched(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        watch = _watch()
        if watch is None:
            return original(*args, **kwargs)
        with _nothing_within():
            return watch.call(name, original, args, kwargs)

    return wrapper


def _watch() -> Watch | None:
    """Return who records a call that begins here and now."""
    if getattr(_within, "a_step", False):
        return None
    # Without the lock: a forked process may have got it held, for ever.
    watch = next(iter(_open[-1:]), None)
    # In a forked process the run is not its own: the parent records the whole call.
    return watch if watch and watch.run and watch.run.is_open else None


@contextlib.contextmanager
def _nothing_within() -> Iterator[None]:
    _within.a_step = True
    try:
        yield
    finally:
        _within.a_step = False


def _datasets(given: dict[str, Any]) -> list[datasets.Dataset]:
    """Take the datasets out of the arguments of a call, each once."""
    found: list[datasets.Dataset] = []
    for key, value in list(given.items()):
        several = value if isinstance(value, list | tuple) else [value]
        ours = [one for one in several if isinstance(one, datasets.Dataset)]
        if ours:
            del given[key]
        found += [one for one in ours if not any(one is other for other in found)]
    return found


def _function(function: Any) -> dict[str, Value]:
    """Say which function it is, and what its source is where that can be had."""
    bare = function
    while isinstance(bare, functools.partial):
        bare = bare.func
    bare = inspect.unwrap(bare)
    named = bare if hasattr(bare, "__qualname__") else type(bare)
    found: dict[str, Value] = {"name": f"{named.__module__}.{named.__qualname__}"}
    try:
        source = inspect.getsource(named)
    except (OSError, TypeError, SyntaxError):
        return found  # made by `exec`, or built into the interpreter
    return found | {"source_sha256": hashlib.sha256(source.encode()).hexdigest()}


def _told(value: object, levels: int = MAX_LEVELS) -> Value:
    """Spell an argument; what is no plain value, or large, by its type and size."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value) if len(value) <= MAX_WORDS else f"{len(value)} characters"
    if isinstance(value, range):
        return f"range({value.start}, {value.stop}, {value.step})"
    if callable(value):
        return _function(value)["name"]
    if levels and isinstance(value, list | tuple) and len(value) <= MAX_ITEMS:
        return [_told(one, levels - 1) for one in value]
    if levels and isinstance(value, dict) and len(value) <= MAX_ITEMS:
        return {str(key): _told(value[key], levels - 1) for key in value}
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    size = getattr(value, "__len__", None)
    return f"{kind} of {size()} items" if callable(size) else kind
