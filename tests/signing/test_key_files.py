"""Private keys in files: who may read them, and which one is taken."""

from __future__ import annotations

import os
import pwd
import stat
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519

from process_state import full_disk, not_root, umask
from provenance.errors import KeyFileError, UnsafeKeyError
from provenance.signing import keys, spelling

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

P256 = keys.generate("p256")
ED25519 = keys.generate("ed25519")
PKCS8 = serialization.PrivateFormat.PKCS8
NONE = serialization.NoEncryption()


def armour(
    key: PrivateKeyTypes,
    form: serialization.PrivateFormat = PKCS8,
    encryption: serialization.KeySerializationEncryption = NONE,
) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, form, encryption)


def own_file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


SEC1 = serialization.PrivateFormat.TraditionalOpenSSL
PASSWORD = serialization.BestAvailableEncryption(b"word")
OPENSSH = serialization.PrivateFormat.OpenSSH
PLAIN = ec.generate_private_key(ec.SECP256R1())
CONTENTS = {
    "empty": (b"", "not PEM"),
    "binary": (b"\xff\xfe\x00", "not PEM"),
    "two keys": (P256.private_pem() * 2, "several"),
    "public": (P256.public.pem.encode(), "holds PUBLIC KEY"),
    "other length": (P256.private_pem().replace(b"MIG", b"MIH"), "damaged"),
    "odd base64": (P256.private_pem().replace(b"MIG", b"MI"), "damaged"),
    "cut": (P256.private_pem()[:-5], "not PEM"),
    "encrypted": (armour(PLAIN, encryption=PASSWORD), "encrypted"),
    "SEC 1": (armour(PLAIN, SEC1), "holds EC PRIVATE KEY"),
    "OpenSSH": (armour(PLAIN, OPENSSH), "holds OPENSSH PRIVATE KEY"),
    "RSA": (armour(rsa.generate_private_key(65537, 2048)), "neither a P-256"),
    "Ed448": (armour(ed448.Ed448PrivateKey.generate()), "neither a P-256"),
    "X25519": (armour(x25519.X25519PrivateKey.generate()), "neither a P-256"),
    "P-384": (armour(ec.generate_private_key(ec.SECP384R1())), "usual encoding"),
    "secp256k1": (armour(ec.generate_private_key(ec.SECP256K1())), "usual encoding"),
}


class TestWriting:
    @pytest.mark.parametrize("signer", [P256, ED25519], ids=["p256", "ed25519"])
    def test_a_key_comes_back_from_its_file(
        self, tmp_path: Path, signer: keys.Signer
    ) -> None:
        keys.write_private(signer, tmp_path / "key.pem")
        loaded = keys.load_signer(str(tmp_path / "key.pem"))
        assert loaded.public == signer.public
        signer.public.check(loaded.sign(b"message"), b"message")

    def test_only_the_owner_may_enter_the_folders_and_read_the_file(
        self, tmp_path: Path
    ) -> None:
        with umask(0):
            keys.write_private(P256, tmp_path / "a" / "b" / "key.pem")
        modes = [
            stat.S_IMODE((tmp_path / name).stat().st_mode)
            for name in ("a", "a/b", "a/b/key.pem")
        ]
        assert modes == [0o700, 0o700, 0o600]

    def test_folders_that_exist_keep_their_mode(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a").chmod(0o755)
        keys.write_private(P256, tmp_path / "a" / "key.pem")
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o755

    def test_the_current_folder_will_do(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        keys.write_private(P256, "key.pem")
        assert keys.load_signer("key.pem").public == P256.public

    def test_a_file_is_never_overwritten(self, tmp_path: Path) -> None:
        path = own_file(tmp_path / "key.pem", b"precious")
        with pytest.raises(KeyFileError, match="exists already and is left alone"):
            keys.write_private(P256, path)
        assert path.read_bytes() == b"precious"

    def test_a_link_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "key.pem").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(KeyFileError, match="exists already"):
            keys.write_private(P256, tmp_path / "key.pem")
        assert not (tmp_path / "elsewhere").exists()

    def test_a_file_in_place_of_the_folder_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"")
        with pytest.raises(KeyFileError, match=r"cannot write the key .*Not a dir"):
            keys.write_private(P256, tmp_path / "a" / "key.pem")

    def test_a_dangling_link_in_place_of_the_folder_is_named(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "a").symlink_to(tmp_path / "nowhere")
        with pytest.raises(KeyFileError, match="a exists already"):
            keys.write_private(P256, tmp_path / "a" / "key.pem")

    def test_a_name_that_no_file_can_have_is_refused(self) -> None:
        with pytest.raises(KeyFileError, match="cannot write the key"):
            keys.write_private(P256, "k\0y")

    def test_a_full_disk_leaves_nothing_behind(self, tmp_path: Path) -> None:
        with full_disk(), pytest.raises(KeyFileError, match="File too large"):
            keys.write_private(P256, tmp_path / "key.pem")
        assert list(tmp_path.iterdir()) == []


