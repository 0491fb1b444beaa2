"""How a module of torch is built, seen without importing torch or running the module.

The tree of modules is read from where torch keeps it, so a module that overrides its
methods is described all the same. Of tensors only type and shape are looked at: no
value is read, no device is waited for, and devices do not show.

A wrapper (for several devices, for compiling) stands where it is, with the wrapped
module below. A wrapper that cuts parameters into pieces shows the pieces.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import define, field

from provenance.fingerprint.models import bounded, settings

if TYPE_CHECKING:
    from provenance.model.values import Value

_Module: TypeAlias = Any  # torch is not imported here

MAX_MODULES = 2_000
MAX_TENSORS = 2_000
MAX_BUFFERS = 1_000
MAX_SETTINGS = 2_000
_ROOM = 220 * 2**10
_MAX_TIED = 200

# Their own text says only how they were made. Those of containers and of quantized
# modules print devices and values.
_TELLING = "torch.nn.modules."
_CONTAINERS = "torch.nn.modules.container"
_INNER = ("module", "_orig_mod", "_fsdp_wrapped_module")
_HAVE_ADDRESSES = frozenset({"cpu", "cuda", "xpu", "mps"})
# Where a model was found, and what saving it notes, is no part of how it is built. The
# types stand beside the tensors.
_ELSEWHERE = frozenset(
    {"architectures", "dtype", "torch_dtype", "transformers_version"}
)


@define
class _Found:
    """What a walk over the modules has seen."""

    modules: dict[str, str] = field(factory=dict)
    tensors: dict[str, str] = field(factory=dict)
    buffers: dict[str, str] = field(factory=dict)
    names: dict[object, list[str]] = field(factory=dict)
    parameters: int = 0
    trainable: int = 0
    classes: dict[type, tuple[str, bool]] = field(factory=dict)


def accepts(model: object) -> bool:
    """Tell whether something is a module of torch."""
    torch: Any = sys.modules.get("torch.nn")
    module = getattr(torch, "Module", None)
    return module is not None and module in type(model).__mro__


def describe(model: _Module) -> dict[str, Value]:
    """Describe a module and the modules in it.

    Args:
        model: for which `accepts` is true.

    Returns:
        `class`; `modules`, each with its class and, for those of torch, how it was
        made; `tensors` and `buffers`, each with type and shape; `parameters` and
        `trainable`, numbers of elements; `tied`, the names that share one tensor;
        `config`, where the module has one like those of transformers.
    """
    found = _Found()
    _walk(model, found)
    modules = bounded.Budget(entries=MAX_MODULES, size=_ROOM)
    tensors = bounded.Budget(entries=MAX_TENSORS, size=_ROOM)
    buffers = bounded.Budget(entries=MAX_BUFFERS, size=_ROOM // 4)
    told: dict[str, Value] = {
        "framework": "torch",
        "class": settings.name_of(type(model)),
        "parameters": found.parameters,
        "trainable": found.trainable,
        **bounded.of(found.modules, modules).told("modules"),
        **bounded.of(found.tensors, tensors).told("tensors"),
        **bounded.of(found.buffers, buffers).told("buffers"),
    }
    tied = sorted(sorted(names) for names in found.names.values() if len(names) > 1)
    if tied:
        budget = bounded.Budget(entries=_MAX_TIED, size=_ROOM // 4)
        shared = {names[0]: ", ".join(names[1:]) for names in tied}
        told |= bounded.of(shared, budget).told("tied")
    return told | _config(model)


def _walk(model: _Module, found: _Found) -> None:
    """Visit each module once, under the first of its names."""
    first: dict[int, str] = {}
    stack = [("", model)]
    while stack:
        name, module = stack.pop()
        if id(module) in first:
            found.modules[name] = f"the same as {first[id(module)]!r}"
            continue
        first[id(module)] = name
        found.modules[name] = _text(module, found)
        prefix = f"{name}." if name else ""
        for key, parameter in _inside(module, "_parameters"):
            if parameter is not None:
                _parameter(prefix + settings.text(key), parameter, found)
        for key, buffer in _inside(module, "_buffers"):
            if buffer is not None:
                found.buffers[prefix + settings.text(key)] = _tensor(buffer)
        children = [
            (prefix + settings.text(key), child)
            for key, child in _inside(module, "_modules")
            if child is not None
        ]
        stack.extend(reversed(children))


def _inside(module: _Module, what: str) -> list[tuple[str, Any]]:
    """Return what torch keeps in a module; compiled ones keep it in classes of torch.

    A module may have been made without the constructor of torch: it has nothing inside.
    """
    kept = vars(module).get(what)
    return [] if kept is None else list(kept.items())


def _text(module: _Module, found: _Found) -> str:
    kind = type(module)
    if kind not in found.classes:
        found.classes[kind] = (settings.name_of(kind), _tells(kind))
    name, tells = found.classes[kind]
    extra = _extra(kind, module) if tells else ""
    return f"{name}({extra})" if extra else name


def _extra(kind: Any, module: _Module) -> str:
    try:
        return settings.text(kind.extra_repr(module))
    except (AttributeError, RuntimeError, TypeError, ValueError):
        return "…"  # what it would tell was taken out of it


def _tells(kind: type) -> bool:
    """Tell whether a class is one of torch whose own text can be asked for."""
    where = kind.__module__
    if not where.startswith(_TELLING) or where == _CONTAINERS:
        return False
    # Anybody can write torch's name into a class, but not put the class there.
    return getattr(sys.modules.get(where), kind.__name__, None) is kind


def _parameter(name: str, parameter: Any, found: _Found) -> None:
    found.tensors[name] = _tensor(parameter)
    names = found.names.setdefault(_identity(parameter), [])
    names.append(name)
    if len(names) == 1:
        elements = _elements(parameter)
        found.parameters += elements
        found.trainable += elements if parameter.requires_grad else 0


def _identity(parameter: Any) -> object:
    """Return what is equal for two names of one tensor; it is not recorded."""
    torch: Any = sys.modules["torch"]
    ordinary = type(parameter) in (torch.Tensor, torch.nn.Parameter)
    if ordinary and parameter.device.type in _HAVE_ADDRESSES:
        address = parameter.data_ptr()
        if address:
            return (str(parameter.device), address, tuple(parameter.shape))
    return id(parameter)


def _elements(tensor: Any) -> int:
    try:
        return int(tensor.numel())
    except (RuntimeError, ValueError):  # it has no shape before the first batch
        return 0


def _tensor(tensor: Any) -> str:
    torch: Any = sys.modules["torch"]
    dtype = str(tensor.dtype).removeprefix("torch.")
    try:
        shape = str(list(tensor.shape))
    except (RuntimeError, ValueError):
        shape = "without a shape yet"
    kind = type(tensor)
    own = (torch.Tensor, torch.nn.Parameter, getattr(torch.nn, "Buffer", None))
    return f"{dtype} {shape}" + ("" if kind in own else f" {settings.name_of(kind)}")


def _config(model: _Module) -> dict[str, Value]:
    """Return the configuration of a model like those of transformers."""
    for _ in range(5):
        config = vars(model).get("config")
        inner = dict(_inside(model, "_modules"))
        if config is not None:
            break
        below = (inner.get(key) for key in _INNER)
        model = next((one for one in below if one is not None), None)
        if model is None:
            return {}
    else:
        return {}
    to_dict = getattr(type(config), "to_dict", None)
    if to_dict is None:
        return {}
    try:
        told = settings.plain(_built(to_dict(config)))
    except Exception as error:  # noqa: BLE001 (a class of somebody else)
        return {"says": [f"the config could not be asked: {type(error).__name__}"]}
    if not isinstance(told, dict):
        return {}
    budget = bounded.Budget(entries=MAX_SETTINGS, size=_ROOM)
    kept, says = bounded.fit(told, budget, what="config")
    return {"config": kept, **({"says": [*says[: bounded.MAX_SAYS]]} if says else {})}


def _built(value: object, depth: int = 0) -> object:
    """Leave out what says where a model came from instead of how it is built."""
    if not isinstance(value, dict) or depth > settings.MAX_DEPTH:
        return value
    return {
        key: _built(item, depth + 1)
        for key, item in value.items()
        if key not in _ELSEWHERE and not str(key).startswith("_")
    }
