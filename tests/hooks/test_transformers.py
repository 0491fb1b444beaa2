"""Trainings of transformers, really done, and what is on record of them afterwards."""

# ruff: noqa: S106 (tokens of a language)

from __future__ import annotations

import functools
import json
import pickle
import shutil
from typing import TYPE_CHECKING, Any

import datasets
import pytest
import tokenizers
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedTokenizerFast,
    TrainerCallback,
)

from fits import (
    facts,
    files_made,
    logged,
    made,
    random_states,
    release,
    run_example,
    series,
    sha256,
    steps,
    uses,
    values,
)
from provenance.hooks import drawn
from provenance.hooks.transformers import ProvenanceCallback
from provenance.record.step import Step
from trainers import Samples, Stream, batches, ids, parts, read, tiny_model, trainer
from trainers import weights as weights_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from provenance.record.session import Run
    from provenance.tables.read import Reader
    from recording import Record

pytestmark = [
    # Without a graphics card there is nothing to pin memory for.
    pytest.mark.filterwarnings("ignore:'pin_memory' argument is set:UserWarning"),
    # Workers are forked while the recorder's thread runs.
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]


@pytest.fixture
def corpus(here: Path) -> Path:
    place = here / "corpus.txt"
    place.write_text("to be or not to be")
    return place


@pytest.fixture
def hook(corpus: Path, here: Path, key_file: Path) -> ProvenanceCallback:
    heldout = here / "heldout.txt"
    heldout.write_text("that is the question")
    return ProvenanceCallback(
        name="tiny",
        store=here / "store",
        key=key_file,
        code=corpus,
        training_data=corpus,
        validation_data=heldout,
        test_data=heldout,
    )


