"""Things in a folder that are not files, and files without end."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import provenance
from provenance.errors import NotRegularError
from provenance.verify import check_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Check
    from simulator import Made

NOBODY = 65_534


def link_file(release: Path) -> str:
    (release / "model-1.bin").unlink()
    (release / "model-1.bin").symlink_to("model-2.bin")
    return "model-1.bin"


def link_out(release: Path) -> str:
    shutil.move(release / "model-1.bin", release.parent / "outside")
    (release / "model-1.bin").symlink_to(release.parent / "outside")
    return "model-1.bin"


def link_parent(release: Path) -> str:
    shutil.move(release / "sub", release.parent / "outside")
    (release / "sub").symlink_to(release.parent / "outside")
    return "sub"


def link_circle(release: Path) -> str:
    (release / "circle").symlink_to("circle")
    return "circle"


def link_to_itself(release: Path) -> str:
    (release / "sub" / "up").symlink_to("..")
    return "sub/up"


def link_nowhere(release: Path) -> str:
    (release / "nowhere").symlink_to("not here")
    return "nowhere"


def link_bundle(release: Path) -> str:
    shutil.move(release / "provenance" / "runs", release.parent / "runs")
    (release / "provenance" / "runs").symlink_to(release.parent / "runs")
    return "provenance/runs"


LINKS = [
    link_file,
    link_out,
    link_parent,
    link_circle,
    link_to_itself,
    link_nowhere,
    link_bundle,
]


@pytest.mark.parametrize("make", LINKS)
def test_attack_019_a_link_in_the_release(
    release: Path, check: Check, make: Callable[[Path], str]
) -> None:
    name = make(release)
    (finding,) = check(release, "PV101", "REFUSED")
    assert finding.subject == name


def test_attack_019_a_link_to_the_release_is_only_its_name(
    release: Path, check: Check, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(release)
    check(tmp_path / "link", "PV300", "OK")


def test_attack_019_a_release_whose_name_is_a_circle(
    tmp_path: Path, check: Check
) -> None:
    (tmp_path / "circle").symlink_to("circle")
    check(tmp_path / "circle", "PV001", "REFUSED")
    assert check_bundle(tmp_path / "circle").verdict in ("REFUSED", "ERROR")


def make_fifo(place: Path) -> None:
    os.mkfifo(place)


def make_socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(place))


def make_device(place: Path) -> None:
    # Device 1, 5 is /dev/zero, which never ends.
    os.mknod(place, stat.S_IFCHR | 0o644, os.makedev(1, 5))


@pytest.mark.parametrize("make", [make_fifo, make_socket, make_device])
@pytest.mark.parametrize(
    "name", ["sub/x", "config.json", "provenance/signatures/release.sigstore.json"]
)
def test_attack_020_something_else_than_a_file(
    release: Path,
    check: Check,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    make: Callable[[Path], None],
) -> None:
    (release / name).unlink(missing_ok=True)
    monkeypatch.chdir((release / name).parent)  # paths of sockets are short
    make(Path(Path(name).name))
    (finding,) = check(release, "PV101", "REFUSED")
    assert finding.subject == name


def test_attack_021_a_sparse_file_of_a_tebibyte(release: Path, check: Check) -> None:
    os.truncate(release / "model-1.bin", 2**40)
    (finding,) = check(release, "PV303", "FAILED")
    assert finding.evidence["actual"] == str(2**40)


def test_attack_021_a_sparse_part_of_the_bundle(release: Path, check: Check) -> None:
    (segment,) = release.glob("provenance/runs/*/*/rows-000000000000.parquet")
    os.truncate(segment, 2**40)
    check(release, "PV303", "FAILED")


@pytest.mark.parametrize("name", ["statement", "key"])
def test_attack_021_a_sparse_signature(release: Path, check: Check, name: str) -> None:
    signature = release / "provenance/signatures/release.sigstore.json"
    (key,) = release.glob("provenance/keys/*.pem")
    os.truncate(signature if name == "statement" else key, 2**40)
    if name == "statement":
        check(release, "PV202", "REFUSED")
    else:
        check(release, "PV303", "FAILED")


def growing(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"!")


def shrinking(path: Path) -> None:
    os.truncate(path, 5)


def changing(path: Path) -> None:
    before = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    # The same size, and the old time restored.
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [growing, shrinking, changing])
def test_attack_022_a_file_changes_while_it_is_hashed(
    release: Path, check: Check, change: Callable[[Path], None]
) -> None:
    seen: list[int] = []

    def interfere(count: int) -> None:
        if count == 14 and not seen:  # the first file that is read is README.md
            change(release / "README.md")
        seen.append(count)

    (finding,) = check(release, "PV305", "FAILED", progress=interfere)
    assert finding.subject == "README.md"


def test_attack_022_a_file_becomes_a_fifo_after_it_was_listed(
    release: Path, check: Check
) -> None:
    def interfere(_: int) -> None:
        place = release / "config.json"
        if not place.is_fifo():
            place.unlink()
            os.mkfifo(place)

    check(release, "PV306", "ERROR", progress=interfere)


@pytest.fixture
def deep(release: Path) -> Iterator[Path]:
    """A folder 3,000 levels deep; what the standard library has cannot remove it."""
    here = os.open(release, os.O_RDONLY)
    for _ in range(3_000):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("evil.py", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    yield release
    subprocess.run(["rm", "-rf", str(release / "d")], check=True)  # noqa: S607


def test_attack_025_a_tree_of_3000_folders(deep: Path, check: Check) -> None:
    (finding,) = check(deep, "PV104", "REFUSED")
    assert "depth" in finding.sentence


AS_NOBODY = """
    import os, sys
    from provenance.verify import check_bundle
    check_bundle(sys.argv[1])  # loads what nobody may perhaps not read
    if os.getuid() == 0:
        os.setgroups([]); os.setgid({nobody}); os.setuid({nobody})
    report = check_bundle(sys.argv[1])
    for finding in report.findings:
        print(finding.code, finding.subject)
    sys.exit(report.exit_code)
