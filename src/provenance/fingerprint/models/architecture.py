"""How a model is built: from its files, or from the object that a script made.

>>> from pathlib import Path
>>> import tempfile
>>> with tempfile.TemporaryDirectory() as root:
...     _ = Path(root, "config.json").write_text('{"model_type": "gpt2"}')
...     of_files(root)
{'config': {'config.json': {'model_type': 'gpt2'}}, 'model_type': 'gpt2'}

A description holds plain values: no weights, no addresses, no devices, no state of the
training. Models that are built alike have equal ones. Nothing is loaded, and no
framework is imported: an object brings its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from provenance.errors import FormatError
from provenance.fingerprint.models import (
    keras_models,
    model_files,
    settings,
    sklearn_estimators,
    torch_modules,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from provenance.fingerprint.reading import Read
    from provenance.model.values import Value


def of_files(
    target: str | os.PathLike[str], *, sizes: Mapping[bytes, int] | None = None
) -> dict[str, Value]:
    """Describe the model in a file, or in a folder and the folders in it.

    Whatever is wrong with one of the files is a sentence under `says`.

    Args:
        target: the file or folder; it may be a link to one.
        sizes: the files of the folder by raw path relative to it, with the bytes that
            each was seen to have. Without them the folder is listed.

    Returns:
        Facts (docs: how-to/record-an-architecture); empty when nothing in it looks
        like a model.

    Raises:
        FileError: it cannot be listed, or not opened.
    """
    return model_files.of_files(target, sizes=sizes)


def of_held(read: Read, *, size: int, name: str) -> dict[str, Value]:
    """Describe the model in a file that is open.

    Args:
        read: takes an offset and a number of bytes.
        size: bytes of the whole file.
        name: what it is called; looked at for its ending.

    Raises:
        UnreadableError: the operating system refused.
    """
    return model_files.of_held(read, size=size, name=name)


def of_open(files: Iterable[tuple[bytes, int, int]]) -> dict[str, Value]:
    """Describe the model in files of a folder that are open.

    Args:
        files: raw path relative to the folder, bytes, and descriptor of each. They are
            read with `pread`; where the system has none, hand over the folder.
    """
    return model_files.of_open(files)


def of_object(model: object) -> dict[str, Value]:
    """Describe a model of torch, keras or scikit-learn.

    The methods of the model that are called are those by which its framework describes
    it. No tensor is copied or looked into.

    Raises:
        FormatError: it is nothing of that kind.
    """
    # A model of keras is a module of torch as well, when it runs on torch.
    for framework in (keras_models, torch_modules, sklearn_estimators):
        if framework.accepts(model):
            found: dict[str, Value] = framework.describe(model)
            return found
    message = (
        f"a {settings.name_of(type(model))} does not tell how it is built; hand over a "
        "torch.nn.Module, a keras model or a scikit-learn estimator, or the files"
    )
    raise FormatError(message)