class Fails(TrainerCallback):  # type: ignore[misc] # untyped
    """Breaks a training off after some steps."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_step_end(self, _: Any, state: Any, __: Any, **___: Any) -> None:
        if state.global_step == self.at:
            message = "the machine is gone"
            raise RuntimeError(message)


class Stops(TrainerCallback):  # type: ignore[misc] # untyped
    """Stops a training after the first batch of a later step."""

    def on_substep_end(self, _: Any, state: Any, control: Any, **__: Any) -> None:
        control.should_training_stop = state.global_step == 2


def tokenizer() -> Any:
    words = {f"w{number}": number for number in range(60)}
    known = tokenizers.models.WordLevel(
        {**words, "[UNK]": 60, "[PAD]": 61}, unk_token="[UNK]"
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(known),
        unk_token="[UNK]",
        pad_token="[PAD]",
    )


class TestTheExample:
    def test_it_is_released_with_what_it_saved(
        self, here: Path, key_file: Path, records: Callable[..., list[Record]]
    ) -> None:
        example = "train_transformers.py"
        run_example(example, "--steps", "4", cwd=here, key=key_file)
        (found,) = records(here / "provenance-store")
        assert found.gaps == []
        assert [at for at, _ in made(found)] == [2, 4]
        store = here / "provenance-store"
        said = release(store, here / "final", here / "release", key=key_file)
        assert "unexplained" not in said
        (last,) = (here / "out").glob("checkpoint-*")
        weights = sha256(here / "release" / "model.safetensors")
        assert weights == sha256(last / "model.safetensors")


class TestWhatItUses:
    def test_all_of_it_is_on_record(
        self, hook: ProvenanceCallback, record: Callable[..., Record]
    ) -> None:
        trainer(hook, processing_class=tokenizer()).train()
        hook.leave()
        found = record()
        assert found.gaps == []
        assert found.outcome == "completed"
        assert uses(found) == {
            "corpus.txt": "training-data",
            "heldout.txt": "validation-data",
            "TrainingArguments": "config",
            "GPT2LMHeadModel": "architecture",
            "tokenizer": "tokenizer",
            "data order of train": "data-order",
            "environment": "environment",
        }
        assert steps(found)[-1].outcome == "completed"
        told = values(found, "TrainingArguments")
        assert (told["learning_rate"], told["adam_beta2"]) == (0.01, 0.999)

    def test_arguments_are_the_same_in_every_run(
        self, hook: ProvenanceCallback, records: Callable[..., list[Record]], here: Path
    ) -> None:
        for _ in range(2):
            place = str(here / "out")
            trainer(hook, folder=place, hub_token="hf_notold", max_steps=1).train()
            hook.leave()
        first, second = records()
        name = "TrainingArguments"
        told = values(first, name)
        assert told["output_dir"] == "out"
        assert not [key for key in told if key.endswith("_token")]
        assert "notold" not in str(told)
        assert first.artifacts[name].values == second.artifacts[name].values

    def test_tables_of_datasets_are_recorded_as_they_are_given_to_the_model(
        self, here: Path, key_file: Path, record: Callable[..., Record]
    ) -> None:
        rows = [Samples()[at] for at in range(8)]
        table = datasets.Dataset.from_list(
            [
                {**{key: one.tolist() for key, one in row.items()}, "x": "y"}
                for row in rows
            ]
        )
        hook = ProvenanceCallback(store=here / "store", key=key_file, code=here)
        run = trainer(
            hook, train_dataset=table, eval_dataset=table, eval_strategy="epoch"
        )
        run.train()
        run.evaluate()
        hook.leave()
        found = record()
        assert found.gaps == []
        trained = found.artifacts["train_dataset"]
        assert trained.fingerprint.method == "records-1"
        # Not the column that the model does not take.
        assert "'x'" not in str(facts(found, "train_dataset"))
        roles = {one.role for two in steps(found) for one in two.uses}
        assert {"training-data", "validation-data"} <= roles

    def test_what_it_cannot_see_into_is_a_gap_that_says_what_to_do(
        self, here: Path, key_file: Path, record: Callable[..., Record]
    ) -> None:
        hook = ProvenanceCallback(store=here / "store", key=key_file, code=here)
        run = trainer(hook, eval_dataset=Samples(), eval_strategy="epoch")
        run.train()
        run.evaluate()
        hook.leave()
        train, evaluated = record().gaps
        assert (train.what, train.name) == ("dataset", "train_dataset")
        assert train.why.startswith("a trainers.Samples does not tell what is in it")
        assert train.why.endswith("training_data=")
        assert evaluated.why.endswith("validation_data=")

    def test_a_tokenizer_has_the_bytes_that_checkpoints_have(
        self, hook: ProvenanceCallback, here: Path, record: Callable[..., Record]
    ) -> None:
        run = trainer(hook, processing_class=tokenizer(), save_strategy="epoch")
        run.train()
        hook.leave()
        (saved,) = (here / "out").glob("checkpoint-*")
        listed = {one.path: one.sha256 for one in record().artifacts["tokenizer"].files}
        assert listed[b"tokenizer.json"] == sha256(saved / "tokenizer.json")
        assert all(sha256(saved / path.decode()) == at for path, at in listed.items())

    def test_its_name_is_that_of_the_arguments(
        self, here: Path, key_file: Path, record: Callable[..., Record], corpus: Path
    ) -> None:
        options: dict[str, Any] = {"store": here / "store", "key": key_file}
        hook = ProvenanceCallback(training_data=corpus, code=corpus, **options)
        trainer(hook, run_name="my-run", max_steps=1).train()
        hook.leave()
        assert record().bodies[0].document.name == "my-run"

    def test_it_joins_the_run_that_is_open(
        self, start: Callable[..., Run], corpus: Path, record: Callable[..., Record]
    ) -> None:
        run = start()
        hook = ProvenanceCallback(training_data=run.dataset(corpus))
        trainer(hook, max_steps=1).train()
        hook.leave()
        assert run.is_open
        run.end()
        assert uses(record())["corpus.txt"] == "training-data"


class TestBaseModels:
    @pytest.fixture
    def base(self, here: Path) -> Path:
        tiny_model().save_pretrained(here / "base")
        return here / "base"

    def test_a_model_that_was_loaded_is_fine_tuned(
        self, base: Path, hook: ProvenanceCallback, record: Callable[..., Record]
    ) -> None:
        model = AutoModelForCausalLM.from_pretrained(base)
        trainer(hook, model=model, max_steps=1).train()
        hook.leave()
        found = record()
        assert uses(found, "finetune")["base"] == "base-model"
        assert steps(found) == []
        listed = {one.path: one.sha256 for one in found.artifacts["base"].files}
        assert listed[b"model.safetensors"] == sha256(base / "model.safetensors")

    def test_a_model_with_the_settings_of_another_is_not(
        self, base: Path, hook: ProvenanceCallback, record: Callable[..., Record]
    ) -> None:
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base))
        assert model.config._name_or_path == str(base)
        trainer(hook, model=model, max_steps=1).train()
        hook.leave()
        assert "base" not in uses(record())
        assert steps(record(), "finetune") == []

    def test_of_a_model_from_a_hub_there_is_a_name_and_a_gap(
        self, base: Path, hook: ProvenanceCallback, record: Callable[..., Record]
    ) -> None:
        model = AutoModelForCausalLM.from_pretrained(base)
        model.config._name_or_path = "somebody/something"
        trainer(hook, model=model, max_steps=1).train()
        hook.leave()
        (gap,) = record().gaps
        assert (gap.what, gap.name) == ("model", "somebody/something")
        assert "uses=[" in gap.why
        assert "somebody/something" in str(steps(record(), "finetune")[0].facts)

    def test_unless_its_files_are_handed_over(
        self, base: Path, start: Callable[..., Run], record: Callable[..., Record]
    ) -> None:
        model = AutoModelForCausalLM.from_pretrained(base)
        model.config._name_or_path = "somebody/something"
        run = start()
        hook = ProvenanceCallback(
            training_data=base.parent / "train.py",
            uses=[(run.model(base), "base-model")],
        )
        trainer(hook, model=model, max_steps=1).train()
        run.end()
        assert record().gaps == []
        assert uses(record(), "finetune")["base"] == "base-model"


class TestCheckpoints:
    def test_each_is_recorded_although_it_is_rotated_away(
        self, hook: ProvenanceCallback, here: Path, record: Callable[..., Record]
    ) -> None:
        run = trainer(hook, save_strategy="steps", save_steps=2, save_total_limit=1)
        run.train()
        hook.leave()
        found = record()
        assert found.gaps == []
        assert [at for at, _ in made(found)] == [2, 4, 6, 8, 10, 11]
        assert [one.name for one in (here / "out").glob("checkpoint-*")] == [
            "checkpoint-11"
        ]
        listed = {
            one.path: one.sha256 for one in found.artifacts["checkpoint-11"].files
        }
        kept = [one for one in (here / "out/checkpoint-11").rglob("*") if one.is_file()]
        assert len(kept) == len(listed)
        assert all(listed[one.name.encode()] == sha256(one) for one in kept)

    def test_what_save_model_writes_has_files_that_are_on_record(
        self, hook: ProvenanceCallback, here: Path, record: Callable[..., Record]
    ) -> None:
        run = trainer(hook, save_strategy="steps")
        run.train()
        run.save_model("final")
        hook.leave()
        known = {one.sha256 for one in record().artifacts["checkpoint-11"].files}
        assert sha256(here / "final" / "model.safetensors") in known
        assert sha256(here / "final" / "config.json") in known

    def test_what_was_saved_in_a_way_of_ones_own_is_told(
        self, hook: ProvenanceCallback, record: Callable[..., Record]
    ) -> None:
        run = trainer(hook)
        run.train()
        run.save_model("final")
        saved = hook.saved("final", step=11)
        hook.leave()
        found = record()
        assert saved is not None
        assert files_made(found) == {"final": saved.digest}
        assert steps(found)[-1].outcome == "completed"

    def test_a_training_goes_on_from_one(
        self,
        hook: ProvenanceCallback,
        here: Path,
        records: Callable[..., list[Record]],
        reader: Reader,
    ) -> None:
        accumulated = {"gradient_accumulation_steps": 2, "num_train_epochs": 2}
        often = {"save_strategy": "steps", "save_steps": 4, **accumulated}
        with pytest.raises(RuntimeError, match="the machine is gone"):
            trainer(hook, Fails(at=5), **often).train()
        hook.leave("failed")
        run = trainer(hook, **often)
        run.train(resume_from_checkpoint=True)
        hook.leave()
        first, second = records()
        (use,) = {
            use.digest
            for one in steps(second)
            for use in one.uses
            if use.role == "resumed-checkpoint"
        }
        assert use == files_made(first)["checkpoint-4"]
        assert second.gaps == []
        assert steps(first)[-1].outcome == "interrupted"
        went_on = batches(second, here / "store", reader)
        assert ids(went_on) == run.seen
        assert (went_on[0].epoch, went_on[0].batch, went_on[0].step) == (0, 8, 5)
        # As if nothing had happened.
        whole = trainer(**accumulated)
        whole.train()
        assert weights_of(whole.model) == weights_of(run.model)
        assert whole.seen[8:] == run.seen

    def test_from_which_is_a_gap_where_it_is_not_told(
        self, hook: ProvenanceCallback, here: Path, records: Callable[..., list[Record]]
    ) -> None:
        trainer(hook, save_strategy="steps", max_steps=2).train()
        shutil.move(here / "out" / "checkpoint-2", here / "elsewhere")
        run = trainer(hook, max_steps=3)
        run.train(resume_from_checkpoint="elsewhere")
        hook.leave()
        (gap,) = [gap for one in records() for gap in one.gaps]
        assert (gap.what, gap.name) == ("checkpoint", "checkpoint-2")
        assert "from step 2" in gap.why

    def test_a_checkpoint_of_another_training_is_not_taken_for_it(
        self, hook: ProvenanceCallback, here: Path, records: Callable[..., list[Record]]
    ) -> None:
        trainer(hook, save_strategy="steps", max_steps=2).train()
        hook.leave()
        shutil.copytree(here / "out" / "checkpoint-2", here / "elsewhere")
        state = here / "out" / "checkpoint-2" / "trainer_state.json"
        told = json.loads(state.read_text())
        told["log_history"][0]["loss"] += 1
        state.write_text(json.dumps(told))
        run = trainer(hook, max_steps=3)
        run.train(resume_from_checkpoint="elsewhere")
        hook.leave()
        (gap,) = [gap for one in records() for gap in one.gaps]
        assert (gap.what, gap.name) == ("checkpoint", "checkpoint-2")


class TestEvaluations:
    def test_each_is_of_the_checkpoint_with_these_weights_if_there_is_one(
        self, hook: ProvenanceCallback, record: Callable[..., Record]
    ) -> None:
        run = trainer(
            hook,
            eval_dataset=Samples(5),
            eval_strategy="steps",
            eval_steps=3,
            save_strategy="steps",
            save_steps=6,
        )
        run.train()
        run.evaluate()
        found = record_after(hook, record)
        linked = [
            [use.name for use in one.uses if use.role == "evaluated-model"]
            for one in steps(found, "evaluate")
            if one.products
        ]
        assert linked == [
            [],
            ["checkpoint-6"],
            [],
            ["checkpoint-11"],
            ["checkpoint-11"],
        ]
        assert uses(found, "evaluate")["heldout.txt"] == "evaluation-data"
        assert uses(found)["heldout.txt"] == "validation-data"

    def test_weights_that_were_changed_are_of_none(
        self, hook: ProvenanceCallback, record: Callable[..., Record]
    ) -> None:
        run = trainer(hook, eval_dataset=Samples(5), save_strategy="steps")
        run.train()
        with torch.no_grad():
            run.model.lm_head.weight.mul_(2)
        run.evaluate()
        found = record_after(hook, record)
        assert "evaluated-model" not in uses(found, "evaluate").values()

    def test_after_the_best_was_loaded_it_is_the_best(
        self, hook: ProvenanceCallback, record: Callable[..., Record]
    ) -> None:
        run = trainer(
            hook,
            eval_dataset=Samples(5),
            eval_strategy="steps",
            save_strategy="steps",
            eval_steps=4,
            save_steps=4,
            load_best_model_at_end=True,
            metric_for_best_model="loss",
            greater_is_better=True,  # the first, as it learns
        )
        run.train()
        run.predict(Samples(3))
        found = record_after(hook, record)
        (last,) = [one for one in steps(found, "evaluate") if one.step.name == "test"][
            :1
        ]
        named = [use.name for use in last.uses if use.role == "evaluated-model"]
        assert run.state.best_model_checkpoint.endswith("checkpoint-4")
        assert named == ["checkpoint-4"]

    def test_metrics_are_those_that_the_trainer_measured(
        self, hook: ProvenanceCallback, here: Path, record: Callable[..., Record]
    ) -> None:
        both = {"a": Samples(5), "b": Samples(7)}
        run = trainer(hook, eval_dataset=both, eval_strategy="epoch")
        run.train()
        found = record_after(hook, record)
        told = values(found, "eval_b")["metrics"]
        history = {k: v for one in run.state.log_history for k, v in one.items()}
        assert told == {"loss": history["eval_b_loss"]}
        rows = logged(found, here / "store")
        losses = series(rows, "loss")
        assert losses == {
            one["step"]: one["loss"] for one in run.state.log_history if "loss" in one
        }

    def test_without_a_training_there_is_a_run_all_the_same(
        self, hook: ProvenanceCallback, record: Callable[..., Record]
    ) -> None:
        trainer(hook, eval_dataset=Samples(5)).evaluate()
        found = record_after(hook, record)
        assert list(values(found, "eval")["metrics"]) == ["loss"]


def record_after(hook: ProvenanceCallback, record: Callable[..., Record]) -> Record:
    hook.leave()
    found = record()
    assert found.gaps == []
    return found


class TestWhatTheModelSaw:
    @pytest.mark.parametrize(
        "more",
        [
            {},
            {"gradient_accumulation_steps": 3},
            {"gradient_accumulation_steps": 2, "dataloader_num_workers": 2},
            {"dataloader_num_workers": 1, "dataloader_persistent_workers": True},
            {"dataloader_drop_last": True, "max_steps": 13},
            {"train_sampling_strategy": "group_by_length"},
            {"accelerator_config": {"dispatch_batches": True}},
        ],
        ids=str,
    )
    def test_it_is_what_is_on_record(
        self,
        more: dict[str, Any],
        hook: ProvenanceCallback,
        here: Path,
        record: Callable[..., Record],
        reader: Reader,
    ) -> None:
        # A child that is forked while git is started would keep its pipes open.
        assert hook.join().file(here / "corpus.txt").digest
        run = trainer(hook, num_train_epochs=2, **more)
        run.train()
        found = record_after(hook, record)
        served = batches(found, here / "store", reader)
        assert ids(served) == run.seen
        # Each epoch and each step is whole.
        many = len(run.get_train_dataloader())
        places = [(one.epoch, one.batch) for one in served]
        assert places == [divmod(number, many) for number in range(len(served))]
        updates = run.args.gradient_accumulation_steps
        for one in served:
            assert one.step is not None
            assert (one.step - 1) % -(-many // updates) == one.batch // updates

    def test_each_checkpoint_uses_what_was_seen_until_then(
        self,
        hook: ProvenanceCallback,
        here: Path,
        record: Callable[..., Record],
        reader: Reader,
    ) -> None:
        run = trainer(hook, save_strategy="steps", save_steps=4)
        run.train()
        found = record_after(hook, record)
        known = {one.fingerprint.digest: one for one in parts(found)}
        last = []
        for one in steps(found):
            if [product.kind for product in one.products] == ["checkpoint"]:
                (digest,) = [u.digest for u in one.uses if u.role == "data-order"]
                last.append(read(known[digest], here / "store", reader)[-1].step)
        assert last == [4, 8, 11]

    def test_batches_that_changed_nothing_have_no_step(
        self,
        hook: ProvenanceCallback,
        here: Path,
        record: Callable[..., Record],
        reader: Reader,
    ) -> None:
        run = trainer(hook, Stops(), gradient_accumulation_steps=3)
        run.train()
        served = batches(record_after(hook, record), here / "store", reader)
        assert ids(served) == run.seen
        assert [one.step for one in served] == [1, 1, 1, 2, 2, 2, None]
        assert [one.batch for one in served] == list(range(7))

    def test_tokens_are_counted_where_the_trainer_does(
        self,
        hook: ProvenanceCallback,
        here: Path,
        record: Callable[..., Record],
        reader: Reader,
    ) -> None:
        run = trainer(hook, include_num_input_tokens_seen="all")
        run.train()
        served = batches(record_after(hook, record), here / "store", reader)
        assert [one.tokens for one in served] == [12] * 10 + [6]
        assert run.state.num_input_tokens_seen == sum(one.tokens or 0 for one in served)

    def test_of_a_stream_it_is_not_known(
        self, hook: ProvenanceCallback, record: Callable[..., Record]
    ) -> None:
        trainer(hook, train_dataset=Stream(), max_steps=3).train()
        hook.leave()
        (gap,) = record().gaps
        assert (gap.what, gap.name) == ("order", "data order of train")
        assert gap.why.startswith("the samples of an iterable dataset")

    def test_the_loader_is_left_as_it_was(
        self, hook: ProvenanceCallback, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = trainer(hook, max_steps=2)
        loader = run.get_train_dataloader()
        own = loader.batch_sampler
        monkeypatch.setattr(run, "get_train_dataloader", lambda: loader)
        run.train()
        assert loader.batch_sampler is own
        run.add_callback(Fails(at=1))
        with pytest.raises(RuntimeError):
            run.train()
        assert type(loader.base_dataloader.batch_sampler) is drawn.Drawn
        run.pop_callback(Fails)
        run.train()
        assert loader.batch_sampler is own
        hook.leave()


class TestNothingToRegret:
    def test_weights_and_random_states_are_the_same_without_it(
        self, hook: ProvenanceCallback, record: Callable[..., Record]
    ) -> None:
        often: dict[str, Any] = {
            "eval_dataset": Samples(5),
            "eval_strategy": "steps",
            "eval_steps": 4,
            "save_strategy": "steps",
            "save_steps": 4,
            "num_train_epochs": 2,
            "processing_class": tokenizer(),
        }
        without = trainer(**often)
        without.train()
        states = random_states()
        recorded = trainer(hook, **often)
        recorded.train()
        assert random_states() == states
        assert weights_of(recorded.model) == weights_of(without.model)
        assert recorded.seen == without.seen
        record_after(hook, record)

    @pytest.mark.parametrize(
        "broken",
        [
            "_settings",
            "_architecture",
            "_base",
            "_tokenizer",
            "_trained_on",
            "_settle",
            "_settle_saved",
            "_evaluated",
            "_evaluated_on",
            "_evaluation",
            "_unfollow",
            "_follow",
            "end",
            "begin",
        ],
    )
    def test_a_bug_of_ours_is_a_gap(
        self,
        broken: str,
        hook: ProvenanceCallback,
        monkeypatch: pytest.MonkeyPatch,
        start: Callable[..., Run],
        record: Callable[..., Record],
    ) -> None:
        often: dict[str, Any] = {
            "eval_strategy": "steps",
            "save_strategy": "steps",
            "eval_steps": 2,
            "save_steps": 2,
            "max_steps": 3,
        }
        wanted = weights_after(**often)
        run = start()

        def fail(*_: Any, **__: Any) -> None:
            message = "a bug of ours"
            raise ValueError(message)

        with monkeypatch.context() as patch:
            method = vars(ProvenanceCallback).get(broken)
            if method is not None and hasattr(method, "__wrapped__"):
                fail = guard(fail, method)
            patch.setattr(ProvenanceCallback, broken, fail)
            recorded = trainer(
                hook, eval_dataset=Samples(5), processing_class=tokenizer(), **often
            )
            recorded.train()
        assert weights_of(recorded.model) == wanted
        run.end()
        assert "ValueError: a bug of ours" in [gap.why for gap in record().gaps]

    @pytest.mark.parametrize("method", ["log", "checkpoint", "order", "use"])
    def test_a_bug_below_is_a_gap(
        self,
        method: str,
        hook: ProvenanceCallback,
        monkeypatch: pytest.MonkeyPatch,
        record: Callable[..., Record],
    ) -> None:
        def fail(*_: Any, **__: Any) -> None:
            message = "a bug of ours"
            raise ValueError(message)

        monkeypatch.setattr(Step, method, fail)
        run = trainer(
            hook,
            save_strategy="epoch",
            eval_dataset=Samples(5),
            eval_strategy="epoch",
        )
        run.train()
        hook.leave()
        assert "ValueError: a bug of ours" in [gap.why for gap in record().gaps]
        assert run.state.global_step == 11

    def test_a_store_that_takes_nothing_stops_nothing(
        self, corpus: Path, here: Path
    ) -> None:
        (here / "file").write_text("no folder")
        hook = ProvenanceCallback(
            store=here / "file", training_data=corpus, code=corpus
        )
        run = trainer(hook, save_strategy="epoch")
        run.train()
        hook.leave()
        assert run.state.global_step == 11

    def test_it_is_copied_without_its_run(self, hook: ProvenanceCallback) -> None:
        trainer(hook, max_steps=1).train()
        other = pickle.loads(pickle.dumps(hook))  # noqa: S301 (our own bytes)
        assert other.run is None
        assert other._training is None
        hook.leave()

    def test_a_training_after_one_that_was_broken_off_is_another_step(
        self, hook: ProvenanceCallback, record: Callable[..., Record]
    ) -> None:
        with pytest.raises(RuntimeError):
            trainer(hook, Fails(at=2)).train()
        trainer(hook, max_steps=2).train()
        found = record_after(hook, record)
        last = {one.step.id: one.outcome for one in steps(found)}
        assert list(last.values()) == ["interrupted", "completed"]


@functools.cache
def weights_after(**more: Any) -> dict[str, list[Any]]:
    """Return what a training without a hook comes to."""
    run = trainer(eval_dataset=Samples(5), processing_class=tokenizer(), **more)
    run.train()
    return weights_of(run.model)


def guard(fail: Callable[..., None], method: Any) -> Any:
    """Guard what fails as the method is that it stands for."""
    from provenance.hooks.joining import guarded  # noqa: PLC0415

    fail.__qualname__ = method.__qualname__
    return guarded(fail)
