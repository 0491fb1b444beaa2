"""Calls of decorated functions are steps, and nothing else about them changes."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

import provenance
from provenance.errors import RecordingError, UsageError
from provenance.model import values
from provenance.record.artifact import Artifact
from provenance.record.pipeline import step
from provenance.record.step import Step, Unrecorded

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from pathlib import Path

    Start: TypeAlias = Callable[..., Any]
    Read: TypeAlias = Callable[..., Any]


@pytest.fixture
def corpus(here: Path) -> Path:
    (here / "corpus.txt").write_text("to be or not to be")
    return here / "corpus.txt"


def _roles(recorded: Any) -> dict[str, str]:
    """Return what each step used, but for what every step uses."""
    own = ("code", "environment")
    return {
        f"{recorded.step.name}: {use.name}": use.role
        for use in recorded.uses
        if use.role not in own
    }


class TestACall:
    def test_it_is_a_step_from_its_arguments_to_its_products(
        self, start: Start, record: Read, corpus: Path, here: Path
    ) -> None:
        @step("process", reviewed=True)
        def lower(raw: Artifact, to: str, *, step: Step) -> Artifact:
            (here / to).write_text(f"lower {raw.kind}")
            return step.dataset(here / to)

        with start() as run:
            clean = lower(run.dataset(corpus), "clean.txt")
        found = record()
        assert found.gaps == []
        produced, ended = found.steps
        assert (produced.step.kind, produced.step.name) == ("process", "lower")
        assert [product.name for product in produced.products] == ["clean.txt"]
        assert produced.products[0].digest == clean.digest
        assert _roles(produced) == {"lower: corpus.txt": "input"}
        assert ended.outcome == "completed"
        facts = values.to(ended.facts)
        assert isinstance(facts, dict)
        assert facts["reviewed"] is True
        assert str(facts["function"]).endswith("lower")

    def test_each_call_is_one(self, start: Start, record: Read) -> None:
        @step("evaluate", name="measure", function="my own words")
        def measured(x: int) -> int:
            return x + 1

        with start():
            assert [measured(1), measured(2)] == [2, 3]
        steps = record().steps
        assert [one.step.name for one in steps] == ["measure", "measure"]
        assert len({one.step.id for one in steps}) == 2
        facts = values.to(steps[0].facts)
        assert isinstance(facts, dict)
        assert facts["function"] == "my own words"

    def test_artifacts_are_found_in_every_kind_of_argument(
        self, start: Start, record: Read, corpus: Path
    ) -> None:
        with start() as run:
            given: dict[str, Any] = {}
            for name in "abcdefghijk":
                (corpus.parent / name).write_text(name)
                given[name] = run.dataset(corpus.parent / name)

            @step("train", uses=[given["a"], (given["b"], "tokenizer")])
            def train(
                one: Any,
                many: Any,
                *more: Any,
                held_out: Any = given["c"],
                **others: Any,
            ) -> None:
                assert [one, len(many), len(more), held_out, len(others)]

            train(
                given["d"],
                [given["e"], 5, [given["k"]]],
                (given["f"],),
                {given["g"]},
                (given["h"], "guidelines"),
                deep={"i": given["i"], "j": (given["j"], "validation-data")},
            )
        data, other = "training-data", ("tokenizer", "guidelines", "validation-data")
        assert _roles(record().steps[-1]) == {
            "train: a": data,
            "train: b": other[0],
            "train: c": data,
            "train: d": data,
            "train: e": data,
            "train: f": data,
            "train: g": data,
            "train: h": other[1],
            "train: i": data,
            "train: j": other[2],
        }

    def test_roles_are_told_by_the_names_of_parameters(
        self, start: Start, record: Read, here: Path
    ) -> None:
        @step("train", roles={"held_out": "validation-data", "base": "base-model"})
        def train(corpus: Any, held_out: Any, **more: Any) -> None: ...

        with start() as run:
            given = {}
            for name in ("corpus", "test", "model"):
                (here / name).write_text(name)
                given[name] = run.dataset(here / name)
            train(given["corpus"], [given["test"]], base=given["model"])
        assert _roles(record().steps[-1]) == {
            "train: corpus": "training-data",
            "train: test": "validation-data",
            "train: model": "base-model",
        }

    def test_an_exception_is_the_functions_own(
        self, start: Start, record: Read
    ) -> None:
        error = StopIteration("mine")

        @step("train")
        def train() -> None:
            raise error

        @step("train")
        def stopped() -> None:
            raise KeyboardInterrupt

        with start():
            with pytest.raises(StopIteration) as caught:
                train()
            with pytest.raises(KeyboardInterrupt):
                stopped()
        assert caught.value is error
        assert error.__cause__ is None
        assert [one.outcome for one in record().steps] == ["failed", "interrupted"]

    def test_steps_may_lie_in_steps(self, start: Start, record: Read) -> None:
        @step("process")
        def inner(depth: int) -> int:
            return inner(depth - 1) if depth else 0

        with start():
            assert inner(2) == 0
        assert [one.outcome for one in record().steps] == ["completed"] * 3


class TestTheParameterStep:
    def test_what_the_caller_passes_is_left_alone(self, start: Start) -> None:
        @step("train")
        def by_position(step: Any, x: int = 0) -> Any:
            return step, x

        @step("train")
        def by_name(*, step: Any = None) -> Any:
            return step

        @step("train")
        def positional(step: Any = None, /) -> Any:
            return step

        @step("train")
        def loose(**step: Any) -> Any:
            return step

        with start():
            assert by_position(5) == (5, 0)
            assert by_position(step=5, x=1) == (5, 1)
            assert by_name(step=5) == 5
            assert positional() is None
            assert loose() == {}
            assert isinstance(by_name(), Step)
            assert isinstance(by_position(x=2)[0], Step)

    def test_more_can_be_said_there(
        self, start: Start, record: Read, corpus: Path
    ) -> None:
        @step("train")
        def train(*, step: Step) -> None:
            run = provenance.current()
            assert run is not None
            step.use((run.dataset(corpus), "validation-data"))
            step.checkpoint(corpus, step=7)

        with start():
            train()
        running, _ = record().steps
        assert running.at == 7
        assert _roles(running) == {"train: corpus.txt": "validation-data"}


class TestOtherFunctions:
    def test_a_generator_lasts_until_its_end(self, start: Start, record: Read) -> None:
        @step("collect")
        def items(corpus: Any) -> Generator[str, str, str]:
            try:
                answer = yield f"first {corpus}"
            except ValueError as error:
                answer = str(error)
            got = yield answer
            return got

        assert inspect.isgeneratorfunction(items)
        with start() as run:
            never = items(1)
            whole = items(2)
            assert next(whole) == "first 2"
            assert whole.send("sent") == "sent"
            with pytest.raises(StopIteration) as caught:
                whole.send("end")
            assert caught.value.value == "end"
            thrown = items(3)
            next(thrown)
            assert thrown.throw(ValueError("thrown")) == "thrown"
            thrown.close()
            run.gap("step", "x", "so that there is an order")
        never.close()
        found = [one.outcome for one in record().steps]
        assert found == ["completed", "interrupted"]

    def test_a_coroutine_lasts_while_it_runs(self, start: Start, record: Read) -> None:
        @step("generate")
        async def generate(x: int, *, step: Step) -> int:
            await asyncio.sleep(0)
            if not x:
                raise ValueError(step.name)
            return x

        assert inspect.iscoroutinefunction(generate)

        async def all_of_it() -> list[Any]:
            return await asyncio.gather(
                generate(1), generate(0), return_exceptions=True
            )

        with start():
            one, error = asyncio.run(all_of_it())
        assert one == 1
        assert isinstance(error, ValueError)
        found = sorted(one.outcome for one in record().steps)
        assert found == ["completed", "failed"]

    def test_an_asynchronous_generator_takes_what_is_sent_and_thrown(
        self, start: Start, record: Read
    ) -> None:
        closed = []

        @step("generate")
        async def items(count: int) -> AsyncGenerator[Any, Any]:
            try:
                got = None
                for number in range(count):
                    try:
                        got = yield number, got
                    except ValueError:
                        got = "thrown"
                if count > 5:
                    raise KeyError
            finally:
                closed.append(count)

        assert inspect.isasyncgenfunction(items)

        async def use() -> None:
            whole = items(3)
            assert await anext(whole) == (0, None)
            assert await whole.asend("sent") == (1, "sent")
            assert await whole.athrow(ValueError()) == (2, "thrown")
            with pytest.raises(StopAsyncIteration):
                await anext(whole)
            half = items(4)
            await anext(half)
            await half.aclose()
            with pytest.raises(KeyError):
                [one async for one in items(6)]
            assert [one async for one in items(0)] == []

        with start():
            asyncio.run(use())
        assert closed == [3, 4, 6, 0]
        found = [one.outcome for one in record().steps]
        assert found == ["completed", "interrupted", "failed", "completed"]

    def test_methods_of_every_kind(self, start: Start, record: Read) -> None:
        class Trainer:
            @step("train")
            def method(self, x: int) -> tuple[Any, int]:
                return self, x

            @step("train")
            @classmethod
            def inside(cls) -> Any:
                return cls

            @classmethod
            @step("train")
            def outside(cls) -> Any:
                return cls

            @step("train")
            @staticmethod
            def static(*, step: Step) -> Any:
                return step

        trainer = Trainer()
        with start():
            assert trainer.method(5) == (trainer, 5)
            assert Trainer.inside() is Trainer
            assert trainer.outside() is Trainer
            assert isinstance(trainer.static(), Step)
        names = [one.step.name for one in record().steps]
        assert names == ["method", "inside", "outside", "static"]

    def test_callables_without_a_name_or_a_signature(
        self, start: Start, record: Read, corpus: Path
    ) -> None:
        class Trainer:
            def __call__(self, x: int) -> int:
                return x + 1

        with start() as run:
            assert step("train")(Trainer())(1) == 2
            assert step("train")(functools.partial(Trainer(), 2))() == 3
            given = run.dataset(corpus)
            assert step("train")(max)([given], default=1, key=id) is given
        names = [one.step.name for one in record().steps]
        assert names == ["Trainer", "partial", "max"]
        assert _roles(record().steps[-1]) == {"max: corpus.txt": "training-data"}

    def test_a_function_without_a_signature_keeps_its_names(
        self, start: Start, record: Read, corpus: Path
    ) -> None:
        class Odd:
            __signature__ = 5  # inspect refuses it

            def __call__(self, *_: Any, **__: Any) -> None: ...

        with start() as run:
            given = run.dataset(corpus)
            step("train", roles={"data": "validation-data"})(Odd())([given], data=given)
        roles = [use.role for use in record().steps[-1].uses]
        assert {"training-data", "validation-data"} <= set(roles)

    def test_name_signature_and_docstring_stay(self) -> None:
        def train(corpus: int, /, lr: float = 0.1, *, step: Any) -> float:
            """Train."""
            raise NotImplementedError

        wrapped = step("train")(train)
        assert wrapped.__name__ == "train"
        assert wrapped.__doc__ == "Train."
        assert inspect.signature(wrapped) == inspect.signature(train)
        assert inspect.unwrap(wrapped) is train

    def test_wrong_arguments_are_the_functions_own_error(
        self, start: Start, record: Read, corpus: Path
    ) -> None:
        @step("train")
        def train(corpus: Any) -> None: ...

        with start() as run:
            given = run.dataset(corpus)
            with pytest.raises(TypeError, match=r"train\(\) got an unexpected"):
                train(no_such=given)
        assert record().steps[-1].outcome == "failed"


class TestWhatMakesNoSense:
    @pytest.mark.parametrize("kind", ["trian", None, lambda: None, ["train"]])
    def test_an_unknown_kind_is_refused_where_it_stands(self, kind: Any) -> None:
        with pytest.raises(UsageError, match="no kind of step; write @provenance"):
            step(kind)

    def test_an_unknown_role_is_refused(self) -> None:
        odd: Any = {"corpus": 5}
        for roles in ({"corpus": "trainig-data"}, odd):
            with pytest.raises(UsageError, match="is no role; use one of"):
                step("train", roles=roles)

    def test_a_role_of_no_parameter_is_refused(self) -> None:
        def train(corpus: Any) -> None: ...

        with pytest.raises(UsageError, match="train has no parameter 'data'"):
            step("train", roles={"data": "training-data"})(train)

    @pytest.mark.parametrize("thing", [Step, 5, None])
    def test_what_is_no_function_is_refused(self, thing: Any) -> None:
        with pytest.raises(UsageError, match="is no function"):
            step("train")(thing)

    def test_what_cannot_be_recorded_is_a_gap_and_the_function_runs(
        self, start: Start, record: Read
    ) -> None:
        not_an_artifact: Any = ["corpus.txt"]

        @step("train", uses=not_an_artifact, odd=object())
        def train() -> int:
            return 5

        with start():
            assert train() == 5
        assert len(record().gaps) == 2
        assert record().steps[-1].outcome == "completed"

    def test_strict_runs_raise_only_where_the_function_does_not(
        self, start: Start, caplog: pytest.LogCaptureFixture
    ) -> None:
        def train(run: Any, error: Exception | None) -> None:
            run._recorder.close()  # so that the end of the step has no place
            if error is not None:
                raise error

        with pytest.raises(RecordingError, match="the run has ended"):
            step("train")(train)(start(strict=True), None)
        caplog.clear()
        with pytest.raises(ZeroDivisionError), caplog.at_level(logging.WARNING):
            step("train")(train)(start(strict=True), ZeroDivisionError())
        assert "the run has ended" in caplog.text


class TestWithoutARun:
    def test_it_runs_and_says_so_once(
        self, corpus: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        @step("process")
        def lower(path: Path, *, step: Step) -> Artifact:
            return step.dataset(path)

        with caplog.at_level(logging.WARNING):
            found = [lower(corpus) for _ in range(3)]
        assert [one.digest for one in found] == [None] * 3
        assert found[0].name == "corpus.txt"
        assert caplog.text.count("no run is open: lower runs without a record") == 1

    def test_its_step_takes_everything_that_a_step_takes(self, corpus: Path) -> None:
        lost = Unrecorded("train", "train")
        artifact = Artifact(kind="dataset", name="x", run="a" * 32)
        lost.use(artifact, (artifact, "input"))
        with lost as inside:
            assert inside is lost
        made = [
            lost.dataset(corpus),
            lost.checkpoint(corpus, step=5, name="five"),
            lost.model(corpus, name="m", quantized=True),
            lost.file(corpus),
            lost.samples("samples", [{"x": 1}]),
        ]
        assert [one.digest for one in made] == [None] * 5
        assert [one.name for one in made][1:3] == ["five", "m"]
        lost.produce(artifact, lambda _: "", at=None)
        assert artifact.digest is None
        lost.log({"train/loss": 0.5}, step=1, lr=0.1)
        lost.find(loader={})
        served = lost.consume([[1], [2]], ids=lambda batch: batch, name="served")
        assert (list(served), len(served)) == ([[1], [2]], 2)
        order = lost.order(identity="index")
        order.add([1, 2], tokens=3, epoch=1, step=5)
        assert not order.is_open
        assert repr(lost) == "<step train 'train', not recorded>"
        tried = {"use", "dataset", "checkpoint", "model", "file", "samples", "produce"}
        tried |= {"log", "find", "consume", "order"}
        assert {name for name in dir(Step) if name[0] != "_"} <= tried

    def test_a_recording_that_is_switched_off_takes_everything_too(
        self, start: Start, corpus: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PROVENANCE", "off")
        with start() as run, run.step("train", uses=[run.dataset(corpus)]) as train:
            for number, _ in enumerate(train.consume([[1], [2]], ids=list)):
                train.log(loss=0.5, step=number)
            train.order(identity="index").add([1, 2])
            assert train.checkpoint(corpus).digest is None
        assert not (corpus.parent / "store").exists()

    def test_what_it_made_is_a_gap_in_a_later_run(
        self, start: Start, record: Read, corpus: Path
    ) -> None:
        @step("process")
        def lower(*, step: Step) -> Artifact:
            return step.dataset(corpus)

        made = lower()
        with start() as run, run.step("train", uses=[made]):
            pass
        assert [(one.what, one.name) for one in record().gaps] == [
            ("dataset", "corpus.txt as training-data of train")
        ]


def test_decorating_loads_nothing_heavy() -> None:
    code = (
        "import sys; from provenance.record.pipeline import step; "
        "step('train')(len); "
        "print([m for m in ('pyarrow', 'fsspec', 'cryptography') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"