class TestLoading:
    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602, 0o610])
    def test_attack_083_a_key_that_others_may_touch_is_refused(
        self, tmp_path: Path, mode: int
    ) -> None:
        path = own_file(tmp_path / "my key.pem", P256.private_pem())
        path.chmod(mode)
        with pytest.raises(UnsafeKeyError, match=r"chmod 600 '.*/my key.pem'"):
            keys.load_signer(path)

    @pytest.mark.parametrize("mode", [0o600, 0o400])
    def test_a_key_of_the_owner_alone_is_taken(self, tmp_path: Path, mode: int) -> None:
        path = own_file(tmp_path / "key.pem", P256.private_pem())
        path.chmod(mode)
        assert keys.load_signer(path).public == P256.public

    def test_a_link_counts_as_the_file_it_leads_to(self, tmp_path: Path) -> None:
        path = own_file(tmp_path / "key.pem", P256.private_pem())
        (tmp_path / "link").symlink_to(path)
        assert keys.load_signer(tmp_path / "link").public == P256.public
        path.chmod(0o644)
        with pytest.raises(UnsafeKeyError):
            keys.load_signer(tmp_path / "link")

    def test_a_missing_key_says_how_to_make_one(self, tmp_path: Path) -> None:
        with pytest.raises(KeyFileError, match="make one: provenance keygen"):
            keys.load_signer(tmp_path / "key.pem")

    def test_a_key_that_this_user_may_not_read_is_named(self, tmp_path: Path) -> None:
        path = own_file(tmp_path / "key.pem", P256.private_pem())
        path.chmod(0)
        with not_root(), pytest.raises(KeyFileError, match="Permission denied"):
            keys.load_signer(path)

    def test_a_name_that_no_file_can_have_is_refused(self) -> None:
        with pytest.raises(KeyFileError, match="cannot read the key"):
            keys.load_signer("k\0y")

    def test_a_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(KeyFileError, match="not a file that could hold a key"):
            keys.load_signer(tmp_path)

    def test_a_fifo_is_refused_without_waiting(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "key.pem", 0o600)
        with pytest.raises(KeyFileError, match="not a file that could hold a key"):
            keys.load_signer(tmp_path / "key.pem")

    def test_a_device_is_refused(self) -> None:
        with pytest.raises(KeyFileError, match="not a file that could hold a key"):
            keys.load_signer(os.devnull)

    def test_a_large_file_is_refused_before_it_is_read(self, tmp_path: Path) -> None:
        path = own_file(tmp_path / "key.pem", b"")
        os.truncate(path, 10**12)
        with pytest.raises(KeyFileError, match="too large"):
            keys.load_signer(path)

    def test_no_descriptor_stays_open(self, tmp_path: Path) -> None:
        path = own_file(tmp_path / "key.pem", P256.private_pem())
        free = os.dup(0)
        os.close(free)
        keys.load_signer(path)
        path.chmod(0o644)
        with pytest.raises(UnsafeKeyError):
            keys.load_signer(path)
        with pytest.raises(KeyFileError):
            keys.load_signer(tmp_path)
        again = os.dup(0)
        os.close(again)
        assert again == free

    @pytest.mark.parametrize("name", CONTENTS)
    def test_attack_076_what_is_no_plain_key_of_ours_is_refused(
        self, tmp_path: Path, name: str
    ) -> None:
        content, reason = CONTENTS[name]
        path = own_file(tmp_path / "key.pem", content)
        with pytest.raises(KeyFileError, match=reason) as caught:
            keys.load_signer(path)
        assert "provenance keygen" in str(caught.value)
        secret = content.splitlines()[1:2]
        assert not any(line.decode() in str(caught.value) for line in secret)

    def test_a_private_key_with_another_public_key_inside_is_refused(
        self, tmp_path: Path
    ) -> None:
        mine = keys._unarmour(P256.private_pem().decode().strip(), "PRIVATE KEY")
        other = keys.generate().public.der[-65:]
        mixed = mine.replace(P256.public.der[-65:], other)
        assert mixed != mine
        text = spelling.encode_base64(mixed)
        path = own_file(
            tmp_path / "key.pem",
            f"-----BEGIN PRIVATE KEY-----{text}-----END PRIVATE KEY-----".encode(),
        )
        with pytest.raises(KeyFileError, match="damaged"):
            keys.load_signer(path)


