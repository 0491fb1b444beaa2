"""Listing a folder: every file, no link, nothing skipped, and within bounds."""

from __future__ import annotations

import os
import resource
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.errors import (
    FileError,
    LimitError,
    NotRegularError,
    UnreadableError,
)
from provenance.fingerprint import batches, folders, tree, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

both = pytest.mark.usefixtures("each_kind_of_folders")
NAME = st.binary(min_size=1, max_size=3).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in {b".", b".."}
)


def names(root: Path, **options: object) -> list[bytes]:
    chosen = walk.WalkOptions(**options)  # type: ignore[arg-type]
    return [listed.path for listed in walk.listing(root, options=chosen)]


@both
def test_every_file_is_listed_by_raw_bytes_and_sorted(tmp_path: Path) -> None:
    for path in (b"b", b"a/z", b"a.txt", b".hidden/x", b"caf\xe9", b"a/b/c/d", b"a-"):
        full = tmp_path / os.fsdecode(path)
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_bytes(path)
    (tmp_path / "empty" / "folder").mkdir(parents=True)
    listed = walk.listing(tmp_path)
    expected = [b".hidden/x", b"a-", b"a.txt", b"a/b/c/d", b"a/z", b"b", b"caf\xe9"]
    assert [file.path for file in listed] == expected
    assert [file.size for file in listed] == [len(path) for path in expected]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(NAME, min_size=1, max_size=4), max_size=12))
def test_a_listing_and_its_hashes_agree_with_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[list[bytes]]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    written = set()
    for parts in wanted:
        full = root / os.fsdecode(b"/".join(parts))
        try:
            full.parent.mkdir(parents=True, exist_ok=True)
            full.write_bytes(b"x")
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue  # one of the lists wants a folder where another wants a file
        written.add(b"/".join(parts))
    entries = tree.scan(root).entries
    assert [entry.path for entry in entries] == sorted(written)


