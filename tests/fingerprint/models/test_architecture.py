"""How a model is built: what its files say, and what is no model at all."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from provenance.errors import FormatError, NotRegularError, UnreadableError
from provenance.fingerprint import reading
from provenance.fingerprint.models import architecture, model_files
from provenance.model import values

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def safetensors(tensors: dict[str, list[int]], metadata: Any = None) -> bytes:
    """Return a file with tensors of bytes in these shapes."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    at = 0
    for name, shape in tensors.items():
        size = 1
        for axis in shape:
            size *= axis
        header[name] = {"dtype": "U8", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(at)


def described(folder: Path) -> dict[str, Any]:
    """Return what is said about a folder, after checking that it can be recorded."""
    found = architecture.of_files(folder)
    values.of({"found": {"architecture": found}})
    return found


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a model in one file."""
    folder = tmp_path / "model"
    folder.mkdir()
    content = safetensors({"a": [2, 3], "b": []}, {"format": "pt"})
    (folder / "model.safetensors").write_bytes(content)
    config = {"model_type": "tiny", "architectures": ["Tiny"], "layers": 2, "p": 0.5}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


class TestOneModel:
    """A folder with weights and a config."""

    def test_tensors_parameters_and_bytes_are_told(self, model: Path) -> None:
        weights = described(model)["weights"]["model.safetensors"]
        assert len(weights.pop("tensors_digest")) == 64
        assert weights == {
            "bytes": 7,
            "parameters": 7,
            "dtypes": {"U8": 7},
            "tensors": {"a": "U8 [2, 3]", "b": "U8 []"},
            "tensors_count": 2,
            "metadata": {"format": "pt"},
        }

    def test_the_config_is_told_and_what_the_model_is_called(self, model: Path) -> None:
        found = described(model)
        assert found["model_type"] == "tiny"
        assert found["architectures"] == ["Tiny"]
        assert found["config"]["config.json"]["p"] == 0.5
        assert "says" not in found

    def test_a_file_a_held_file_and_a_folder_say_the_same(self, model: Path) -> None:
        path = model / "model.safetensors"
        descriptor = os.open(path, os.O_RDONLY)
        held = architecture.of_held(
            reading.from_descriptor(descriptor),
            size=path.stat().st_size,
            name="model.safetensors",
        )
        os.close(descriptor)
        folder = described(model)
        assert held == architecture.of_files(path) == architecture.of_files(str(path))
        assert held["weights"] == folder["weights"]

    def test_the_order_of_tensors_and_the_numbers_in_them_do_not_matter(
        self, tmp_path: Path
    ) -> None:
        digests = []
        for content in (
            safetensors({"a": [2], "b": [3]}),
            safetensors({"b": [3], "a": [2]}),
            safetensors({"a": [2], "b": [3]})[:-5] + b"other",
            safetensors({"a": [2], "b": [1, 3]}),
        ):
            path = tmp_path / "m.safetensors"
            path.write_bytes(content)
            told = architecture.of_files(path)["weights"]
            digests.append(told["m.safetensors"]["tensors_digest"])  # type: ignore[index,call-overload]
        assert len(set(digests[:3])) == 1
        assert digests[3] != digests[0]

    def test_tied_tensors_are_those_of_the_config_and_the_metadata(
        self, model: Path
    ) -> None:
        (model / "config.json").write_text('{"tie_word_embeddings": true}')
        metadata = {"head": "a", "note": "a text", "b": "a"}
        content = safetensors({"a": [1], "b": [1]}, metadata)
        (model / "model.safetensors").write_bytes(content)
        found = described(model)
        assert found["tie_word_embeddings"] is True
        weights = found["weights"]["model.safetensors"]
        assert weights["tied"] == {"head": "a"}
        assert weights["metadata"] == {"note": "a text", "b": "a"}

    def test_a_path_of_the_machine_in_a_config_is_not_told(self, model: Path) -> None:
        config = {"_name_or_path": "/home/somebody/base", "limit": float("inf")}
        (model / "config.json").write_text(json.dumps(config))
        found = described(model)["config"]["config.json"]
        assert found == {"_name_or_path": "a path", "limit": float("inf")}

    def test_links_to_files_are_read_as_those_files(
        self, model: Path, tmp_path: Path
    ) -> None:
        linked = tmp_path / "linked"
        linked.mkdir()
        for path in model.iterdir():
            (linked / path.name).symlink_to(path)
        assert described(linked) == described(model)

    def test_a_folder_without_a_model_says_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "data.csv").write_text("a,b\n1,2\n")
        assert described(tmp_path) == {}

    def test_listed_sizes_are_believed_and_checked(self, model: Path) -> None:
        sizes = {os.fsencode(p.name): p.stat().st_size for p in model.iterdir()}
        assert architecture.of_files(model, sizes=sizes) == described(model)
        sizes[b"model.safetensors"] += 1
        sizes[b"gone"] = 3
        found: Any = architecture.of_files(model, sizes=sizes)
        assert "weights" not in found
        assert [one.partition(":")[0] for one in found["says"]] == [
            "could not be looked at"
        ] * 2


class TestSeveralFiles:
    """Shards, and models in folders of their own."""

    def index(self, folder: Path, weight_map: object) -> None:
        path = folder / "model.safetensors.index.json"
        path.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))

    def shards(self, folder: Path) -> list[str]:
        names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
        (folder / names[0]).write_bytes(safetensors({"a": [2]}))
        (folder / names[1]).write_bytes(safetensors({"b": [3]}))
        return names

    def test_shards_of_an_index_are_one_model(self, tmp_path: Path) -> None:
        one, two = self.shards(tmp_path)
        self.index(tmp_path, {"a": one, "b": two})
        (tmp_path / "extra.safetensors").write_bytes(safetensors({"c": [1]}))
        found = described(tmp_path)
        weights = found["weights"]["model.safetensors.index.json"]
        assert weights["tensors"] == {"a": "U8 [2]", "b": "U8 [3]"}
        assert (weights["parameters"], weights["shards"]) == (5, 2)
        assert found["weights"]["extra.safetensors"]["parameters"] == 1
        assert "says" not in found

    def test_shards_are_joined_by_their_names_without_an_index(
        self, tmp_path: Path
    ) -> None:
        self.shards(tmp_path)
        weights = described(tmp_path)["weights"]
        assert weights["model.safetensors"]["tensors_count"] == 2

    def test_one_file_and_the_same_model_in_shards_have_one_digest(
        self, tmp_path: Path
    ) -> None:
        self.shards(tmp_path)
        (tmp_path / "whole.safetensors").write_bytes(safetensors({"b": [3], "a": [2]}))
        weights = described(tmp_path)["weights"]
        digests = {one["tensors_digest"] for one in weights.values()}
        assert (len(weights), len(digests)) == (2, 1)

    def test_a_missing_shard_is_said(self, tmp_path: Path) -> None:
        one, two = self.shards(tmp_path)
        (tmp_path / two).unlink()
        self.index(tmp_path, {"a": one, "b": two, "c": "../../x"})
        (said,) = described(tmp_path)["says"]
        assert "names '../../x' and 1 others, and there is no such" in said

    def test_an_index_that_contradicts_its_shards_is_said(self, tmp_path: Path) -> None:
        one, two = self.shards(tmp_path)
        self.index(tmp_path, {"a": one, "x": one, "b": two})
        (said,) = described(tmp_path)["says"]
        assert "disagree about 'x'" in said

    def test_a_tensor_in_two_shards_is_said(self, tmp_path: Path) -> None:
        _, two = self.shards(tmp_path)
        (tmp_path / two).write_bytes(safetensors({"a": [2]}))
        (said,) = described(tmp_path)["says"]
        assert "holds 'a', which another file holds too" in said

    @pytest.mark.parametrize("weight_map", [None, [], {"a": 1}, "x"], ids=repr)
    def test_an_index_without_a_map_is_said(
        self, tmp_path: Path, weight_map: object
    ) -> None:
        self.shards(tmp_path)
        self.index(tmp_path, weight_map)
        found = described(tmp_path)
        assert "has no weight_map" in found["says"][0]
        assert list(found["weights"]) == ["model.safetensors"]

    def test_models_in_folders_stay_apart(self, tmp_path: Path) -> None:
        for name in ("unet", "vae"):
            folder = tmp_path / name
            folder.mkdir()
            (folder / "config.json").write_text(json.dumps({"name": name}))
            self.index(folder, {"a": "model-00001-of-00002.safetensors", "b": "y"})
            self.shards(folder)
        found = described(tmp_path)
        assert sorted(found["weights"]) == [
            "unet/model.safetensors",
            "unet/model.safetensors.index.json",
            "vae/model.safetensors",
            "vae/model.safetensors.index.json",
        ]
        assert found["config"]["vae/config.json"] == {"name": "vae"}


class TestWhatIsWrong:
    """A file that is not what it should be is said, and the others are described."""

    @pytest.mark.parametrize(
        ("name", "content", "says"),
        [
            ("config.json", b"{", "is not JSON"),
            ("config.json", b"[]", "is not an object in JSON"),
            ("config.json", b'{"a":1,"a":2}', "stands twice"),
            ("config.json", b" " * (2**20 + 1), "and was not read"),
            ("b.safetensors", b"", "is not a safetensors file"),
            ("b.safetensors", pickle.dumps({}), "begins like pickle"),
            ("notes.json", pickle.dumps({}), "is named like text"),
        ],
    )
    def test_it_is_said(
        self, model: Path, name: str, content: bytes, says: str
    ) -> None:
        (model / name).write_bytes(content)
        found = described(model)
        assert any(name in one and says in one for one in found["says"])
        assert "model.safetensors" in found["weights"]

    def test_a_pickle_is_named_and_not_loaded(self, model: Path) -> None:
        (model / "training_args.bin").write_bytes(pickle.dumps({"lr": 1}))
        (model / "tokenizer.model").write_bytes(b"plain")
        assert described(model)["files"] == {
            "model.safetensors": {"format": "safetensors"},
            "training_args.bin": {"executable": True, "format": "pickle"},
        }

    def test_an_archive_behind_tensors_is_said(self, model: Path) -> None:
        with zipfile.ZipFile(model / "x.zip", "w") as file:
            file.writestr("data.pkl", pickle.dumps({}))
        inner = (model / "x.zip").read_bytes()
        (model / "x.zip").unlink()
        content = safetensors({"a": [len(inner)]})[: -len(inner)] + inner
        (model / "model.safetensors").write_bytes(content)
        found = described(model)
        assert "also ends as a zip archive" in found["says"][0]
        assert found["weights"]["model.safetensors"]["parameters"] == len(inner)

    def test_a_safetensors_file_with_another_name_is_said_and_read(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "model.h5").write_bytes(safetensors({"a": [1]}))
        found = described(tmp_path)
        assert "named like h5" in found["says"][0]
        assert found["weights"]["model.h5"]["tensors_count"] == 1

    def test_a_file_that_cannot_be_read_is_said(
        self, public: Path, as_nobody: Callable[[Callable[[], object]], str]
    ) -> None:
        (public / "model.safetensors").write_bytes(safetensors({"a": [1]}))
        (public / "secret.safetensors").touch(0o600)
        said = as_nobody(lambda: architecture.of_files(public))
        assert "could not be looked at: 'secret.safetensors'" in said
        assert "U8 [1]" in said

    def test_a_file_that_changes_meanwhile_is_said(
        self, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = model_files.safetensors.read_header

        def change(*args: Any, **options: Any) -> Any:
            os.utime(model / "model.safetensors", ns=(1, 1))
            return real(*args, **options)

        monkeypatch.setattr(model_files.safetensors, "read_header", change)
        (said,) = described(model)["says"]
        assert "changed while it was looked at" in said

    def test_what_cannot_be_listed_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableError):
            architecture.of_files(tmp_path / "none")
        (tmp_path / "link").symlink_to(tmp_path)
        with pytest.raises(NotRegularError):
            architecture.of_files(tmp_path)


class TestBounds:
    """However large or hostile a model is, its description fits into a record."""

    def test_2000_tensors_are_listed_and_all_are_counted(self, tmp_path: Path) -> None:
        tensors = {f"layer.{number:05}": [1] for number in range(2_500)}
        (tmp_path / "m.safetensors").write_bytes(safetensors(tensors))
        told = described(tmp_path)["weights"]["m.safetensors"]
        assert told["tensors_count"] == told["parameters"] == 2_500
        assert told["tensors_listed"] == len(told["tensors"]) == 2_000

    def test_a_large_setting_is_left_out_and_said(self, model: Path) -> None:
        labels = {str(number): f"label {number}" for number in range(3_000)}
        config = {"model_type": "tiny", "id2label": labels}
        (model / "config.json").write_text(json.dumps(config))
        found = described(model)
        assert found["config"]["config.json"] == {"model_type": "tiny"}
        assert "'id2label' is too large to list" in found["says"][0]

    def test_many_files_are_counted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(model_files, "MAX_LOOKS", 10)
        for number in range(model_files.MAX_FILES + 50):
            path = tmp_path / f"{number:03}.safetensors"
            path.write_bytes(safetensors({"a": [1]}, {"format": "pt"}))
        (tmp_path / "z.txt").touch()
        found = described(tmp_path)
        assert (found["files_count"], len(found["files"])) == (250, 200)
        assert len(found["weights"]) == 50
        assert found["says"] == [
            "1 files were not looked at, by their names no weights",
            "there are 250 sets of weights; 50 are described",
        ]

    def test_sentences_without_end_are_counted(self, tmp_path: Path) -> None:
        for number in range(60):
            (tmp_path / f"{number}.safetensors").touch()
        found = described(tmp_path)
        assert (found["says_count"], len(found["says"])) == (120, 50)

    def test_headers_without_end_are_not_all_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(model_files, "MAX_READ", 1)
        for name in "abc":
            path = tmp_path / f"{name}.safetensors"
            path.write_bytes(safetensors({"x": [1], "y": [1]}))
        found = described(tmp_path)
        assert list(found["weights"]) == ["a.safetensors"]
        assert len(found["says"]) == 2

    def test_long_names_of_files_do_not_break_the_record(self, tmp_path: Path) -> None:
        folder = tmp_path
        for _ in range(12):
            folder /= "x" * 250
            folder.mkdir()
        for number in range(20):
            tensors = {f"{at:03}": [1] for at in range(100)}
            path = folder / f"{number}.safetensors"
            path.write_bytes(safetensors(tensors))
        (said,) = described(tmp_path)["says"]
        assert "too long to describe" in said

    def test_metadata_without_end_is_cut_and_said(self, tmp_path: Path) -> None:
        metadata = {f"{number:03}": "x" * 100 for number in range(100)}
        (tmp_path / "m.safetensors").write_bytes(safetensors({"a": [1]}, metadata))
        found = described(tmp_path)
        assert len(found["weights"]["m.safetensors"]["metadata"]) == 50
        assert "50 of 100 entries of metadata" in found["says"][0]

    @given(
        st.dictionaries(strategies.unicode_text, st.just([1]), max_size=5),
        st.dictionaries(strategies.unicode_text, strategies.unicode_text, max_size=3),
        st.dictionaries(strategies.unicode_text, strategies.unicode_text, max_size=3),
    )
    def test_whatever_the_files_say_can_be_recorded(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        tensors: dict[str, list[int]],
        metadata: dict[str, str],
        config: dict[str, str],
    ) -> None:
        tensors.pop("__metadata__", None)
        folder = tmp_path_factory.mktemp("m")
        (folder / "m.safetensors").write_bytes(safetensors(tensors, metadata))
        (folder / "config.json").write_text(json.dumps(config))
        found = described(folder)
        assert found["weights"]["m.safetensors"]["tensors_count"] == len(tensors)


@pytest.mark.parametrize("thing", [3, {"a": 1}, object, "text", None], ids=repr)
def test_what_is_no_model_is_refused_and_told_what_would_be_one(thing: object) -> None:
    with pytest.raises(FormatError, match="does not tell how it is built; hand over"):
        architecture.of_object(thing)


def test_describing_imports_no_framework() -> None:
    code = (
        "import sys\n"
        "from provenance.fingerprint.models import architecture\n"
        "try:\n"
        "    architecture.of_object(3)\n"
        "except Exception:\n"
        "    found = {'torch', 'keras', 'sklearn', 'numpy', 'pyarrow'}\n"
        "    print(sorted(found & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"