"""


def as_nobody(release: Path) -> subprocess.CompletedProcess[str]:
    """Check a release with the rights of nobody.

    Nobody may look into the folders above it here. That they can start the process
    that reads tables is not certain, so nothing is asked of the later steps.
    """
    for folder in release.parents:
        status = folder.stat()
        if status.st_uid == os.getuid() and folder != Path(folder.root):
            folder.chmod(status.st_mode | 0o055)
    code = textwrap.dedent(AS_NOBODY.format(nobody=NOBODY))
    return subprocess.run(
        [sys.executable, "-c", code, str(release)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("mode", [0o000, 0o644, 0o711])
@pytest.mark.parametrize("name", ["", "sub", "provenance/runs"])
def test_attack_026_an_unreadable_folder(release: Path, name: str, mode: int) -> None:
    (release / name).chmod(mode)
    done = as_nobody(release)
    assert done.returncode == 4, done
    assert "PV105" in done.stdout


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("config.json", "PV306"),
        ("provenance/signatures/release.sigstore.json", "PV105"),
        ("provenance/keys", "PV105"),
    ],
)
def test_attack_026_an_unreadable_file(release: Path, name: str, code: str) -> None:
    assert "PV300" in as_nobody(release).stdout
    (release / name).chmod(0o000)
    done = as_nobody(release)
    assert done.returncode == 4, done
    assert f"{code} " in done.stdout


def test_attack_026_a_folder_that_is_not_there(tmp_path: Path, check: Check) -> None:
    check(tmp_path / "nowhere", "PV105", "ERROR")


def test_attack_026_a_file_in_place_of_the_folder(release: Path, check: Check) -> None:
    check(release / "config.json", "PV101", "REFUSED")


def test_attack_027_more_files_than_the_cap(release: Path, check: Check) -> None:
    check(release, "PV300", "OK", max_files=14)
    (finding,) = check(release, "PV104", "REFUSED", max_files=13)
    assert "number of files" in finding.sentence


def test_attack_028_a_hard_link_to_a_file_outside(release: Path, check: Check) -> None:
    (release / "config.json").rename(release.parent / "outside.json")
    os.link(release.parent / "outside.json", release / "config.json")
    check(release, "PV300", "OK")


def test_attack_019_a_link_is_not_released_in_place(made: Made, tmp_path: Path) -> None:
    shutil.copytree(made.payload, tmp_path / "payload")
    (tmp_path / "payload" / "link").symlink_to("config.json")
    with pytest.raises(NotRegularError):
        provenance.release(
            made.store,
            payload=tmp_path / "payload",
            in_place=True,
            key=made.release.parent / "key.pem",
        )
    assert not (tmp_path / "payload" / "provenance").exists()
