"""Secrets of runs in files: written once, and for nobody but their owner."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from process_state import full_disk, not_root, umask
from provenance.errors import FormatError, KeyFileError, UnsafeKeyError
from provenance.signing import keys, private_files, run_secrets

if TYPE_CHECKING:
    from pathlib import Path

RUN = "0123456789abcdef" * 2
OTHER = "f" * 32


def ones(size: int) -> bytes:
    return b"\x11" * size


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "key.pem"
    keys.write_private(keys.generate(), path)
    return path


class TestCreating:
    def test_a_secret_comes_back_from_its_file(self, key: Path) -> None:
        made = run_secrets.create(key, RUN, os.urandom)
        assert len(made) == run_secrets.SIZE
        assert run_secrets.read(key, RUN) == made

    def test_it_lies_beside_the_key_as_64_hex_digits_and_a_newline(
        self, key: Path
    ) -> None:
        run_secrets.create(key, RUN, ones)
        path = key.parent / "run-secrets" / RUN
        assert path.read_bytes() == b"11" * 32 + b"\n"
        assert run_secrets.place(key, RUN) == path

    def test_only_its_owner_may_enter_the_folder_and_read_the_file(
        self, key: Path
    ) -> None:
        with umask(0):
            run_secrets.create(key, RUN, os.urandom)
        path = run_secrets.place(key, RUN)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    def test_each_run_has_its_own(self, key: Path) -> None:
        first = run_secrets.create(key, RUN, os.urandom)
        second = run_secrets.create(key, OTHER, os.urandom)
        assert first != second
        assert run_secrets.read(key, RUN) == first

    def test_a_second_secret_of_a_run_is_refused_and_the_first_one_stays(
        self, key: Path
    ) -> None:
        made = run_secrets.create(key, RUN, os.urandom)
        with pytest.raises(KeyFileError, match="left alone: a run has one secret"):
            run_secrets.create(key, RUN, os.urandom)
        assert run_secrets.read(key, RUN) == made

    def test_a_link_in_its_place_is_not_written_through(
        self, key: Path, tmp_path: Path
    ) -> None:
        path = run_secrets.place(key, RUN)
        path.parent.mkdir(mode=0o700)
        path.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(KeyFileError, match="left alone"):
            run_secrets.create(key, RUN, os.urandom)
        assert not (tmp_path / "elsewhere").exists()

    def test_a_link_in_place_of_the_folder_is_refused(
        self, key: Path, tmp_path: Path
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir(mode=0o700)
        (key.parent / "run-secrets").symlink_to(elsewhere)
        with pytest.raises(UnsafeKeyError, match="no folder of its own"):
            run_secrets.create(key, RUN, os.urandom)
        assert not list(elsewhere.iterdir())

    def test_a_folder_that_others_may_enter_is_refused(self, key: Path) -> None:
        folder = key.parent / "run-secrets"
        folder.mkdir()
        folder.chmod(0o750)
        with pytest.raises(UnsafeKeyError, match=r"chmod 700 .*run-secrets"):
            run_secrets.create(key, RUN, os.urandom)

    def test_a_folder_of_somebody_else_is_refused(self, key: Path) -> None:
        if os.geteuid():
            pytest.fail("run the tests as root: only root can give a folder away")
        folder = key.parent / "run-secrets"
        folder.mkdir(mode=0o700)
        os.chown(folder, 65534, 65534)
        with pytest.raises(UnsafeKeyError, match="belongs to another user"):
            run_secrets.create(key, RUN, os.urandom)

    def test_without_a_folder_of_the_key_the_error_says_so(
        self, tmp_path: Path
    ) -> None:
        with pytest.raises(KeyFileError, match="cannot write the secret"):
            run_secrets.create(tmp_path / "none" / "key.pem", RUN, os.urandom)

    def test_a_full_disk_leaves_nothing_behind(self, key: Path) -> None:
        with full_disk(), pytest.raises(KeyFileError, match="cannot write the secret"):
            run_secrets.create(key, RUN, os.urandom)
        assert not run_secrets.place(key, RUN).exists()

    def test_what_is_no_id_of_a_run_never_becomes_a_path(self, key: Path) -> None:
        with pytest.raises(FormatError, match="not an id"):
            run_secrets.create(key, "../key.pem", os.urandom)
        with pytest.raises(FormatError, match="not an id"):
            run_secrets.read(key, "../key.pem")


class TestReading:
    def test_where_there_is_none_the_error_says_which_key_to_name(
        self, key: Path
    ) -> None:
        with pytest.raises(KeyFileError, match="name the key that signed the run"):
            run_secrets.read(key, RUN)

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
    def test_one_that_others_may_touch_is_refused(self, key: Path, mode: int) -> None:
        run_secrets.create(key, RUN, os.urandom)
        run_secrets.place(key, RUN).chmod(mode)
        with pytest.raises(UnsafeKeyError, match="chmod 600"):
            run_secrets.read(key, RUN)

    def test_one_that_belongs_to_somebody_else_is_refused(self, key: Path) -> None:
        if os.geteuid():
            pytest.fail("run the tests as root: only root can give a file away")
        run_secrets.create(key, RUN, os.urandom)
        os.chown(run_secrets.place(key, RUN), 65534, 65534)
        with pytest.raises(UnsafeKeyError, match="belongs to another user"):
            run_secrets.read(key, RUN)

    def test_a_link_is_not_followed(self, key: Path, tmp_path: Path) -> None:
        run_secrets.create(key, RUN, os.urandom)
        path = run_secrets.place(key, RUN)
        path.rename(tmp_path / "moved")
        path.symlink_to(tmp_path / "moved")
        with pytest.raises(KeyFileError, match="cannot read the secret"):
            run_secrets.read(key, RUN)

    def test_a_pipe_is_refused_at_once(self, key: Path) -> None:
        path = run_secrets.place(key, RUN)
        path.parent.mkdir(mode=0o700)
        os.mkfifo(path, 0o600)
        with pytest.raises(KeyFileError, match="not a file that could hold"):
            run_secrets.read(key, RUN)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"11" * 32,
            b"11" * 31 + b"\n",
            b"11" * 32 + b"\n\n",
            b"11" * 32 + b"\r\n",
            b"AA" * 32 + b"\n",
            b" " + b"11" * 32 + b"\n",
            b"\xff" * 65,
            b"1" * 100_000,
        ],
    )
    def test_what_was_not_written_here_is_refused_and_not_quoted(
        self, key: Path, content: bytes
    ) -> None:
        run_secrets.create(key, RUN, os.urandom)
        run_secrets.place(key, RUN).write_bytes(content)
        with pytest.raises(KeyFileError, match="does not hold the secret") as caught:
            run_secrets.read(key, RUN)
        assert "1111" not in str(caught.value)

    def test_one_that_may_not_be_read_is_an_error_that_says_so(self, key: Path) -> None:
        run_secrets.create(key, RUN, os.urandom)
        for folder in (key.parent, key.parent.parent):
            folder.chmod(0o755)
        with not_root():
            if os.geteuid() != 65534:
                run_secrets.place(key, RUN).chmod(0)
            with pytest.raises(KeyFileError, match="cannot read the secret"):
                run_secrets.read(key, RUN)


def test_where_there_are_no_modes_none_are_asked_for(
    key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_files, "IS_POSIX", False)
    made = run_secrets.create(key, RUN, os.urandom)
    run_secrets.place(key, RUN).chmod(0o644)
    assert run_secrets.read(key, RUN) == made


def test_the_secrets_do_not_load_cryptography() -> None:
    code = (
        "import sys; from provenance.signing import run_secrets; "
        "sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestTheKeyOfARun:
    """The secret lies beside the key that `find_signer` takes."""

    def test_a_key_that_was_named_is_the_one(self, key: Path) -> None:
        environ = {"PROVENANCE_KEY": "/somewhere/else"}
        assert keys.signer_path(str(key), environ=environ) == key

    def test_then_the_variable_decides(self, key: Path) -> None:
        assert keys.signer_path(environ={"PROVENANCE_KEY": str(key)}) == key

    def test_a_variable_that_is_empty_names_none(self, tmp_path: Path) -> None:
        environ = {"PROVENANCE_KEY": "", "XDG_CONFIG_HOME": str(tmp_path)}
        assert keys.signer_path(environ=environ) is None

    def test_then_the_usual_place_if_there_is_one(self, tmp_path: Path) -> None:
        environ = {"XDG_CONFIG_HOME": str(tmp_path)}
        assert keys.signer_path(environ=environ) is None
        path = keys.default_key_path(environ)
        assert path is not None
        keys.write_private(keys.generate(), path)
        assert keys.signer_path(environ=environ) == path

    def test_without_a_home_there_is_none(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keys, "_home_of_account", lambda: None)
        assert keys.signer_path(environ={}) is None
