"""Model files that run code, lie about their kind, or mean two things at once."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

import provenance
from provenance.cli import view
from provenance.errors import FormatError
from provenance.fingerprint import reading
from provenance.fingerprint.models import architecture, safetensors
from provenance.model import values
from provenance.model.statements import ArtifactRecorded, Gap

if TYPE_CHECKING:
    from pathlib import Path


def recorded(folder: Path, path: Path) -> dict[str, Any]:
    """Record a model and return what is said about it, beside its plain digest."""
    store = folder / "store"
    code = folder / "code"
    code.mkdir()
    with provenance.start("models", store=store, code=code, strict=True) as run:
        model = run.model(path, source="https://example.org/model")
        digest = model.digest
    (one,) = view.read(str(store)).runs
    bodies = [said.body for ledger in one.ledgers for said in ledger.statements if said]
    assert not [b for b in bodies if isinstance(b, Gap) and b.what == "model"]
    (found,) = (
        body
        for body in bodies
        if isinstance(body, ArtifactRecorded) and body.kind == "model"
    )
    if path.is_file():
        assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    facts: Any = values.to(found.facts)
    about: dict[str, Any] = facts["found"]["architecture"]
    return about


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.sprung), "w")


def pickled(sprung: Path) -> bytes:
    return pickle.dumps(Trap(sprung))


def zipped(sprung: Path, name: str = "archive/data.pkl") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr(name, pickled(sprung))
    return made.getvalue()


def header(said: dict[str, Any], data: bytes = b"") -> bytes:
    text = json.dumps(said).encode()
    return len(text).to_bytes(8, "little") + text + data


def tensor(start: int, end: int) -> dict[str, Any]:
    return {"dtype": "U8", "shape": [end - start], "data_offsets": [start, end]}


HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(200)
GGUF = b"GGUF\x03\x00\x00\x00" + bytes(200)


@pytest.mark.parametrize(
    ("name", "make", "kind"),
    [
        ("model.pkl", pickled, "pickle"),
        ("model.pt", zipped, "zip"),
        ("model.pt", pickled, "pickle"),
        ("pytorch_model.bin", zipped, "zip"),
        ("model.keras", lambda trap: zipped(trap, "config.json"), "zip"),
        ("model.h5", lambda _: HDF5, "hdf5"),
        ("model.ckpt", lambda _: b"(i__main__\nX\n.", "unknown"),
    ],
)
def test_attack_097_what_runs_code_is_hashed_and_said_and_never_loaded(
    tmp_path: Path, name: str, make: Any, kind: str
) -> None:
    sprung = tmp_path / "sprung"
    path = tmp_path / name
    path.write_bytes(make(sprung))
    found = recorded(tmp_path, path)
    assert found["files"] == {name: {"executable": True, "format": kind}}
    assert not sprung.exists()


def test_attack_097_the_trap_catches_whoever_loads_it(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    pickle.loads(pickled(sprung)).close()  # noqa: S301 (our own)
    assert sprung.exists()


def test_attack_097_a_gguf_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(GGUF)
    assert recorded(tmp_path, path) == {"files": {"model.gguf": {"format": "gguf"}}}


@pytest.mark.parametrize(
    ("name", "make", "kind"),
    [
        ("model.safetensors", pickled, "pickle"),
        ("model.safetensors", zipped, "zip"),
        ("model.gguf", pickled, "pickle"),
        ("model.onnx", zipped, "zip"),
        ("config.json", pickled, "pickle"),
        ("model.h5", lambda _: GGUF, "gguf"),
    ],
)
def test_attack_098_a_name_that_lies_is_said(
    tmp_path: Path, name: str, make: Any, kind: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / name).write_bytes(make(tmp_path / "sprung"))
    found = recorded(tmp_path, folder)
    assert any(repr(name) in one and kind in one for one in found["says"])
    assert found["files"][name]["format"] == kind
    assert not (tmp_path / "sprung").exists()


def test_attack_098_a_file_that_is_tensors_and_an_archive_is_said(
    tmp_path: Path,
) -> None:
    inner = zipped(tmp_path / "sprung")
    path = tmp_path / "model.safetensors"
    path.write_bytes(header({"a": tensor(0, len(inner))}, inner))
    assert zipfile.is_zipfile(path)
    (said,) = recorded(tmp_path, path)["says"]
    assert "also ends as a zip archive" in said


ONE = b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
TWICE = b"{" + ONE + b"," + ONE + b"}"
MALFORMED = {
    "duplicate keys": len(TWICE).to_bytes(8, "little") + TWICE + b"x",
    "overlap": header({"a": tensor(0, 2), "b": tensor(1, 3)}, bytes(3)),
    "hole": header({"a": tensor(0, 1), "b": tensor(2, 3)}, bytes(3)),
    "trailing bytes": header({"a": tensor(0, 1)}, bytes(2)),
    "header over the limit": (2**27).to_bytes(8, "little") + b"{" + bytes(2**10),
    "header over the file": (2**63).to_bytes(8, "little") + b"{}",
    "overflow": header(
        {"a": {"dtype": "F64", "shape": [2**62, 2**62], "data_offsets": [0, 0]}}
    ),
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED)
def test_attack_099_a_malformed_header_is_refused_and_the_bytes_are_recorded(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    read = reading.from_bytes(content)
    with pytest.raises(FormatError, match=r"model\.safetensors"):
        safetensors.read_header(read, size=len(content), name=path.name)
    found = recorded(tmp_path, path)
    assert "weights" not in found
    assert any("model.safetensors" in one for one in found["says"])


def test_attack_099_hostile_names_and_texts_are_only_text(tmp_path: Path) -> None:
    names = [
        "../../../etc/hosts",
        "/etc/hosts",
        "<script>alert(1)</script>",
        "\x1b[2J",
    ]
    said = {name: tensor(at, at + 1) for at, name in enumerate(names)}
    said["__metadata__"] = {"<img src=x onerror=alert(1)>": "../" * 100}
    path = tmp_path / "model.safetensors"
    path.write_bytes(header(said, bytes(len(names))))
    before = sorted(tmp_path.iterdir())
    weights: Any = architecture.of_files(path)["weights"]
    assert sorted(weights["model.safetensors"]["tensors"]) == sorted(names)
    assert sorted(tmp_path.iterdir()) == before
    assert recorded(tmp_path, path)["weights"] == weights


@pytest.mark.parametrize("shard", ["../secret.safetensors", "/etc/passwd", "a/../b"])
def test_attack_099_an_index_leads_nowhere_outside(tmp_path: Path, shard: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.safetensors").write_bytes(header({"s": tensor(0, 1)}, b"x"))
    index = {"weight_map": {"s": shard}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    found = recorded(tmp_path, folder)
    assert list(found) == ["says"]
    assert "there is no such safetensors file" in found["says"][0]
