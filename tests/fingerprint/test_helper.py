"""A second process that hashes: the same answers, and nothing lost when it fails."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import provenance
from provenance.errors import (
    ChangedError,
    FileError,
    NotRegularError,
    UnreadableError,
)
from provenance.fingerprint import batches, helper, walk
from provenance.fingerprint.files import Digests
from provenance.fingerprint.helper import GoneError, Helper

if TYPE_CHECKING:
    from collections.abc import Iterable

FILES = 60
posix = pytest.mark.skipif(os.name == "nt", reason="scripts and signals of POSIX")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    for number in range(FILES):
        (folder / f"d{number % 7}").mkdir(parents=True, exist_ok=True)
        (folder / f"d{number % 7}" / f"{number}").write_bytes(b"%d" % number)
    return folder


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Helpers are used for a handful of files already, on any machine."""
    monkeypatch.setattr(batches, "MANY_FILES", FILES // 2)
    monkeypatch.setattr(batches, "BATCH_FILES", 3)
    monkeypatch.setattr(batches, "_cores", lambda: 2)


def told(results: Iterable[tuple[walk.Listed, Digests | FileError]]) -> list[Any]:
    """Return results so that errors can be compared as well."""
    return [(listed, plain(found)) for listed, found in results]


def plain(found: Digests | FileError) -> object:
    if isinstance(found, FileError):
        return type(found), found.path, found.reason
    return found


def helpers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count, from here on, how many files each question to a helper is about."""
    asked: list[int] = []
    submit = Helper.submit

    def counted(self: Helper, root: Any, files: Any) -> Any:
        asked.append(len(files))
        return submit(self, root, files)

    monkeypatch.setattr(Helper, "submit", counted)
    return asked


def test_it_says_what_this_process_says(tmp_path: Path) -> None:
    names = ["plain", "größe", "a\nb", 'quo"te', "back\\slash", " space ", "%41"]
    for name in names:
        (tmp_path / name).write_text(name)
    if sys.platform == "linux":
        (tmp_path / os.fsdecode(b"caf\xe9\xff")).write_bytes(b"stray")
    (tmp_path / "empty").touch()
    (tmp_path / "large").write_bytes(bytes(3 * 2**20))
    listed = walk.listing(tmp_path)
    here = [plain(found) for _, found in batches.hash_listed(tmp_path, listed)]
    with Helper() as other:
        there = [plain(found) for found in other.submit(tmp_path, listed).result()]
    assert there == here
    assert len(there) >= 9


@posix
def test_it_refuses_what_this_process_refuses(root: Path) -> None:
    listed = walk.listing(root)
    (root / "d0/0").write_bytes(b"longer than before")
    (root / "d1/1").unlink()
    (root / "d2/2").unlink()
    (root / "d2/2").symlink_to("9")
    (root / "d3/3").unlink()
    os.mkfifo(root / "d3/3")
    (root / "d4").rename(root / "elsewhere")
    (root / "d4").symlink_to("elsewhere")
    here = [plain(found) for _, found in batches.hash_listed(root, listed)]
    with Helper() as other:
        there = other.submit(root, listed).result()
    assert [plain(found) for found in there] == here
    kinds = {type(found) for found in there}
    assert kinds == {Digests, ChangedError, NotRegularError, UnreadableError}


@posix
def test_it_follows_a_link_only_where_that_was_listed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    listed = walk.listing(tmp_path, options=walk.WalkOptions(links="files"))
    assert [file.follow for file in listed] == [False, True]
    refused = [file._replace(follow=False) for file in listed]
    with Helper() as other:
        followed = other.submit(tmp_path, listed).result()
        not_followed = other.submit(tmp_path, refused).result()
    assert all(isinstance(found, Digests) for found in followed)
    assert isinstance(not_followed[1], NotRegularError)


@pytest.mark.usefixtures("eager")
def test_many_small_files_are_shared_with_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = helpers(monkeypatch)
    listed = walk.listing(root)
    read: list[int] = []
    found = list(batches.hash_listed(root, listed, progress=read.append))
    assert [file for file, _ in found] == listed
    for file, digests in found:
        content = file.path.rpartition(b"/")[2]
        sha256 = hashlib.sha256(content).hexdigest()
        assert digests == Digests(len(content), sha256)
    assert sum(read) == sum(file.size for file in listed)
    assert asked


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    "options", [{"blob": "sha1"}, {"workers": 1}], ids=["blob", "one worker"]
)
def test_it_is_not_asked_for_what_it_cannot_do(
    root: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    asked = helpers(monkeypatch)
    found = list(batches.hash_listed(root, walk.listing(root), **options))
    assert len(found) == FILES
    assert asked == []


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("where", ["MANY_FILES", "SMALL_BYTES"])
def test_few_files_and_large_ones_are_hashed_here(
    root: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(
        batches, where, {"MANY_FILES": FILES + 1, "SMALL_BYTES": 0}[where]
    )
    asked = helpers(monkeypatch)
    assert len(list(batches.hash_listed(root, walk.listing(root)))) == FILES
    assert asked == []


@pytest.mark.usefixtures("eager")
def test_one_that_is_killed_costs_no_file(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = walk.listing(root)
    expected = told(batches.hash_listed(root, listed, workers=1))
    asked = helpers(monkeypatch)
    with batches.Crew() as crew:
        crew.expect(listed)
        results = batches.hash_listed(root, listed, crew=crew)
        found = [next(results)]
        process = crew._helper._process
        assert process is not None
        process.kill()
        process.wait()
        found += results
    assert told(found) == expected
    assert asked


@pytest.mark.usefixtures("eager")
def test_one_that_dies_while_threads_wait_lets_them_in(root: Path) -> None:
    listed = walk.listing(root)
    with batches.Crew() as crew:
        crew.expect(listed)
        crew._helper._fail()
        assert len(list(batches.hash_listed(root, listed, crew=crew))) == FILES


@pytest.mark.usefixtures("eager")
def test_threads_stay_out_until_there_is_a_hurry(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = helpers(monkeypatch)
    listed = walk.listing(root)
    with batches.Crew() as crew:
        crew.expect(listed)
        crew.expect(listed)  # the second time, there is one already
        assert len(list(batches.hash_listed(root, listed, crew=crew))) == FILES
        assert sum(asked) == FILES
        crew.hurry()
        crew.hurry()
        assert crew._free.qsize() == batches.HELPER_BATCHES + 2 * crew.workers


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("program", ["", "/nowhere/python3", "/usr/bin/blender"])
def test_where_it_cannot_be_started_all_is_hashed_here(
    root: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    listed = walk.listing(root)
    expected = told(batches.hash_listed(root, listed, workers=1))
    monkeypatch.setattr(sys, "executable", program)
    assert told(batches.hash_listed(root, listed)) == expected
    with Helper() as other, pytest.raises(GoneError):
        other.submit(root, listed).result()


def test_a_program_with_python_inside_is_not_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert helper.available()
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert not helper.available()


def test_without_a_thread_to_listen_there_is_no_helper(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    with Helper() as other:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            other.start()
        assert other.gone
        with pytest.raises(GoneError):
            other.submit(root, walk.listing(root)).result()


@posix
@pytest.mark.parametrize(
    "answer",
    [
        "nonsense",
        "[" * 100_000,
        "null",
        "{}",
        "[]",
        '["00"]',
        f'["{"AB" * 32}"]',
        f'["{"ab" * 32}","{"ab" * 32}"]',
        "[1]",
        '[["ChangedError","a"]]',
        '[["ChangedError","a",1]]',
        '[["KeyboardInterrupt","a","b"]]',
    ],
)
def test_an_answer_that_is_none_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    (tmp_path / "file").write_text("x")
    listed = walk.listing(tmp_path)
    script = tmp_path / "python-that-lies"
    (tmp_path / "answer").write_text(answer)
    script.write_text(f"#!/bin/sh\nread line\ncat {tmp_path}/answer\necho\nread line\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with Helper() as other:
        with pytest.raises(GoneError):
            other.submit(tmp_path, listed).result(timeout=30)
        assert other.gone


@posix
def test_an_answer_that_is_cut_off_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [walk.Listed(b"file", 1, 0)]
    script = tmp_path / "python-that-stops"
    script.write_text(f"""#!/bin/sh\nread line\nprintf '["{"ab" * 32}"]'\n""")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with Helper() as other, pytest.raises(GoneError):
        other.submit(tmp_path, listed).result(timeout=30)


@posix
def test_an_answer_that_nobody_asked_for_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "python-that-talks"
    script.write_text("#!/bin/sh\necho '[]'\nread line\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with Helper() as other:
        other.start()
        assert other._listener is not None
        other._listener.join(timeout=30)
        assert other.gone


@posix
def test_one_that_does_not_listen_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [walk.Listed(b"x" * 4_000, 1, 0)] * 1_000  # more than a pipe holds
    script = tmp_path / "python-that-is-deaf"
    script.write_text("#!/bin/sh\nexec 0<&-\nread line < /dev/null\nsleep 0.2\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with Helper() as other, pytest.raises(GoneError):
        other.submit(tmp_path, listed).result(timeout=30)


def test_a_root_that_vanished_is_for_the_caller_to_report(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = walk.listing(root)
    with Helper() as other, pytest.raises(GoneError):
        other.submit(root / "gone", listed).result()
    monkeypatch.setattr(batches, "MANY_FILES", 1)
    monkeypatch.setattr(batches, "BATCH_FILES", 3)
    with pytest.raises(UnreadableError):
        list(batches.hash_listed(root / "gone", listed))


def test_closing_gives_back_what_is_owed(tmp_path: Path) -> None:
    with (tmp_path / "terabyte").open("wb") as file:
        file.truncate(2**40)
    other = Helper()
    owed = other.submit(tmp_path, walk.listing(tmp_path))
    other.close()
    with pytest.raises(GoneError):
        owed.result(timeout=0)
    other.close()  # a second time, there is nothing to do
    with pytest.raises(GoneError):
        other.submit(tmp_path, []).result(timeout=0)
    Helper().close()


def test_the_process_loads_this_package_and_the_standard_library() -> None:
    """What it does not load cannot run there, and need not be installed."""
    folder = str(Path(provenance.__file__).parents[1])
    code = helper._START.replace("helper.main()", "print(*sorted(sys.modules))")
    command = [sys.executable, "-I", "-S", "-B", "-c", code, folder]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    tops = {name.partition(".")[0] for name in found.stdout.split()}
    assert tops - set(sys.stdlib_module_names) <= {"provenance", "__main__"}


def alone(code: str, folder: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program that has nothing but this package."""
    source = str(Path(provenance.__file__).parents[1])
    whole = f"import sys; sys.path.append({source!r})\n" + textwrap.dedent(code)
    return subprocess.run(
        [sys.executable, "-P", "-B", "-c", whole],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        check=True,
        **options,
    )


@posix
def test_it_works_without_an_environment_and_without_standard_streams(
    root: Path,
) -> None:
    code = """
        import os
        os.close(0)
        os.close(2)
        from provenance.fingerprint import walk, helper
        listed = walk.listing(".")
        with helper.Helper() as other:
            found = other.submit(".", listed).result()
        print(len(found), found[0].sha256)
    """
    (root / "json.py").write_text("raise SystemExit('a file of the payload')")
    count, sha256 = alone(code, root, env={}).stdout.split()
    assert int(count) == FILES + 1
    assert sha256 == hashlib.sha256(b"0").hexdigest()


@posix
def test_it_ends_with_its_caller(root: Path) -> None:
    code = """
        import os
        from provenance.fingerprint import helper
        other = helper.Helper()
        other.submit(".", []).result()
        print(other._process.pid, flush=True)
        os._exit(0)
    """
    pid = int(alone(code, root).stdout)
    assert ended(pid), "the helper outlives its caller"


def ended(pid: int) -> bool:
    """Wait until a process has ended, whether or not anybody has collected it."""
    deadline = time.monotonic() + 30
    ps = shutil.which("ps")
    assert ps
    while time.monotonic() < deadline:
        found = subprocess.run(
            [ps, "-o", "stat=", "-p", str(pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        if found.stdout.strip()[:1] in ("", "Z"):
            return True
        time.sleep(0.01)
    return False


@posix
def test_an_interrupt_of_the_whole_group_leaves_no_trace(root: Path) -> None:
    code = """
        import os, signal
        from provenance.fingerprint import helper
        with helper.Helper() as other:
            other.submit(".", []).result()
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            os.killpg(0, signal.SIGINT)
            try:
                print(other.submit(".", []).result(timeout=30))
            except helper.GoneError:
                print("gone")
    """
    found = alone(code, root, start_new_session=True)
    assert found.stdout.strip() in ("gone", "[]")
    assert found.stderr == ""


class TestTheProcess:
    """What runs in the helper, here."""

    def test_a_line_is_answered_by_a_line(self, root: Path) -> None:
        wanted = [[b"d0/0".hex(), 1, False], [b"x".hex(), 1, False]]
        question = json.dumps([os.fsencode(root).hex(), wanted]).encode() + b"\n"
        sink = io.BytesIO()
        helper.serve(io.BytesIO(question * 2), sink)
        first, second = sink.getvalue().splitlines()
        assert first == second
        digest, refusal = json.loads(first)
        assert digest == hashlib.sha256(b"0").hexdigest()
        assert refusal[:2] == ["UnreadableError", "x"]

    def test_it_serves_standard_input_until_that_ends(
        self, monkeypatch: pytest.MonkeyPatch, root: Path
    ) -> None:
        question = json.dumps([os.fsencode(root).hex(), []]).encode() + b"\n"
        source, sink = io.BytesIO(question), io.BytesIO()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(source))
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(sink))
        with pytest.raises(SystemExit) as ended:
            helper.main()
        assert ended.value.code == 0
        assert sink.getvalue() == b"[]\n"
