"""Plain PyTorch: saving a checkpoint and recording it in one call.

Each function does what the function of the same name does, and then records what was
written as a checkpoint of a step. What the framework raises is raised; what goes wrong
in recording is a gap, as everywhere.

    from provenance.hooks.torch import save

    with run.step("train", uses=[corpus]) as train:
        ...
        save(train, model.state_dict(), "out/model.pt", step=100)

A distributed checkpoint is a folder that all ranks write into. It counts from its
commit marker on, the file `.metadata` that is renamed into place when all is written:
then the rank that writes the marker records the folder, and the others record nothing.
The marker is never unpickled.
"""

from __future__ import annotations

import dataclasses
import os
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.distributed import checkpoint as dcp

from provenance.errors import RecordingError

if TYPE_CHECKING:
    from os import PathLike

    from provenance.record.artifact import Artifact
    from provenance.record.step import Step

__all__ = ["async_save_distributed", "save", "save_distributed", "save_file"]

MARKER = ".metadata"
"""What makes a folder a complete distributed checkpoint."""


def save(
    into: Step,
    obj: object,
    path: str | PathLike[str],
    *,
    step: int | None = None,
    **options: Any,
) -> Artifact:
    """Save with `torch.save`, and record the file.

    Args:
        into: the step of the record that has made it.
        obj: what to save.
        path: where to.
        step: the training step that it was taken at.
        options: whatever else `torch.save` takes.
    """
    torch.save(obj, path, **options)
    return into.checkpoint(path, step=step)


def save_file(
    into: Step,
    tensors: dict[str, Any],
    path: str | PathLike[str],
    *,
    step: int | None = None,
    metadata: dict[str, str] | None = None,
) -> Artifact:
    """Save with `safetensors.torch.save_file`, and record the file.

    Args:
        into: the step of the record that has made it.
        tensors: what to save, by name.
        path: where to.
        step: the training step that it was taken at.
        metadata: texts for the header of the file.
    """
    from safetensors.torch import save_file as write  # noqa: PLC0415 (another package)

    write(tensors, path, metadata=metadata)
    return into.checkpoint(path, step=step)


def save_distributed(
    into: Step,
    state: dict[str, Any],
    folder: str | PathLike[str],
    *,
    step: int | None = None,
    **options: Any,
) -> Artifact | None:
    """Save with `torch.distributed.checkpoint.save`, on all ranks; one records it.

    Args:
        into: the step of the record that has made it.
        state: what to save.
        folder: where to.
        step: the training step that it was taken at.
        options: whatever else that function takes.

    Returns:
        The checkpoint, on the rank that records it; None on the others.
    """
    is_ours = _coordinates(options)
    dcp.save(state, checkpoint_id=folder, **options)
    return _record(into, folder, step) if is_ours else None


def async_save_distributed(
    into: Step,
    state: dict[str, Any],
    folder: str | PathLike[str],
    *,
    step: int | None = None,
    **options: Any,
) -> Any:
    """Save with `torch.distributed.checkpoint.async_save`, and record it when written.

    Wait for the result before the step of the record ends, and the run with it: what
    is written only after that is not recorded, and the log says so.

    Args:
        into: the step of the record that has made it.
        state: what to save.
        folder: where to.
        step: the training step that it was taken at.
        options: whatever else that function takes.

    Returns:
        What that function returns: its result is there when the checkpoint has been
        handed over to the recorder, too.
    """
    is_ours = _coordinates(options)
    found: Any = dcp.async_save(state, checkpoint_id=folder, **options)
    if not is_ours:
        return found
    # Whoever waits for a future goes on before its callbacks are called.
    handed_over: Future[Any] = Future()

    def done(future: Future[Any]) -> None:
        error = future.exception()
        try:
            if error is None:
                _record(into, folder, step)
            else:
                _gap(into, folder, f"it was not written: {error}")
        except RecordingError as refused:  # only where that was asked for
            error = refused
        if error is None:
            handed_over.set_result(future.result())
        else:
            handed_over.set_exception(error)

    written = getattr(found, "upload_completion", found)
    written.add_done_callback(done)
    if written is found:
        return handed_over
    return dataclasses.replace(found, upload_completion=handed_over)


def _record(
    into: Step, folder: str | PathLike[str], step: int | None
) -> Artifact | None:
    # Without it the folder is half a checkpoint, whatever the call has returned.
    if not os.path.exists(os.path.join(folder, MARKER)):  # noqa: PTH110, PTH118
        why = f"there is no {MARKER!r} in it: it was not written to its end"
        _gap(into, folder, why)
        return None
    return into.checkpoint(folder, step=step)


def _coordinates(options: dict[str, Any]) -> bool:
    """Tell whether this rank writes the marker: the first one of the group."""
    if options.get("no_dist") or not dist.is_available() or not dist.is_initialized():
        return True
    group = options.get("process_group")
    if group is dist.GroupMember.NON_GROUP_MEMBER:
        return False
    return bool(dist.get_rank(group) == 0)


def _gap(into: Step, folder: str | PathLike[str], why: str) -> None:
    run = getattr(into, "_run", None)  # there is none outside of a run
    if run is not None:
        run.gap("checkpoint", Path(folder).name, why)
