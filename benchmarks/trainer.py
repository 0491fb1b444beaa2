"""What does the callback of transformers cost a training, beside a plain one?

    OMP_NUM_THREADS=1 python benchmarks/trainer.py [--steps 60 400] [--rounds N]

A GPT-2, scaled down and with random weights, is trained in a process of its own for
each round: without anything, with the callback, and with MLflow (a store in sqlite),
where that is installed. They take turns, and the best round of each counts. The time is
that of `trainer.train()`, checkpoints and their deletion included, and of the end of
the run, which is also given alone.

`own CPU` is what the methods of the callback take of the training thread, as its own
clock counts it. Weights at the end must be the same, bit by bit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from typing import Any

import measure

BARE, OURS, MLFLOW = "plain", "provenance", "MLflow"
LENGTH, BATCH, SAMPLES = 128, 4, 2_000


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, nargs="+", default=[60, 400])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", choices=[BARE, OURS, MLFLOW], help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.one:
        train(settings.one, settings.steps[0])
        return
    kinds = [BARE, OURS, *([MLFLOW] if find_spec("mlflow") else [])]
    measure.show(
        "| steps | with | s | time / plain | end, s | own CPU | CPU of a step |"
    )
    measure.show("|--:|---|--:|--:|--:|--:|--:|")
    for steps in settings.steps:
        _table(kinds, steps, settings.rounds)


def _table(kinds: list[str], steps: int, rounds: int) -> None:
    best: dict[str, dict[str, Any]] = {}
    weights: set[str] = set()
    for _ in range(rounds):
        for kind in kinds:
            found = _round(kind, steps)
            weights.add(found["weights"])
            if kind not in best or found["seconds"] < best[kind]["seconds"]:
                best[kind] = found
    if len(weights) > 1:
        message = "the weights are not the same"
        raise SystemExit(message)
    for kind, found in best.items():
        ratio = found["seconds"] / best[BARE]["seconds"]
        own = f"{found['own']:.2%}" if kind == OURS else ""
        measure.show(
            f"| {steps} | {kind} | {found['seconds']:.2f} | {ratio:.3f} | "
            f"{found['end']:.2f} | {own} | {found['step'] * 1e3:.1f} ms |"
        )
        if kind == OURS and os.environ.get("DETAILS"):
            measure.show(json.dumps(found["methods"]))


def _round(kind: str, steps: int) -> dict[str, Any]:
    command = [sys.executable, os.path.abspath(__file__)]  # noqa: PTH100 (as it is)
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [*command, "--one", kind, "--steps", str(steps)],
            cwd=scratch,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            check=True,
            capture_output=True,
            text=True,
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def train(kind: str, steps: int) -> None:
    """Train once, and print what it took."""
    import torch
    import transformers  # noqa: PLC0415

    transformers.set_seed(7)
    model = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=2_000,
            n_positions=LENGTH,
            n_embd=128,
            n_layer=4,
            n_head=4,
            bos_token_id=0,
            eos_token_id=0,
            loss_type="ForCausalLM",
        )
    )
    text = torch.randint(2_000, (SAMPLES, LENGTH))
    data = [{"input_ids": one, "labels": one} for one in text]
    took: dict[str, list[float]] = {}
    callbacks = [_callback(took)] if kind == OURS else []
    trainer = transformers.Trainer(
        model,
        transformers.TrainingArguments(
            "out",
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            logging_steps=10,
            save_steps=steps // 4,
            save_total_limit=2,
            use_cpu=True,
            disable_tqdm=True,
            report_to=["mlflow"] if kind == MLFLOW else [],
        ),
        train_dataset=data,
        callbacks=callbacks,
    )
    if kind == MLFLOW:
        import mlflow  # noqa: PLC0415

        mlflow.set_tracking_uri("sqlite:///mlflow.db")
    started, cpu = time.perf_counter(), time.thread_time()
    trainer.train()
    trained, used = time.perf_counter(), time.thread_time()
    for callback in callbacks:
        callback.leave()
    ended = time.perf_counter()
    own = sum(sum(times) for times in took.values())
    state = b"".join(one.numpy().tobytes() for one in model.state_dict().values())
    told = {
        "seconds": ended - started,
        "end": ended - trained,
        "own": own / (used - cpu),
        "step": (used - cpu) / steps,
        "weights": hashlib.sha256(state).hexdigest(),
        "methods": {
            name: f"{len(times)} x {sum(times) / len(times) * 1e6:.0f} us"
            for name, times in took.items()
        },
    }
    print(json.dumps(told))


def _callback(took: dict[str, list[float]]) -> Any:
    """Return the callback, with a clock around each of its methods."""
    from provenance.hooks.transformers import ProvenanceCallback  # noqa: PLC0415

    def timed(name: str) -> Any:
        method = getattr(ProvenanceCallback, name)

        def call(*arguments: Any, **more: Any) -> Any:
            started = time.thread_time()
            try:
                return method(*arguments, **more)
            finally:
                took.setdefault(name, []).append(time.thread_time() - started)

        return call

    names = [name for name in vars(ProvenanceCallback) if name.startswith("on_")]
    kind = type("Timed", (ProvenanceCallback,), {name: timed(name) for name in names})
    return kind(name="benchmark", training_data=__file__, code=__file__)


if __name__ == "__main__":
    main()
