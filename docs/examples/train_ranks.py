"""Train one small network in several processes, and record it as one run.

    torchrun --nproc-per-node 2 train_ranks.py --steps 20

Every process records. When the training was stopped, go on from a checkpoint:

    torchrun --nproc-per-node 2 train_ranks.py --steps 20 --resume out/step-10
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed import checkpoint as dcp
from torch.distributed.checkpoint import state_dict as states
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import provenance
from provenance.hooks.torch import save_distributed, save_file


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--parallel", choices=("ddp", "fsdp"), default="ddp")
    parser.add_argument("--resume")
    settings = parser.parse_args()

    # Whoever stops a job sends SIGTERM; as an exception, it ends the record properly.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    torch.manual_seed(7)
    dist.init_process_group("gloo")
    with provenance.start("ranks") as run:
        corpus = run.dataset("data/corpus.txt", source="https://example.org/corpus")
        model = parallel(network(), settings.parallel)
        with run.step("train", uses=[corpus, run.config(settings)]) as train:
            first = 0
            if settings.resume:
                train.use((run.model(settings.resume), "resumed-checkpoint"))
                first = load(model, settings.resume)
            for step in range(first + 1, settings.steps + 1):
                train.log(loss=fit(model, run.rank, step), step=step)
                if step % settings.every == 0:
                    state = states.get_model_state_dict(model)
                    place = Path(f"out/step-{step}")
                    save_distributed(
                        train, {"model": state, "step": step}, place, step=step
                    )
                    stop_here(place)

            whole = states.StateDictOptions(full_state_dict=True, cpu_offload=True)
            weights = states.get_model_state_dict(model, options=whole)
            if run.rank == 0:
                Path("final").mkdir(exist_ok=True)
                place = Path("final/model.safetensors")
                save_file(train, weights, place, step=settings.steps)
    dist.destroy_process_group()


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))


def parallel(model: nn.Module, how: str) -> nn.Module:
    if how == "ddp":
        return DistributedDataParallel(model)
    mesh = dist.device_mesh.init_device_mesh("cpu", (dist.get_world_size(),))
    return fully_shard(model, mesh=mesh)


def fit(model: nn.Module, rank: int, step: int) -> float:
    """Take one step; each rank has numbers of its own."""
    numbers = torch.Generator().manual_seed(1_000 * step + rank)
    data = torch.randn(4, 8, generator=numbers)
    loss = (model(data).squeeze(1) - data.sum(1)).square().mean()
    loss.backward()
    with torch.no_grad():
        for weight in model.parameters():
            weight.sub_(0.01 * weight.grad)
            weight.grad = None
    return loss.item()


def load(model: nn.Module, folder: str) -> int:
    """Go on from a checkpoint; return the step that it was taken at."""
    found = {"model": states.get_model_state_dict(model), "step": 0}
    dcp.load(found, checkpoint_id=folder)
    states.set_model_state_dict(model, found["model"])
    return found["step"]


def stop_here(place: Path) -> None:
    """Say that there is a checkpoint: from here on the training may be stopped."""
    print(f"saved {place}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
