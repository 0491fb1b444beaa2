"""Models of real frameworks, described as they are built."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
import safetensors.torch
import sklearn
import torch
from safetensors import SafetensorError
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import nn

from provenance.errors import FormatError
from provenance.fingerprint import reading
from provenance.fingerprint.models import architecture, torch_modules
from provenance.fingerprint.models import safetensors as headers
from provenance.model import values

if TYPE_CHECKING:
    from pathlib import Path


def describe(model: object) -> dict[str, Any]:
    """Return a description, after checking that it can be recorded."""
    found = architecture.of_object(model)
    values.of(found)
    return found


class Settings:
    """Like a config of transformers."""

    def __init__(self, **settings: object) -> None:
        self.settings = settings

    def to_dict(self) -> dict[str, object]:
        return self.settings


class Odd:
    """Has the method, and nothing to tell."""

    def to_dict(self) -> list[int]:
        return []


class Tiny(nn.Module):
    """Embedding and head share one tensor."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(width, 5, bias=False)
        self.head.weight = self.embed.weight
        self.again = self.layers[0]
        self.register_buffer("mask", torch.zeros(4, dtype=torch.bool))
        self.config = Settings(
            width=width, dtype="float32", _name_or_path="/home/somebody", nested={1: 2}
        )


class TestTorch:
    """A module and the modules in it."""

    def test_modules_are_named_with_class_and_text(self) -> None:
        modules = describe(Tiny())["modules"]
        assert modules[""].endswith("test_architecture.Tiny")
        assert modules["drop"] == (
            "torch.nn.modules.dropout.Dropout(p=0.1, inplace=False)"
        )
        assert modules["layers"] == "torch.nn.modules.container.ModuleList"
        assert modules["again"] == "the same as 'layers.0'"

    def test_parameters_are_named_with_type_and_shape(self) -> None:
        found = describe(Tiny())
        assert found["tensors"] == {
            "embed.weight": "float32 [5, 3]",
            "head.weight": "float32 [5, 3]",
            "layers.0.bias": "float32 [3]",
            "layers.0.weight": "float32 [3, 3]",
            "layers.1.bias": "float32 [3]",
            "layers.1.weight": "float32 [3, 3]",
        }
        assert found["buffers"] == {"mask": "bool [4]"}

    def test_a_tensor_with_two_names_counts_once_and_is_tied(self) -> None:
        model = Tiny()
        found = describe(model)
        expected = sum(one.numel() for one in model.parameters())
        assert found["parameters"] == found["trainable"] == expected
        assert found["tied"] == {"embed.weight": "head.weight"}

    def test_two_parameters_over_one_storage_are_tied(self) -> None:
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        model[1].weight = nn.Parameter(model[0].weight.data)
        assert describe(model)["tied"] == {"0.weight": "1.weight"}

    def test_frozen_parameters_are_not_trainable(self) -> None:
        model = Tiny()
        model.embed.weight.requires_grad_(requires_grad=False)
        found = describe(model)
        assert found["parameters"] - found["trainable"] == 15

    def test_the_config_is_told_without_what_is_not_architecture(self) -> None:
        assert describe(Tiny())["config"] == {"width": 3, "nested": {"1": 2}}

    def test_a_config_that_fails_is_said(self) -> None:
        model = Tiny()

        class Broken:
            def to_dict(self) -> None:
                raise KeyError

        model.config = Broken()
        found = describe(model)
        assert "config" not in found
        assert found["says"] == ["the config could not be asked: KeyError"]

    @pytest.mark.parametrize("config", [3, {"a": 1}, Odd()], ids=["3", "dict", "odd"])
    def test_a_config_that_tells_nothing_is_passed_over(self, config: object) -> None:
        model = Tiny()
        model.config = config
        assert "config" not in describe(model)

    def test_numbers_and_types_of_other_libraries_are_told(self) -> None:
        model = Tiny()
        model.config = Settings(
            kind=torch.bfloat16,
            other=np.dtype("float16"),
            long=np.longdouble(0.5),
            size=torch.Size([1, 2]),
        )
        assert describe(model)["config"] == {
            "kind": "torch.bfloat16",
            "other": "float16",
            "long": "0.5",
            "size": [1, 2],
        }

    def test_equal_models_are_equal_and_others_are_not(self) -> None:
        assert describe(Tiny()) == describe(Tiny())
        assert describe(Tiny()) != describe(Tiny(4))
        assert describe(Tiny()) != describe(Tiny().half())

    def test_training_changes_nothing(self) -> None:
        model = Tiny()
        before = describe(model)
        model.train()
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        model.head(model.embed(torch.tensor([1]))).sum().backward()
        optimizer.step()
        model.eval()
        assert describe(model) == before

    def test_devices_do_not_show(self) -> None:
        with torch.device("meta"):
            there = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        here = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        assert describe(there) == describe(here)

    def test_random_state_and_tensors_stay_as_they_are(self) -> None:
        model = Tiny()
        state = torch.get_rng_state()
        versions = [one._version for one in model.parameters()]
        describe(model)
        assert torch.equal(torch.get_rng_state(), state)
        assert [one._version for one in model.parameters()] == versions

    def test_no_tensor_is_looked_into_and_no_method_of_a_model_is_called(self) -> None:
        class Sly(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = nn.Linear(2, 2)

            def refuse(self, *_: object, **__: object) -> None:
                raise AssertionError

            named_modules = named_parameters = parameters = refuse  # type: ignore[assignment]
            extra_repr = __repr__ = children = state_dict = refuse  # type: ignore[assignment]

        assert describe(Sly())["parameters"] == 6

    def test_a_class_that_claims_to_be_of_torch_is_not_asked(self) -> None:
        class Linear(nn.Module):
            def extra_repr(self) -> str:
                raise AssertionError

        Linear.__module__ = "torch.nn.modules.linear"
        Linear.__qualname__ = "Linear"
        assert describe(Linear())["modules"] == {"": "torch.nn.modules.linear.Linear"}

    def test_a_module_that_lost_what_it_tells_is_named(self) -> None:
        model = nn.Linear(2, 2)
        del model.in_features
        assert describe(model)["modules"][""].endswith("Linear(…)")

    def test_a_module_that_holds_itself_ends(self) -> None:
        model = nn.Sequential(nn.Linear(1, 1))
        model[0].outer = model
        assert describe(model)["modules"]["0.outer"] == "the same as ''"

    def test_parameters_without_a_shape_are_said_to_have_none(self) -> None:
        found = describe(nn.LazyLinear(3))
        assert "without a shape yet" in found["tensors"]["weight"]
        assert found["parameters"] == 0

    def test_empty_places_are_passed_over(self) -> None:
        model = nn.Linear(2, 2, bias=False)
        model.register_buffer("nothing", None)
        model.inner = None
        model.register_module("none", None)
        found = describe(model)
        assert (list(found["tensors"]), found["buffers"]) == (["weight"], {})

    def test_compiled_scripted_and_traced_modules_show_the_module_below(self) -> None:
        model = nn.Sequential(nn.Linear(2, 3))
        compiled = describe(torch.compile(model, backend="eager"))
        assert compiled["modules"]["_orig_mod.0"].startswith("torch.nn.modules.linear")
        with pytest.warns(DeprecationWarning, match="script"):
            scripted = describe(torch.jit.script(model))
        traced = describe(torch.fx.symbolic_trace(model))
        for found in (scripted, traced):
            assert found["tensors"] == describe(model)["tensors"]

    def test_the_config_below_a_wrapper_is_found(self) -> None:
        compiled = torch.compile(Tiny(), backend="eager")
        assert describe(compiled)["config"]["width"] == 3

    def test_data_parallel_wrappers_stand_where_they_are(self, tmp_path: Path) -> None:
        torch.distributed.init_process_group(
            "gloo", init_method=(tmp_path / "group").as_uri(), rank=0, world_size=1
        )
        try:
            wrapped = nn.parallel.DistributedDataParallel(Tiny())
            found = describe(wrapped)
        finally:
            torch.distributed.destroy_process_group()
        assert found["class"].endswith("DistributedDataParallel")
        assert found["parameters"] == describe(Tiny())["parameters"]
        assert found["config"] == describe(Tiny())["config"]
        assert "module.embed" in found["modules"]

    def test_more_than_a_record_holds_is_counted_and_compared(self) -> None:
        def deep(last: int) -> nn.Module:
            return nn.Sequential(*(nn.Linear(1, 1) for _ in range(2_500)), nn.ELU(last))

        one, other = describe(deep(1)), describe(deep(2))
        assert one["modules_count"] == 2_502
        assert one["modules_listed"] <= torch_modules.MAX_MODULES
        assert one["modules_digest"] != other["modules_digest"]

    def test_a_thousand_modules_are_described_at_once(self) -> None:
        layers = (nn.Linear(4, 4) if at % 2 else nn.ReLU() for at in range(1_000))
        model = nn.Sequential(*layers)
        taken = []
        for _ in range(10):
            before = time.perf_counter()
            architecture.of_object(model)
            taken.append(time.perf_counter() - before)
        assert min(taken) < 0.1  # a tenth of that, when nothing else runs

    def test_a_class_is_no_model(self) -> None:
        with pytest.raises(FormatError, match="hand over"):
            architecture.of_object(nn.Linear)
        with pytest.raises(FormatError):
            architecture.of_object(torch.zeros(3))


def joined(units: int = 3) -> keras.Model:
    """A model with two branches, one name of its own, and a model inside."""
    given = keras.Input((4,))
    first = keras.layers.Dense(units, activation="softmax")(given)
    second = keras.layers.Dense(units, name="mine")(first)
    both = keras.layers.Add()([first, second])
    inner = keras.Sequential([keras.layers.Dense(2), keras.layers.Softmax()])
    return keras.Model(given, inner(both))


class TestKeras:
    """A model, its layers and how they are joined."""

    def test_layers_are_named_with_class_settings_and_what_goes_in(self) -> None:
        modules = describe(joined())["modules"]
        assert sorted(modules) == [
            "add#0",
            "dense#0",
            "input_layer#0",
            "mine",
            "sequential#0",
            "sequential#0/dense#1",
            "sequential#0/softmax#0",
        ]
        name, _, told = modules["mine"].partition(" ")
        assert name.endswith(".Dense")
        told = json.loads(told)
        assert told["config"]["units"] == 3
        assert told["inbound_nodes"][0]["args"][0]["config"]["keras_history"] == [
            "dense#0",
            0,
            0,
        ]

    def test_names_are_not_mistaken_for_settings(self) -> None:
        told = describe(joined())["modules"]["dense#0"]
        assert '"activation":"softmax"' in told

    def test_equal_models_are_equal_and_others_are_not(self) -> None:
        assert describe(joined()) == describe(joined())
        assert describe(joined()) != describe(joined(4))

    def test_weights_are_counted(self) -> None:
        model = joined()
        found = describe(model)
        assert found["parameters"] == found["trainable"] == model.count_params()
        assert found["tensors"]["mine/kernel"] == "float32 [3, 3]"
        model.get_layer("mine").trainable = False
        assert found["trainable"] - describe(model)["trainable"] == 12

    def test_a_model_that_was_trained_is_as_it_was_built(self) -> None:
        model = joined()
        before = describe(model)
        model.compile(optimizer="sgd", loss="mse")
        model.fit(np.zeros((2, 4)), np.zeros((2, 2)), verbose=0)
        assert describe(model) == before

    def test_a_model_that_is_not_built_has_no_weights(self) -> None:
        found = describe(keras.Sequential([keras.layers.Dense(2)]))
        assert (found["parameters"], found["tensors"]) == (0, {})

    def test_a_model_of_an_own_class_lists_its_layers(self) -> None:
        class Own(keras.Model):
            def __init__(self, size: Any) -> None:
                super().__init__()
                self.first = keras.layers.Dense(size[0])

        found = describe(Own((2,)))
        assert list(found["modules"]) == ["dense#0"]

    def test_a_model_that_does_not_tell_its_config_says_so(self) -> None:
        class Silent(keras.Sequential):
            def get_config(self) -> Any:
                raise NotImplementedError

        found = describe(Silent([keras.layers.Dense(2)]))
        assert found["says"] == [
            "the model does not tell its config; its layers are listed"
        ]
        assert list(found["modules"]) == ["dense#0"]

    def test_the_code_of_a_lambda_and_the_path_in_it_are_not_told(self) -> None:
        model = keras.Sequential([keras.layers.Lambda(lambda given: given)])
        (told,) = describe(model)["modules"].values()
        assert '"function":{"class_name":"__lambda__"}' in told


class TestSklearn:
    """An estimator and the estimators in it."""

    def search(self, largest: float = 10.0) -> GridSearchCV:
        pipeline = make_pipeline(StandardScaler(), SVC())
        return GridSearchCV(pipeline, {"svc__C": [1.0, np.float64(largest)]})

    def test_estimators_are_named_by_their_parameter(self) -> None:
        modules = describe(self.search())["modules"]
        assert modules["estimator__svc"] == "sklearn.svm._classes.SVC"
        assert sorted(modules) == [
            "",
            "estimator",
            "estimator__standardscaler",
            "estimator__svc",
        ]

    def test_parameters_are_told_with_their_defaults(self) -> None:
        config = describe(self.search())["config"]
        assert config["estimator__svc__kernel"] == "rbf"
        assert config["param_grid"] == {"svc__C": [1.0, 10.0]}
        assert config["estimator__steps"][1] == ["svc", "sklearn.svm._classes.SVC"]

    def test_fitting_changes_nothing(self) -> None:
        model = LogisticRegression(C=np.float32(0.5))
        before = describe(model)
        model.fit(np.array([[0.0], [1.0]]), [0, 1])
        assert describe(model) == before
        assert before["config"]["C"] == 0.5

    def test_equal_estimators_are_equal_and_others_are_not(self) -> None:
        def same(one: object, other: object) -> bool:
            return values.of(describe(one)) == values.of(describe(other))

        assert same(self.search(), self.search())
        assert not same(self.search(), self.search(11.0))

    def test_what_has_no_spelling_is_named_by_its_class(self) -> None:
        random = np.random.RandomState(1)
        chosen = ColumnTransformer([("a", StandardScaler(), lambda _: [0])])
        assert describe(SVC(random_state=random))["config"]["random_state"] == (
            "numpy.random.mtrand.RandomState"
        )
        assert "<lambda>" in str(describe(chosen)["config"]["transformers"])

    def test_paths_and_large_arrays_are_not_told(self) -> None:
        model = Pipeline([("a", SVC(class_weight=np.zeros((20, 20))))], memory="/x/y")
        config = describe(model)["config"]
        assert config["memory"] == "a path"
        assert config["a__class_weight"] == "float64 [20, 20]"

    def test_parameters_that_cannot_be_asked_for_are_an_error(self) -> None:
        class Broken(sklearn.base.BaseEstimator):
            def __init__(self, *rest: object) -> None: ...

        with pytest.raises(FormatError, match="could not be asked"):
            architecture.of_object(Broken())


class TestSafetensors:
    """Our reader against the one that everybody uses."""

    def test_files_of_the_library_are_read_as_they_were_written(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "m.safetensors"
        kinds = [torch.float32, torch.bfloat16, torch.int64, torch.bool]
        kinds += [torch.float8_e4m3fn, torch.complex64, torch.uint16]
        tensors = {str(kind): torch.zeros(2, 3).to(kind) for kind in kinds}
        tensors["empty"] = torch.zeros(0, 3)
        safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})
        content = path.read_bytes()
        read = reading.from_bytes(content)
        found = headers.read_header(read, size=len(content), name=path.name)
        assert {name: list(one.shape) for name, one in found.tensors.items()} == {
            name: list(one.shape) for name, one in tensors.items()
        }
        assert found.metadata == {"format": "pt"}

    def test_tensors_that_save_model_left_out_are_tied(self, tmp_path: Path) -> None:
        path = tmp_path / "m.safetensors"
        safetensors.torch.save_model(Tiny(), str(path))
        found: Any = architecture.of_files(path)["weights"]
        tied = found["m.safetensors"]["tied"]
        assert {*tied, *tied.values()} >= {"embed.weight", "head.weight"}

    def test_the_types_are_those_of_the_library(self, tmp_path: Path) -> None:
        path = tmp_path / "m.safetensors"
        told = b'{"a":{"dtype":"?","shape":[],"data_offsets":[0,0]}}'
        path.write_bytes(len(told).to_bytes(8, "little") + told)
        with pytest.raises(SafetensorError) as error:
            safetensors.safe_open(path, "pt")
        named = str(error.value).partition("expected one of ")[2]
        assert {name.split("`")[1] for name in named.split(", ")} == set(headers.BITS)
