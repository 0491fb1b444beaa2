"""How a model of keras is built: its layers, their settings, and how they are joined.

Keras numbers the names that it gives to layers through the whole program, so the same
model has other names the second time. Here such names are numbered within the model:
`dense_7` becomes `dense#1`, when it is the second layer with a name of that kind.
"""

from __future__ import annotations

import json
import math
import re
import sys
from typing import TYPE_CHECKING, Any

from attrs import define, field

from provenance.fingerprint.models import bounded, settings

if TYPE_CHECKING:
    from provenance.model.values import Value

MAX_MODULES = 2_000
MAX_TENSORS = 2_000
MAX_SETTINGS = 1_000
_ROOM = 250 * 2**10
_MAX_DEPTH = 16
_NUMBER = re.compile(r"(.*?)(?:_[0-9]+)?", re.DOTALL)
_UNDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])")
# Under these keys a config names layers; anywhere else such a text is something else.
_NAMING = frozenset({"name", "keras_history", "input_layers", "output_layers"})
_LAMBDA = "__lambda__"


def accepts(model: object) -> bool:
    """Tell whether something is a model of keras."""
    for package in ("keras", "tf_keras"):
        base = getattr(sys.modules.get(package), "Model", None)
        if base is not None and base in type(model).__mro__:
            return True
    return False


@define
class _Names:
    """Names that keras gave, each with the one that it has within the model."""

    given: dict[str, str] = field(factory=dict)
    counts: dict[str, int] = field(factory=dict)

    def learn(self, name: str, kind: str) -> None:
        """Remember a layer; kind is the name of its class."""
        base = _snake(kind)
        found = _NUMBER.fullmatch(name)
        if found and found[1] == base and name not in self.given:
            number = self.counts.get(base, 0)
            self.counts[base] = number + 1
            self.given[name] = f"{base}#{number}"

    def path(self, path: str) -> str:
        """Rename the parts of the name of a variable."""
        return "/".join(self.given.get(part, part) for part in path.split("/"))

    def config(self, value: Value, *, naming: bool = False) -> Value:
        """Rename what names a layer in a config."""
        if isinstance(value, str):
            return self.given.get(value, value) if naming else value
        if isinstance(value, list):
            return [self.config(item, naming=naming) for item in value]
        if isinstance(value, dict):
            # The code of a lambda is compiled, and holds the path of its file.
            keys = value if value.get("class_name") != _LAMBDA else ("class_name",)
            return {key: self.config(value[key], naming=key in _NAMING) for key in keys}
        return value


def describe(model: Any) -> dict[str, Value]:
    """Describe a model and the models in it.

    Args:
        model: for which `accepts` is true.

    Returns:
        `class`; `modules`, each layer with its class and its settings in JSON;
        `config`, what the model says besides; `tensors`, each weight with type and
        shape; `parameters` and `trainable`, numbers of elements.
    """
    names = _Names()
    _learn(model, names, 0)
    modules: dict[str, str] = {}
    rest = _layers(model, names, "", modules)
    says: list[str] = []
    if rest is None:
        says.append("the model does not tell its config; its layers are listed")
    listed = bounded.Budget(entries=MAX_MODULES, size=_ROOM)
    told: dict[str, Value] = {
        "framework": "keras",
        "class": settings.name_of(type(model)),
        **bounded.of(modules, listed).told("modules"),
        **_weights(model, names),
    }
    budget = bounded.Budget(entries=MAX_SETTINGS, size=_ROOM)
    kept, large = bounded.fit(rest or {}, budget, what="config")
    says += large[: bounded.MAX_SAYS]
    return told | {"config": kept} | ({"says": [*says]} if says else {})


def _learn(layer: Any, names: _Names, depth: int) -> None:
    names.learn(str(layer.name), type(layer).__name__)
    for inner in _inner(layer) if depth < _MAX_DEPTH else ():
        _learn(inner, names, depth + 1)


def _inner(layer: Any) -> list[Any]:
    """Return the layers of a model; a layer that is no model has none here."""
    return list(layer.layers) if accepts(layer) else []


def _layers(
    model: Any, names: _Names, prefix: str, modules: dict[str, str]
) -> dict[str, Value] | None:
    """Note the layers below a model; return what else its config says, or None."""
    config = _config(model, names)
    described = (config or {}).pop("layers", None)
    nodes = {
        str(one.get("name")): one.get("inbound_nodes")
        for one in (described if isinstance(described, list) else [])
        if isinstance(one, dict)
    }
    for layer in _inner(model):
        name = names.given.get(str(layer.name), str(layer.name))
        joined = nodes.get(name)
        path = settings.text(prefix + name)
        deep = accepts(layer) and path.count("/") < _MAX_DEPTH
        own = _layers(layer, names, f"{path}/", modules) if deep else None
        inside = own if deep else _config(layer, names)
        told: dict[str, Value] = {"config": inside}
        if joined:
            told["inbound_nodes"] = joined
        text = json.dumps(told, sort_keys=True, separators=(",", ":"), default=repr)
        modules[path] = f"{settings.name_of(type(layer))} {text}"
    return config


def _config(layer: Any, names: _Names) -> dict[str, Value] | None:
    try:
        config = names.config(settings.plain(layer.get_config()))
    except Exception:  # noqa: BLE001 (the class may be somebody else's)
        return None
    return config if isinstance(config, dict) else None


def _weights(model: Any, names: _Names) -> dict[str, Value]:
    tensors: dict[str, str] = {}
    totals = [0, 0]
    for weight in model.weights:
        name = names.path(settings.text(str(getattr(weight, "path", weight.name))))
        while name in tensors:
            name += "'"
        shape = [int(axis) for axis in weight.shape]
        dtype = getattr(weight.dtype, "name", weight.dtype)
        tensors[name] = f"{dtype} {shape}"
        totals[0] += math.prod(shape)
        totals[1] += math.prod(shape) if weight.trainable else 0
    budget = bounded.Budget(entries=MAX_TENSORS, size=_ROOM)
    return {
        "parameters": totals[0],
        "trainable": totals[1],
        **bounded.of(tensors, budget).told("tensors"),
    }


def _snake(name: str) -> str:
    """Return the name that keras makes from that of a class."""
    return _UNDER.sub("_", name).lower()
