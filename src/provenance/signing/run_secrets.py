"""The secrets of runs: what opens the commitments that hide values in a record.

Each lies beside the key that signed its run, in `run-secrets/<run id>`: 64 hex digits
and a newline. It is written once, for its owner alone, and refused when others may read
it or when it is anything but a file. Messages never quote it.

>>> import os, pathlib, tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     key = pathlib.Path(folder, "key.pem")
...     made = create(key, 32 * "0", os.urandom)
...     read(key, 32 * "0") == made
True

Whoever holds it can find out every hidden value of that run that can be guessed, and
open those that are known. Without it no value can be opened any more.
"""

from __future__ import annotations

import re
import stat
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from provenance.errors import KeyFileError, UnsafeKeyError
from provenance.model.text import check_id
from provenance.signing import private_files

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

FOLDER = "run-secrets"
SIZE = 32
"""Bytes of a secret."""

_TEXT = re.compile(rb"[0-9a-f]{64}\n")


def place(key_file: Path, run: str) -> Path:
    """Return where the secret of a run lies.

    Args:
        key_file: the file of the key that signs the run.
        run: id of the run.

    Raises:
        FormatError: this is no id of a run; so nothing else becomes a path.
    """
    check_id(run)
    return key_file.parent / FOLDER / run


def create(key_file: Path, run: str, entropy: Callable[[int], bytes]) -> bytes:
    """Make the secret of a run, write it beside its key, and return its 32 bytes.

    When this returns, the file will survive a loss of power. On Windows, where there
    are no such modes, file and folder inherit the access rules of the folder of the
    key.

    Args:
        key_file: the file of the key that signs the run.
        run: id of the run.
        entropy: returns as many random bytes as it is asked for.

    Raises:
        UnsafeKeyError: the folder for the secrets belongs to others or is open to them.
        KeyFileError: there is a secret of this run already (it is left alone), or the
            file cannot be written (nothing is left behind).
    """
    path = place(key_file, run)
    secret = entropy(SIZE)
    try:
        _make_folder(path.parent)
        private_files.write_new(path, secret.hex().encode() + b"\n")
    except FileExistsError as error:
        message = f"{path} exists already and is left alone: a run has one secret"
        raise KeyFileError(message) from error
    except OSError as error:
        message = private_files.cannot("write", "secret", path, error)
        raise KeyFileError(message) from error
    return secret


def read(key_file: Path, run: str) -> bytes:
    """Return the secret of a run.

    Args:
        key_file: the file of the key that signed the run.
        run: id of the run.

    Raises:
        UnsafeKeyError: the file belongs to others, or they may read or change it (not
            asked on Windows).
        KeyFileError: there is none, it cannot be read, or it is not as `create` wrote
            it.
    """
    path = place(key_file, run)
    check = partial(_check_file, path)
    try:
        text = private_files.read(path, 2 * SIZE + 2, follow=False, check=check)
    except FileNotFoundError as error:
        message = (
            f"there is no secret of the run {run} beside the key: {path} is missing; "
            "name the key that signed the run"
        )
        raise KeyFileError(message) from error
    except OSError as error:
        message = private_files.cannot("read", "secret", path, error)
        raise KeyFileError(message) from error
    if not _TEXT.fullmatch(text):
        message = f"{path} does not hold the secret of a run; restore it from a backup"
        raise KeyFileError(message)
    return bytes.fromhex(text.decode())


def _make_folder(folder: Path) -> None:
    """Make the folder of the secrets, or check the one that is there."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        private_files.flush_folder(folder.parent)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        message = f"{folder} is no folder of its own; move it away"
        raise UnsafeKeyError(message)
    private_files.check_owner(folder, status)
    private_files.check_mode(folder, status, close="700")


def _check_file(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        message = f"{path} is not a file that could hold a secret"
        raise KeyFileError(message)
    private_files.check_owner(path, status)
    private_files.check_mode(path, status, close="600")
