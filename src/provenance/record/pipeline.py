"""Functions whose calls are steps of a run.

>>> import os, pathlib, tempfile
>>> from provenance.record.session import start
>>> folder = pathlib.Path(tempfile.mkdtemp())
>>> raw = folder / "raw.txt"
>>> _ = raw.write_text("To be, or NOT to be")
>>> @step("process")
... def lower(corpus, path, *, step):
...     _ = path.write_text(raw.read_text().lower())
...     return step.dataset(path)
>>> with start("cleaning", store=folder / "store", code=raw) as run:
...     lower(run.dataset(raw), folder / "clean.txt").name
'clean.txt'

The function does what it did: its result, its exceptions, its name and its signature
are its own. Where no run is open it runs all the same.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Self, TypeVar

from provenance.errors import RecordingError, UsageError
from provenance.model.statements import ROLES, STEP_KINDS
from provenance.record import given
from provenance.record.artifact import Artifact
from provenance.record.log import logger
from provenance.record.session import current
from provenance.record.step import Step, Unrecorded

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Callable,
        Generator,
        Iterable,
        Iterator,
        Mapping,
    )
    from types import TracebackType


_PARAMETER = "step"
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)

_Result = TypeVar("_Result")


def step(
    kind: str,
    *,
    name: str | None = None,
    uses: Iterable[Artifact | tuple[Artifact, str]] = (),
    roles: Mapping[str, str] | None = None,
    **facts: object,
) -> Callable[[Callable[..., _Result]], Callable[..., _Result]]:
    """Make each call of a function a step of the run that is open then.

    The step uses every artifact among the arguments, also in lists, tuples, sets and
    dicts of them. A function that produces something has a parameter named `step`: it
    is filled with the `provenance.Step`, unless the caller passes something. Where no
    run is open that step takes everything and records nothing.

    The step lasts as long as the call; for a generator, from the first item to the
    last; for a coroutine, while it runs. It has failed when an exception leaves it.

    Args:
        kind: as in `Run.step`.
        name: what the step is called; the name of the function if not given.
        uses: artifacts that it uses beside its arguments.
        roles: what arguments are to the step, by the name of their parameter, where
            that is not the usual thing: `roles={"held_out": "validation-data"}`.
        facts: whatever else is known.

    Raises:
        UsageError: an unknown kind or role, or what is decorated is no function.
    """
    if kind not in STEP_KINDS:
        message = (
            f"{kind!r} is no kind of step; write @provenance.step(kind), with one of "
            f"{', '.join(STEP_KINDS)}"
        )
        raise UsageError(message)
    unknown = sorted({str(role) for role in (roles or {}).values()} - set(ROLES))
    if unknown:
        message = f"{unknown[0]!r} is no role; use one of {', '.join(ROLES)}"
        raise UsageError(message)
    described = _Described(kind, name, given.items(uses), dict(roles or {}), facts)

    def decorate(function: Callable[..., _Result]) -> Callable[..., _Result]:
        wrapped: Callable[..., _Result] = _wrapped(function, described)
        return wrapped

    return decorate


class _Described:
    """What the decorator was told."""

    def __init__(
        self,
        kind: str,
        name: str | None,
        uses: list[Any],
        roles: Mapping[str, str],
        facts: Mapping[str, object],
    ) -> None:
        self.kind = kind
        self.name = name
        self.uses = uses
        self.roles = roles
        self.facts = facts


def _wrapped(function: Any, told: _Described) -> Any:
    if isinstance(function, staticmethod | classmethod):
        return type(function)(_wrapped(function.__func__, told))
    if not callable(function) or inspect.isclass(function):
        message = f"{function!r} is no function; decorate a function or a method"
        raise UsageError(message)
    calls = _Calls(function, told)
    unknown = sorted(told.roles.keys() - calls.parameters.keys())
    if unknown and not calls.takes_any:
        message = f"{calls.name} has no parameter {unknown[0]!r} to have a role"
        raise UsageError(message)
    if inspect.isasyncgenfunction(function):
        return _async_generator(calls)
    if inspect.iscoroutinefunction(function):
        return _coroutine(calls)
    if inspect.isgeneratorfunction(function):
        return _generator(calls)
    return _plain(calls)


# One wrapper for each way in which a call may go on.


def _plain(calls: _Calls) -> Callable[..., Any]:
    @functools.wraps(calls.function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with calls.call(args, kwargs) as call:
            return calls.function(*args, **call.kwargs)

    return wrapper


def _coroutine(calls: _Calls) -> Callable[..., Any]:
    @functools.wraps(calls.function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with calls.call(args, kwargs) as call:
            return await calls.function(*args, **call.kwargs)

    return wrapper


def _generator(calls: _Calls) -> Callable[..., Any]:
    @functools.wraps(calls.function)
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with calls.call(args, kwargs) as call:
            return (yield from calls.function(*args, **call.kwargs))

    return wrapper


def _async_generator(calls: _Calls) -> Callable[..., Any]:
    @functools.wraps(calls.function)
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with calls.call(args, kwargs) as call:
            inner = calls.function(*args, **call.kwargs)
            # What `yield from` does for a generator has no name here.
            go_on, sent = inner.asend, None
            try:
                while True:
                    item = await go_on(sent)
                    go_on = inner.asend
                    try:
                        sent = yield item
                    except GeneratorExit:
                        raise
                    except BaseException as error:  # noqa: BLE001 (it is handed on)
                        go_on, sent = inner.athrow, error
            except StopAsyncIteration:
                return
            finally:
                await inner.aclose()

    return wrapper


class _Calls:
    """A function, and how its calls become steps."""

    def __init__(self, function: Callable[..., Any], told: _Described) -> None:
        self.function = function
        self.told = told
        self.name = str(getattr(function, "__name__", type(function).__name__))
        self.has_warned = False
        try:
            self.signature: inspect.Signature | None = inspect.signature(function)
        except (TypeError, ValueError):
            self.signature = None  # a function of C may have none
        self.parameters: Mapping[str, inspect.Parameter] = (
            self.signature.parameters if self.signature else {}
        )

    @property
    def takes_any(self) -> bool:
        """Whether arguments may have names that the signature does not tell."""
        kinds = {one.kind for one in self.parameters.values()}
        return self.signature is None or inspect.Parameter.VAR_KEYWORD in kinds

    @property
    def facts(self) -> dict[str, Any]:
        """What the decorator was told, and which function it is about."""
        module = getattr(self.function, "__module__", None)
        whole = getattr(self.function, "__qualname__", self.name)
        named = f"{module}.{whole}" if module else whole
        return {"function": named, **self.told.facts}

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
        """Return the step of one call, which begins when it is entered."""
        return _Call(self, args, kwargs)

    def bound(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[tuple[str, Any]]:
        """Return the arguments, each with the name of its parameter.

        Where they do not fit, the function is about to say so itself.
        """
        if self.signature is None:
            return [*(("", one) for one in args), *kwargs.items()]
        try:
            bound = self.signature.bind_partial(*args, **kwargs)
        except TypeError:
            return []
        bound.apply_defaults()
        found: list[tuple[str, Any]] = []
        for name, value in bound.arguments.items():
            match self.parameters[name].kind:
                case inspect.Parameter.VAR_KEYWORD:
                    found.extend(value.items())
                case inspect.Parameter.VAR_POSITIONAL:
                    found.extend((name, one) for one in value)
                case _:
                    found.append((name, value))
        return found

    def wants_step(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Tell whether there is a parameter for the step, still to be filled."""
        parameter = self.parameters.get(_PARAMETER)
        if parameter is None or parameter.kind not in _BY_NAME or _PARAMETER in kwargs:
            return False
        before = list(self.parameters).index(_PARAMETER)
        by_position = parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        return not (by_position and len(args) > before)


