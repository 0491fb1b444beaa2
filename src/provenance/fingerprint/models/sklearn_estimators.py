"""How an estimator of scikit-learn is built, nested ones included.

Its parameters are what `get_params` gives; what was fitted is no part of them. Other
libraries whose models are estimators of scikit-learn are described in the same way.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from provenance.errors import FormatError
from provenance.fingerprint.models import bounded, settings

if TYPE_CHECKING:
    from provenance.model.values import Value

MAX_MODULES = 1_000
MAX_SETTINGS = 6_000
_ROOM = 400 * 2**10


def accepts(model: object) -> bool:
    """Tell whether something is an estimator of scikit-learn, and not a class of it."""
    base = _base()
    return base is not None and base in type(model).__mro__


def describe(model: Any) -> dict[str, Value]:
    """Describe an estimator, a pipeline or a search.

    Args:
        model: for which `accepts` is true.

    Returns:
        `class`; `modules`, the estimators by the name that their parameters have;
        `config`, all parameters, with estimators by their class.

    Raises:
        FormatError: its parameters could not be asked for.
    """
    try:
        given = model.get_params(deep=True)
    except Exception as error:  # the class may be somebody else's
        name = settings.name_of(type(model))
        message = f"the parameters of a {name} could not be asked: {error}"
        raise FormatError(settings.text(message)) from error
    modules = {"": settings.name_of(type(model))}
    rest: dict[object, object] = {}
    for key, value in given.items():
        if accepts(value):
            modules[settings.text(str(key))] = settings.name_of(value)
        else:
            rest[key] = value
    config = settings.plain(rest)
    budget = bounded.Budget(entries=MAX_SETTINGS, size=_ROOM)
    kept, says = bounded.fit(
        config if isinstance(config, dict) else {}, budget, what="config"
    )
    names = bounded.Budget(entries=MAX_MODULES, size=_ROOM)
    told: dict[str, Value] = {
        "framework": "sklearn",
        "class": modules[""],
        **bounded.of(modules, names).told("modules"),
        "config": kept,
    }
    return told | ({"says": says[: bounded.MAX_SAYS]} if says else {})


def _base() -> type | None:
    found: type | None = getattr(sys.modules.get("sklearn.base"), "BaseEstimator", None)
    return found