class TestFinding:
    @pytest.fixture
    def home(self, tmp_path: Path) -> Path:
        """A home with a key in its usual place, and two keys elsewhere."""
        default = keys.default_key_path({"XDG_CONFIG_HOME": str(tmp_path / "config")})
        assert default is not None
        keys.write_private(P256, default)
        keys.write_private(ED25519, tmp_path / "variable.pem")
        keys.write_private(keys.generate(), tmp_path / "argument.pem")
        return tmp_path

    def environ(self, home: Path, **more: str) -> dict[str, str]:
        return {"XDG_CONFIG_HOME": str(home / "config"), **more}

    def test_the_argument_decides_first(self, home: Path) -> None:
        environ = self.environ(home, PROVENANCE_KEY=str(home / "variable.pem"))
        found = keys.find_signer(home / "argument.pem", environ=environ)
        assert found is not None
        assert found.public == keys.load_signer(home / "argument.pem").public

    def test_then_the_variable(self, home: Path) -> None:
        environ = self.environ(home, PROVENANCE_KEY=str(home / "variable.pem"))
        found = keys.find_signer(environ=environ)
        assert found is not None
        assert found.public == ED25519.public

    def test_then_the_usual_place(self, home: Path) -> None:
        found = keys.find_signer(None, environ=self.environ(home))
        assert found is not None
        assert found.public == P256.public

    def test_without_any_there_is_no_signer(self, tmp_path: Path) -> None:
        assert keys.find_signer(environ=self.environ(tmp_path)) is None

    def test_an_argument_that_is_missing_is_not_skipped(self, home: Path) -> None:
        with pytest.raises(KeyFileError, match="there is no key at"):
            keys.find_signer(home / "none.pem", environ=self.environ(home))

    def test_a_variable_that_is_missing_is_not_skipped(self, home: Path) -> None:
        environ = self.environ(home, PROVENANCE_KEY=str(home / "none.pem"))
        with pytest.raises(KeyFileError, match="PROVENANCE_KEY names a key that canno"):
            keys.find_signer(environ=environ)

    def test_a_variable_that_is_unsafe_is_not_skipped(self, home: Path) -> None:
        (home / "variable.pem").chmod(0o644)
        environ = self.environ(home, PROVENANCE_KEY=str(home / "variable.pem"))
        with pytest.raises(UnsafeKeyError, match=r"PROVENANCE_KEY.*chmod 600"):
            keys.find_signer(environ=environ)

    def test_an_empty_variable_is_not_skipped(self, home: Path) -> None:
        with pytest.raises(KeyFileError, match="set but empty"):
            keys.find_signer(environ=self.environ(home, PROVENANCE_KEY=""))

    def test_an_unsafe_key_in_the_usual_place_is_not_skipped(self, home: Path) -> None:
        (home / "config" / "training-provenance" / "key.pem").chmod(0o644)
        with pytest.raises(UnsafeKeyError):
            keys.find_signer(environ=self.environ(home))

    def test_a_dangling_link_in_the_usual_place_is_not_skipped(
        self, tmp_path: Path
    ) -> None:
        folder = tmp_path / "config" / "training-provenance"
        folder.mkdir(parents=True)
        (folder / "key.pem").symlink_to("nowhere")
        with pytest.raises(KeyFileError, match="there is no key at"):
            keys.find_signer(environ=self.environ(tmp_path))

    def test_a_home_of_somebody_else_holds_no_key(self, home: Path) -> None:
        (home / "config").chmod(0o700)
        home.chmod(0o700)
        environ = self.environ(home)
        if os.geteuid() != 0:
            home.chmod(0)
        with not_root():
            assert keys.find_signer(environ=environ) is None
        home.chmod(0o700)

    def test_no_home_at_all_is_no_signer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "getuid", lambda: 4_000_000_001)
        assert keys.default_key_path({}, platform="linux") is None
        assert keys.find_signer(environ={}) is None


class TestUsualPlace:
    @pytest.mark.parametrize(
        ("platform", "environ", "expected"),
        [
            ("linux", {"HOME": "/h"}, "/h/.config"),
            ("linux", {"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, "/x"),
            ("linux", {"HOME": "/h", "XDG_CONFIG_HOME": ""}, "/h/.config"),
            ("linux", {"HOME": "/h", "XDG_CONFIG_HOME": "x"}, "/h/.config"),
            ("darwin", {"HOME": "/h"}, "/h/Library/Application Support"),
            ("darwin", {"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, "/x"),
            ("win32", {"HOME": "/h", "APPDATA": "/a"}, "/a"),
            ("win32", {"APPDATA": "/a", "XDG_CONFIG_HOME": "/x"}, "/x"),
        ],
    )
    def test_each_system_has_its_own(
        self, platform: str, environ: dict[str, str], expected: str
    ) -> None:
        path = keys.default_key_path(environ, platform=platform)
        assert str(path) == f"{expected}/training-provenance/key.pem"

    @pytest.mark.parametrize("environ", [{}, {"HOME": "/h"}, {"APPDATA": "a"}])
    def test_windows_without_appdata_has_none(self, environ: dict[str, str]) -> None:
        assert keys.default_key_path(environ, platform="win32") is None

    @pytest.mark.parametrize("environ", [{}, {"HOME": ""}, {"HOME": "here"}])
    def test_without_home_the_account_database_knows(
        self, environ: dict[str, str]
    ) -> None:
        home = pwd.getpwuid(os.getuid()).pw_dir
        path = keys.default_key_path(environ, platform="linux")
        assert str(path) == f"{home}/.config/training-provenance/key.pem"

    def test_a_system_without_account_database_has_none(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "pwd", None)
        assert keys.default_key_path({}, platform="linux") is None

    def test_this_system_is_the_default(self) -> None:
        environ = {"HOME": "/h", "APPDATA": "/a"}
        expected = keys.default_key_path(environ, platform=sys.platform)
        assert keys.default_key_path(environ) == expected
