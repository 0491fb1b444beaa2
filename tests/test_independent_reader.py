"""The independent reader agrees with the library on whole releases."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

import independent_reader
import independent_statements
import provenance
from provenance.signing import keys

if TYPE_CHECKING:
    from pathlib import Path

READ = independent_reader.read_release


def make_release(folder: Path, kind: str) -> tuple[Path, bytes]:
    """Record a small run, release it and return the release and the public key."""
    signer = keys.generate(kind)
    keys.write_private(signer, folder / "key.pem")
    corpus = folder / "corpus"
    (corpus / "sub").mkdir(parents=True)
    (corpus / "a%.txt").write_bytes(b"to be")
    (corpus / "sub" / "b.txt").write_bytes(b"or not to be")
    model = folder / "model"
    model.mkdir()
    (model / "model.bin").write_bytes(b"weights")
    (model / "empty").write_bytes(b"")
    key, store = folder / "key.pem", folder / "store"
    with provenance.start("tiny", store=str(store), key=str(key)) as run:
        used = [run.dataset(str(corpus)), run.config({"lr": 0.1, "seed": None})]
        with run.step("train", uses=used) as train:
            final = train.checkpoint(str(model), step=1)
        run.evaluation("heldout", {"loss": 2.5}, model=final, dataset=used[0])
    (model / "notes.txt").write_bytes(b"added after the run")
    release = folder / "release"
    provenance.release(
        str(store), run.id, payload=str(model), to=str(release), key=str(key)
    )
    return release, signer.public.pem.encode()


@pytest.fixture(scope="module", params=["p256", "ed25519"])
def released(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, bytes]:
    return make_release(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture
def copied(released: tuple[Path, bytes], tmp_path: Path) -> tuple[Path, bytes]:
    shutil.copytree(released[0], tmp_path / "release")
    return tmp_path / "release", released[1]


def test_it_accepts_a_release_and_says_what_it_holds(
    released: tuple[Path, bytes],
) -> None:
    found = READ(str(released[0]), released[1])
    assert (found["line"], found["sequence"]) == ("tiny", 1)
    assert found["unexplained"] == ["empty", "notes.txt"]
    assert found["statements"]["artifact"] >= 4
    assert found["statements"]["step"] >= 1
    assert found["statements"]["withheld"] == 0


def test_it_refuses_another_key(released: tuple[Path, bytes]) -> None:
    other = keys.generate("p256").public.pem.encode()
    with pytest.raises(ValueError, match=r"."):
        READ(str(released[0]), other)


def test_it_refuses_a_changed_byte_in_every_file(copied: tuple[Path, bytes]) -> None:
    folder, key = copied
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert len(files) >= 7
    for file in files:
        data = file.read_bytes()
        for at in sorted({0, len(data) // 2, len(data) - 1}) if data else ():
            damaged = bytearray(data)
            damaged[at] ^= 1
            file.write_bytes(damaged)
            with pytest.raises(ValueError, match=r"."):
                READ(str(folder), key)
        file.write_bytes(data + b"\n")
        with pytest.raises(ValueError, match=r"."):
            READ(str(folder), key)
        file.unlink()
        with pytest.raises(ValueError, match=r"."):
            READ(str(folder), key)
        file.write_bytes(data)
    READ(str(folder), key)


def test_it_refuses_every_changed_byte_of_a_signature(
    released: tuple[Path, bytes],
) -> None:
    folder, pem = released
    key = load_pem_public_key(pem)
    for file in folder.rglob("*.sigstore.json"):
        data = file.read_bytes()
        independent_statements.opened(data, key)
        for at in range(len(data)):
            damaged = bytearray(data)
            damaged[at] ^= 1
            with pytest.raises(ValueError, match=r"."):
                independent_statements.opened(bytes(damaged), key)


@pytest.mark.parametrize(
    "name",
    ["extra", ".git/evil.py", "provenance/extra", "provenance/signatures/extra"],
)
def test_it_refuses_a_file_that_nobody_signed(
    copied: tuple[Path, bytes], name: str
) -> None:
    folder, key = copied
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"")
    with pytest.raises(ValueError, match=r"."):
        READ(str(folder), key)
