"""One value that a script logs: a number or a text now, or a number a little later.

>>> take(0.5), take("warm-up")
(0.5, 'warm-up')
>>> take([1, 2])
Refused(reason='is a builtins.list; log one number or a text')

No library is imported here. A number that lies on an accelerator is not waited for: it
is copied there, and read by whoever calls `settle`, on another thread.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import frozen

from provenance.record.foreign import Refused, class_name, look

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TEXT = 4_096
"""Characters of a text that is logged; a longer one is a sample, not a metric."""

_EXACT = 2**53
"""Whole numbers up to here are floats without becoming others."""

PLAIN = frozenset({float, int, bool, type(None)})
"""Types that are kept as they are, without a look at the value."""


@frozen
class Later:
    """A number that is not known yet.

    Attributes:
        read: waits for it and returns it; for another thread than that of the training.
    """

    read: Callable[[], object]


Taken: TypeAlias = "float | int | bool | str | Later | Refused | None"


def take(value: object) -> Taken:
    """Take a value as it is now; what is no number or text is refused with a reason.

    Never raises, and never waits for an accelerator.
    """
    if type(value) in PLAIN:
        return value  # type: ignore[return-value] # just seen
    if isinstance(value, str) and len(value) > MAX_TEXT:
        # Refused at once: rows wait, and so would all of it.
        reason = f"is a text of more than {MAX_TEXT:,} characters; use step.samples"
        return Refused(reason)
    try:
        return _foreign(value)
    except Exception as error:  # noqa: BLE001 (an object of somebody else)
        name = class_name(type(value))
        return Refused(f"is a {name} that raised {type(error).__name__} when read")


def settle(value: Taken) -> float | str | Refused | None:
    """Return what is kept of a value: a float, a text, None, or why nothing is.

    Waits for a number that lies on an accelerator.
    """
    if isinstance(value, Later):
        try:
            value = take(value.read())
        except Exception as error:  # noqa: BLE001 (a framework's)
            return Refused(f"raised {type(error).__name__} when it was read")
    match value:
        case str():
            return value if _is_unicode(value) else Refused("holds a lone surrogate")
        case int() if abs(value) > _EXACT:
            return Refused("is a whole number beyond 2**53, which no float is equal to")
        case int() | float():
            return float(value)
        case None | Refused():
            return value
        case _:  # a number that was to be read later, and still is not there
            return Refused("is not a number yet")


def _foreign(value: Any) -> Taken:
    torch = sys.modules.get("torch")
    if isinstance(value, getattr(torch, "Tensor", ())):
        return _tensor(torch, value)
    shape = getattr(value, "shape", ())
    if isinstance(shape, tuple) and shape:
        # One number in whatever many brackets is a number.
        if math.prod(shape) != 1:
            return Refused(f"has the shape {shape}; log one number")
        value = value.reshape(())
    if class_name(type(value)) in _ASYNCHRONOUS:
        return Later(value.item)  # it never changes, so there is nothing to copy
    found = look(value)
    match found:
        case bool() | int() | float() | str() | None | Refused():
            return found
        case _:
            name = class_name(type(value))
            return Refused(f"is a {name}; log one number or a text")


def _tensor(torch: Any, value: Any) -> Taken:
    """Read a tensor of torch at once where that is cheap, and copy it where not."""
    if type(value) not in (torch.Tensor, torch.nn.Parameter):
        # Reading one that is spread over ranks could make this rank wait for others.
        return Refused(f"is a {class_name(type(value))}; log a number: value.item()")
    if value.numel() != 1:
        return Refused(f"has the shape {tuple(value.shape)}; log one number")
    if value.device.type == "cpu":
        return look(value.item())  # type: ignore[return-value] # complex is refused
    return Later(_reading(torch, value.detach().clone()))


def _reading(torch: Any, copy: Any) -> Callable[[], object]:
    """Return what reads a copy once the stream that makes it has come so far."""
    if copy.device.type != "cuda":
        return copy.item  # type: ignore[no-any-return] # a method of torch
    made = torch.cuda.Event()
    made.record(torch.cuda.current_stream(copy.device))

    def read() -> object:
        made.synchronize()
        return copy.item()

    return read


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


_ASYNCHRONOUS = frozenset({"jaxlib._jax.ArrayImpl", "jaxlib.xla_extension.ArrayImpl"})
"""Arrays of jax: whoever reads one waits until it was computed."""