class _Call:
    """One call of a function, and the step that it is."""

    def __init__(
        self, calls: _Calls, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.kwargs = kwargs
        self._calls = calls
        self._args = args
        self._step: Step = Unrecorded(calls.told.kind, calls.name)

    def __enter__(self) -> Self:
        calls, told = self._calls, self._calls.told
        run = current()
        if run is not None:
            uses = [*told.uses, *self._uses()]
            name = told.name or calls.name
            self._step = run.step(told.kind, name=name, uses=uses, **calls.facts)
        elif not calls.has_warned:
            calls.has_warned = True
            logger.warning("no run is open: %s runs without a record", calls.name)
        if calls.wants_step(self._args, self.kwargs):
            self.kwargs = {**self.kwargs, _PARAMETER: self._step}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._step.__exit__(kind, error, traceback)
        except RecordingError as failed:
            if error is None:
                raise
            # Whoever called is told about the function, not about its record.
            logger.warning("%s", failed)

    def _uses(self) -> Iterator[Artifact | tuple[Artifact, str]]:
        for parameter, value in self._calls.bound(self._args, self.kwargs):
            role = self._calls.told.roles.get(parameter)
            for one in _artifacts(value):
                yield (one, role) if isinstance(one, Artifact) and role else one


def _artifacts(value: Any) -> list[Artifact | tuple[Artifact, str]]:
    """Return the artifacts in an argument; only plain containers are looked into."""
    if _is_artifact(value):
        return [value]
    if type(value) is dict:
        return [one for one in value.values() if _is_artifact(one)]
    if type(value) in (list, tuple, set, frozenset):
        return [one for one in value if _is_artifact(one)]
    return []


def _is_artifact(value: Any) -> bool:
    """Tell whether it is an artifact, or a pair of one and its role."""
    if type(value) is not tuple:
        return isinstance(value, Artifact)
    match value:
        case (Artifact(), str()):
            return True
        case _:
            return False
