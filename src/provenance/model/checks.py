"""Validators for attrs fields, made from the checks of `text`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from provenance.errors import FormatError
from provenance.model import text

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from attrs import Attribute


Validator: TypeAlias = "Callable[[Any, Attribute[Any], Any], None]"
"""What attrs calls with the instance, the attribute and the value."""


def _named(check: Callable[[object], None]) -> Validator:
    """Turn a check of a value into a validator."""

    def validate(_: object, __: Attribute[object], value: object, /) -> None:
        check(value)

    return validate


digest = _named(text.check_digest)
identifier = _named(text.check_id)
words = _named(text.check_text)
count = _named(text.check_count)
moment = _named(text.check_time)


def one_of(options: Container[str]) -> Validator:
    """Accept exactly the strings of a closed list."""

    def validate(_: object, attribute: Attribute[object], value: object, /) -> None:
        if not isinstance(value, str) or value not in options:
            message = f"{str(value)[:60]!r} is not a {attribute.name} of this version"
            raise FormatError(message)

    return validate


def optional(check: Validator) -> Validator:
    """Accept None as well."""

    def validate(
        instance: object, attribute: Attribute[object], value: object, /
    ) -> None:
        if value is not None:
            check(instance, attribute, value)

    return validate