@both
def test_a_root_that_is_a_link_is_what_its_caller_means(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").touch()
    (tmp_path / "link").symlink_to("real")
    assert names(tmp_path / "link") == [b"a"]


@both
@pytest.mark.parametrize("kind", ["missing", "file", "fifo"])
def test_a_root_that_is_no_folder_is_an_error(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "root"
    if kind == "file":
        root.touch()
    elif kind == "fifo":
        os.mkfifo(root)
    with pytest.raises(FileError):
        walk.listing(root)


@both
class TestLinks:
    """Links are refused, read as files, or kept; never entered."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        root = tmp_path / "root"
        (root / "inner").mkdir(parents=True)
        (root / "inner" / "file").write_bytes(b"123")
        (tmp_path / "outside").write_bytes(b"12345")
        return root

    @pytest.mark.parametrize(
        "target", ["inner/file", "../outside", "inner", ".", "..", "/", "nowhere"]
    )
    def test_attack_019_links_are_refused(self, root: Path, target: str) -> None:
        (root / "link").symlink_to(target)
        with pytest.raises(NotRegularError, match=r"'link'.*link"):
            names(root)

    @pytest.mark.parametrize("target", ["inner", ".", "..", "nowhere", "link"])
    def test_attack_019_only_links_to_files_stand_for_files(
        self, root: Path, target: str
    ) -> None:
        (root / "link").symlink_to(target)
        with pytest.raises(FileError, match="'link'"):
            names(root, links="files")

    def test_links_to_files_are_read_as_those_files(self, root: Path) -> None:
        (root / "link").symlink_to("../outside")
        options = walk.WalkOptions(links="files")
        listed = walk.listing(root, options=options)
        assert [file.size for file in listed] == [3, 5]
        found = [digests for _, digests in batches.hash_listed(root, listed)]
        assert [getattr(digests, "size", None) for digests in found] == [3, 5]

    def test_kept_links_are_listed_and_never_hashed(self, root: Path) -> None:
        (root / "link").symlink_to("inner/file")
        listed = walk.listing(root, options=walk.WalkOptions(links="keep"))
        assert [file.path for file in listed] == [b"inner/file", b"link"]
        results = dict(batches.hash_listed(root, listed))
        assert isinstance(results[listed[1]], NotRegularError)

    def test_attack_019_a_folder_swapped_for_a_link_is_not_entered(
        self, root: Path
    ) -> None:
        listed = walk.listing(root)
        (root / "inner").rename(root.parent / "elsewhere")
        (root / "inner").symlink_to("../elsewhere")
        [(_, found)] = batches.hash_listed(root, listed)
        assert isinstance(found, NotRegularError)

    def test_attack_019_a_file_swapped_for_a_link_is_not_followed(
        self, root: Path
    ) -> None:
        listed = walk.listing(root)
        (root / "inner" / "file").rename(root / "moved")
        (root / "inner" / "file").symlink_to("../moved")
        [(_, found)] = batches.hash_listed(root, listed)
        assert isinstance(found, NotRegularError)


@both
def test_attack_020_what_is_no_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "good").touch()
    problems: list[walk.Problem] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        listed = walk.listing(tmp_path, on_problem=problems.append)
    assert [file.path for file in listed] == [b"good"]
    assert sorted(str(problem) for problem in problems) == [
        "'fifo': is a FIFO, not a regular file",
        "'socket': is a socket, not a regular file",
    ]


@both
def test_attack_021_a_huge_sparse_file_is_listed_without_reading(
    tmp_path: Path,
) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**40)
    assert walk.listing(tmp_path)[0].size == 2**40


@both
def test_a_file_of_another_size_than_listed_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    listed = walk.listing(tmp_path)
    os.truncate(tmp_path / "file", 2**40)
    told: list[int] = []
    [(_, found)] = batches.hash_listed(tmp_path, listed, progress=told.append)
    assert isinstance(found, FileError)
    assert not told


class TestAttack025DeepTrees:
    """A tree 3,000 folders deep works, or is refused by a limit."""

    DEPTH = 3_000

    @pytest.fixture
    def root(self) -> Iterator[Path]:
        """Make a deep tree with a file in every folder, sorted after its folder."""
        # Not in pytest's own folder: it could not clean up after a killed test.
        root = Path(tempfile.mkdtemp())
        here = os.open(root, os.O_RDONLY)
        for _ in range(self.DEPTH):
            os.mkdir("d", dir_fd=here)
            inner = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=inner))
            os.close(here)
            here = inner
        os.close(here)
        yield root
        for _ in range(self.DEPTH):
            (root / "d").rename(root / "old")
            if (root / "old" / "d").exists():
                (root / "old" / "d").rename(root / "d")
            (root / "old" / "f").unlink()
            (root / "old").rmdir()
        root.rmdir()

    @pytest.fixture(autouse=True)
    def _few_descriptors(self) -> Iterator[None]:
        """Allow far fewer open files than there are levels."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        yield
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_it_is_read_to_the_bottom(self, root: Path) -> None:
        found = tree.scan(root)
        assert len(found.entries) == self.DEPTH
        assert found.entries[0].path.count(b"/") == self.DEPTH

    def test_it_is_refused_where_depth_is_limited(self, root: Path) -> None:
        with pytest.raises(LimitError, match="depth of the folder"):
            walk.listing(root)
        problems: list[walk.Problem] = []
        listed = walk.listing(root, on_problem=problems.append)
        assert len(listed) == 100
        assert [type(problem) for problem in problems] == [LimitError]


@both
def test_depth_counts_the_folders_above_a_file(tmp_path: Path) -> None:
    (tmp_path / "1" / "2").mkdir(parents=True)
    (tmp_path / "1" / "2" / "file").touch()
    assert names(tmp_path, max_depth=2) == [b"1/2/file"]
    with pytest.raises(LimitError):
        names(tmp_path, max_depth=1)


@both
def test_attack_027_too_many_files_are_refused_even_when_problems_are_collected(
    tmp_path: Path,
) -> None:
    for name in "abc":
        (tmp_path / name).touch()
    assert len(names(tmp_path, max_files=3)) == 3
    with pytest.raises(LimitError, match="number of files"):
        walk.listing(
            tmp_path,
            options=walk.WalkOptions(max_files=2),
            on_problem=lambda _: None,
        )


@both
@pytest.mark.parametrize("mode", [0o000, 0o100, 0o400])
def test_attack_026_an_unreadable_folder_is_never_taken_for_an_absent_one(
    public: Path, as_nobody: Callable[[Callable[[], object]], str], mode: int
) -> None:
    (public / "closed").mkdir()
    (public / "closed" / "file").touch()
    (public / "closed").chmod(mode)
    if mode == 0o400:
        (public / "closed").chmod(0o004 | mode)
    said = as_nobody(lambda: walk.listing(public))
    assert said.startswith("UnreadableError: 'closed"), said
    problems: list[walk.Problem] = []

    def collect() -> list[walk.Problem]:
        walk.listing(public, on_problem=problems.append)
        return problems

    assert "UnreadableError" in as_nobody(collect)
    (public / "closed").chmod(0o000)
    collect_root = as_nobody(
        lambda: walk.listing(public / "closed", on_problem=problems.append)
    )
    assert collect_root.startswith("UnreadableError"), collect_root


@both
def test_attack_026_an_unreadable_file_is_an_error(
    public: Path, as_nobody: Callable[[Callable[[], object]], str]
) -> None:
    (public / "secret").touch(mode=0o600)
    said = as_nobody(lambda: tree.scan(public))
    assert said == "UnreadableError: 'secret': cannot be read: Permission denied"


@both
def test_attack_029_other_file_systems_are_refused_when_asked() -> None:
    options = walk.WalkOptions(same_device=True, links="keep", max_depth=0)
    problems: list[walk.Problem] = []
    walk.listing("/", options=options, on_problem=problems.append)
    others = [problem for problem in problems if isinstance(problem, NotRegularError)]
    assert "'proc': lies on another file system than its root" in map(str, others)


@both
def test_what_is_excluded_is_passed_over_whatever_it_is(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    os.mkfifo(tmp_path / "store" / "fifo")
    (tmp_path / "store2").touch()
    assert names(tmp_path, exclude=frozenset({b"store"})) == [b"store2"]


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="links"):
        walk.WalkOptions(links="follow")  # type: ignore[arg-type]


@both
def test_what_vanishes_between_listing_and_hashing_is_an_error(
    tmp_path: Path,
) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").touch()
    (tmp_path / "other").touch()
    listed = walk.listing(tmp_path)
    (tmp_path / "inner" / "file").unlink()
    (tmp_path / "inner").rmdir()
    results = [found for _, found in batches.hash_listed(tmp_path, listed)]
    assert isinstance(results[0], UnreadableError)
    assert not isinstance(results[1], FileError)


@both
def test_asking_about_one_thing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    with folders.under(tmp_path) as reach:
        assert reach.target(b"link") == b"nowhere"
        for ask in (reach.target, reach.status, reach.open):
            with pytest.raises(UnreadableError, match="No such file"):
                ask(b"missing")
        with pytest.raises(UnreadableError):
            list(reach.entries(b"missing"))


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number}" / "a").mkdir(parents=True)
        (tmp_path / f"{number}" / "a" / "f").touch()
    before = len([*Path("/proc/self/fd").iterdir()])
    tree.scan(tmp_path)
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_a_file_replaced_in_the_moment_of_opening_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "other").touch()
    reach = folders.PathFolders(tmp_path)
    seen = reach.status(b"other")
    monkeypatch.setattr(reach, "status", lambda *_, **__: seen)
    with pytest.raises(FileError, match="replaced"):
        reach.open(b"file")
