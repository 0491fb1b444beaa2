"""What is printed, and how the command ends when something goes badly wrong."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from simulator import Forge, Said, sha256, spell, statement

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Check
    from simulator import Made

COMMAND = [sys.executable, "-m", "provenance"]

HOSTILE = [
    "\x1b[2J\x1b[1;1HVerdict: OK",
    "\x1b]8;;https://example.org\x07click\x1b]8;;\x07",
    "\x1b]52;c;ZXZpbA==\x07",
    "\x1b]0;title\x1b\\",
    "\x9b2Jc1",
    "\x07\x08\x08\x08\x08bell",
    "line\nVerdict: OK",
    "line\r\nVerdict: OK\r",
    "line\x0bVerdict: OK\x0c",
    "line\N{LINE SEPARATOR}Verdict: OK\N{PARAGRAPH SEPARATOR}",
    "line\x85Verdict: OK",
    "\N{RIGHT-TO-LEFT OVERRIDE}KO :tcidreV",
    "zero\N{ZERO WIDTH SPACE}width\N{SOFT HYPHEN}",
    "[bold green]Verdict: OK[/bold green] [link=https://example.org]x[/link]",
    ":white_check_mark: Verdict: OK",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "$(touch /tmp/evil) `id` %s {0} {sentence}",
    "Verdict: OK",
    " " * 60 + "Verdict: OK " * 12,
    "x" * 39 + " Verdict: OK " * 10,
    "\N{LANGUAGE TAG}" * 105 + " Verdict: OK " * 20,
    "\N{CANCEL TAG}" * 110 + " " * 40 + "Verdict: OK",
]


@pytest.fixture
def hostile(forge: Forge) -> Path:
    """A release whose signer chose the worst names, in all places at once."""
    document = forge.said[-1]["subject"]
    entry = forge.said[-1]["predicate"]["entry"]
    for number, text in enumerate(HOSTILE):
        predicate: Said = {
            "entry": {**entry, "nonce": f"{number:032x}"},
            "name": text,
            "what": "dataset",
            "why": text,
        }
        gap = statement("gap", predicate, "run") | {"subject": document}
        forge.said.insert(-1, gap)
    names = iter(HOSTILE * 9)
    for said in forge.said:
        rename(said, names)
    document_name(forge, HOSTILE[0])
    forge.write(release=with_line("\x1b[2J\nVerdict: OK [bold]x[/bold]"))
    return forge.root


def rename(said: Said, names: Any) -> None:
    predicate = said["predicate"]
    if predicate.get("kind") == "dataset":
        predicate["name"] = said["subject"][0]["name"] = next(names)
    for use in predicate.get("uses", []):
        use["name"] = next(names)
    if "step" in predicate:
        predicate["step"]["name"] = HOSTILE[len(predicate["step"]["kind"])]


def document_name(forge: Forge, name: str) -> None:
    """Call the run something else, wherever it is spoken of."""
    old = forge.said[0]["subject"][0]["digest"]["sha256"]
    document = forge.said[0]["predicate"]["document"]
    document["name"] = name
    for said in forge.said:
        for one in said["subject"]:
            if one["digest"]["sha256"] == old:
                one["digest"] = {"sha256": sha256(spell(document))}


def with_line(line: str) -> Callable[[Said], Said]:
    def change(said: Said) -> Said:
        said["predicate"]["line"] = said["subject"][0]["name"] = line
        return said

    return change


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        check=False,
        timeout=60,
        **options,
    )


def check_harmless(text: str) -> None:
    """No character moves the cursor, hides text or turns it around."""
    bad = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert not {
        character
        for character in text
        if character != "\n" and unicodedata.category(character) in bad
    }


class TestAttack112Terminals:
    """Text of a stranger is text, and never a verdict."""

    def test_attack_112_the_hostile_release_is_good(
        self, hostile: Path, check: Check
    ) -> None:
        assert len(check(hostile, "PV608", "OK")) == len(HOSTILE)

    def test_attack_112_the_verdict_stands_alone(
        self, hostile: Path, made: Made
    ) -> None:
        (hostile / "config.json").write_bytes(b"changed")
        done = run("verify", hostile, "--trust", made.trust)
        assert done.returncode == 1
        text = done.stdout.decode()
        check_harmless(text)
        lines = text.splitlines()
        assert lines[0] == "Verdict: FAILED"
        assert not [line for line in lines[1:] if not line.startswith("  ")]
        assert "[bold]" in text

    def test_attack_112_without_trust_nothing_is_shown_that_could_mislead(
        self, hostile: Path
    ) -> None:
        done = run("verify", hostile)
        assert done.returncode == 3
        check_harmless(done.stdout.decode() + done.stderr.decode())
        verdicts = re.findall(r"^Verdict.*", done.stdout.decode(), re.MULTILINE)
        assert verdicts == ["Verdict: INCOMPLETE"]

    @pytest.mark.parametrize("columns", [40, 80, 120])
    def test_attack_112_on_a_terminal_no_line_begins_with_a_stranger_s_words(
        self, hostile: Path, made: Made, columns: int
    ) -> None:
        (hostile / "config.json").write_bytes(b"changed")
        text = on_terminal(columns, "verify", hostile, "--trust", made.trust)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r\n", "\n")
        check_harmless(plain)
        lines = plain.splitlines()
        assert lines[0] == "Verdict: FAILED"
        # A terminal would go on in its first column, so no line is longer than it.
        assert max(map(len, lines)) <= columns
        assert not [line for line in lines[1:] if line and not line.startswith("  ")]

    def test_attack_112_json_is_plain_ascii(self, hostile: Path, made: Made) -> None:
        done = run("verify", hostile, "--trust", made.trust, "--json")
        assert done.returncode == 0
        check_harmless(done.stdout.decode("ascii"))
        report = json.loads(done.stdout)
        assert report["verdict"] == "OK"
        told = {one["sentence"] for one in report["findings"]}
        assert any("<script>" in sentence for sentence in told)

    @pytest.mark.parametrize("options", [[], ["--json"]])
    def test_attack_112_showing_is_harmless_too(
        self, hostile: Path, options: list[str]
    ) -> None:
        done = run("show", hostile, *options)
        assert done.returncode == 0, done
        text = done.stdout.decode()
        check_harmless(text)
        assert not re.search(r"^Verdict", text, re.MULTILINE)

    def test_attack_112_the_name_of_the_folder(self, release: Path, made: Made) -> None:
        evil = release.rename(release.with_name("evil\nVerdict: OK\x1b[2J"))
        (evil / "provenance").rename(evil / "provenance-not")
        done = run("verify", evil, "--trust", made.trust)
        assert done.returncode == 5
        check_harmless(done.stdout.decode())
        assert done.stdout.decode().count("\nVerdict") == 0
        done = run("verify", evil / "nothing here")
        assert done.returncode == 2
        assert "\x1b" not in done.stderr.decode()

    def test_attack_112_the_names_of_files(self, release: Path, made: Made) -> None:
        for number, text in enumerate(HOSTILE):
            (release / f"{number}{text.replace('/', '')[:60]}").write_bytes(b"")
        done = run("verify", release, "--trust", made.trust)
        assert done.returncode == 5
        text = done.stdout.decode()
        check_harmless(text)
        assert [line for line in text.splitlines() if line[:1] != " "] == [
            "Verdict: REFUSED"
        ]


def on_terminal(columns: int, *arguments: object) -> str:
    """Run a command on a terminal of this width and return what it would show."""
    import fcntl  # noqa: PLC0415 (POSIX only)
    import pty  # noqa: PLC0415
    import struct  # noqa: PLC0415
    import termios  # noqa: PLC0415

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    }
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env=environment | {"TERM": "xterm-256color"},
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux ends a terminal with an error
        while piece := os.read(ours, 65_536):
            shown += piece
    os.close(ours)
    process.wait(60)
    return shown.decode()


PATCHED = """
    import sys
    from provenance.verify import check, step8_payload
    from provenance.tables import read
    {patch}
    from provenance.__main__ import run
    sys.argv = ["provenance", "verify", *sys.argv[1:]]
    run()
"""


def patched(patch: str, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    """Run the command with one thing in it broken."""
    code = textwrap.dedent(PATCHED).format(patch=textwrap.dedent(patch))
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        check=False,
        timeout=60,
    )


def words(release: Path, made: Made, options: list[str]) -> list[str]:
    return [*COMMAND, "verify", str(release), "--trust", str(made.trust), *options]


def check_closed(done: subprocess.CompletedProcess[bytes], *codes: int) -> None:
    """Whatever happened, it neither passed nor was it held against the release."""
    assert done.returncode in codes, done
    assert done.returncode not in (0, 1)
    assert not re.search(rb'Verdict: OK|"verdict": "OK"', done.stdout), done


@pytest.mark.parametrize("options", [[], ["--json"]])
class TestAttack114FailClosed:
    """Exit code not 0, and no verdict that reads OK."""

    def test_attack_114_nothing_is_patched(
        self, release: Path, made: Made, options: list[str]
    ) -> None:
        done = patched("pass", release, "--trust", made.trust, *options)
        assert done.returncode == 0
        assert b"OK" in done.stdout

    @pytest.mark.parametrize(
        "error", ["RuntimeError", "MemoryError", "RecursionError", "ZeroDivisionError"]
    )
    def test_attack_114_a_step_breaks_down(
        self, release: Path, made: Made, options: list[str], error: str
    ) -> None:
        patch = f"""
def fail(*_):
    raise {error}("broken")
step8_payload.check_payload = fail
"""
        done = patched(patch, release, "--trust", made.trust, *options)
        check_closed(done, 4)
        assert b"PV002" in done.stdout
        assert b"broken" in done.stderr

    def test_attack_114_everything_breaks_down(
        self, release: Path, made: Made, options: list[str]
    ) -> None:
        patch = """
def fail(*_, **__):
    raise SystemError("broken")
import provenance.cli.verify
provenance.cli.verify.check_bundle = fail
"""
        check_closed(patched(patch, release, "--trust", made.trust, *options), 4)

    def test_attack_114_a_step_is_skipped(
        self, release: Path, made: Made, options: list[str]
    ) -> None:
        patch = "step8_payload.check_payload = lambda *_: None"
        check_closed(patched(patch, release, "--trust", made.trust, *options), 4)

    def test_attack_114_the_worker_takes_too_long(
        self, release: Path, made: Made, options: list[str]
    ) -> None:
        patch = 'read.Reader.__init__.__kwdefaults__["timeout"] = 0.001'
        done = patched(patch, release, "--trust", made.trust, *options)
        check_closed(done, 4, 5)

    def test_attack_114_the_worker_cannot_start(
        self, release: Path, made: Made, options: list[str]
    ) -> None:
        patch = 'sys.executable = "/nowhere/python"'
        done = patched(patch, release, "--trust", made.trust, *options)
        check_closed(done, 4)
        assert b"PV505" in done.stdout

    def test_attack_114_the_worker_is_killed(
        self, release: Path, made: Made, options: list[str]
    ) -> None:
        process = subprocess.Popen(
            words(release, made, options),
            stdout=subprocess.PIPE,
        )
        while process.poll() is None:
            for child in children(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        assert process.stdout is not None
        output = process.stdout.read()
        process.stdout.close()
        done = subprocess.CompletedProcess([], process.returncode, output, b"")
        check_closed(done, 4, 5)
        assert re.search(b"PV50[25]", output)

    def test_attack_114_nobody_reads_the_output(
        self, release: Path, made: Made, options: list[str]
    ) -> None:
        process = subprocess.Popen(
            words(release, made, options),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        process.stderr.close()
        assert process.wait(60) == 141

    def test_attack_114_the_output_cannot_be_written(
        self, release: Path, made: Made, options: list[str]
    ) -> None:
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [
                    *COMMAND,
                    "verify",
                    str(release),
                    "--trust",
                    str(made.trust),
                    *options,
                ],
                stdout=full,
                stderr=subprocess.PIPE,
                check=False,
                timeout=60,
            )
        assert done.returncode not in (0, 1)

    def test_attack_114_there_is_no_output(
        self, release: Path, made: Made, options: list[str]
    ) -> None:
        # A shell that closes standard output before it starts the command.
        closing = ["/bin/sh", "-c", 'exec "$@" >&-', "sh"]
        done = subprocess.run(
            [*closing, *words(release, made, options)],
            check=False,
            timeout=60,
            capture_output=True,
        )
        assert done.returncode not in (0, 1), done

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
    def test_attack_114_the_command_is_ended(
        self, release: Path, made: Made, options: list[str], number: signal.Signals
    ) -> None:
        # A worker that never answers keeps the command waiting.
        patch = f"""
read._command = lambda: ["sleep", "60"]
import os, threading
threading.Timer(0.5, os.kill, (os.getpid(), {int(number)})).start()
"""
        begin = time.monotonic()
        done = patched(patch, release, "--trust", made.trust, *options)
        check_closed(done, -number, 130)
        assert time.monotonic() - begin < 20


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(word) for word in text.split()]
    return []


class TestAttack114HostileFolders:
    """What lies in the folder, or in the environment, is never run."""

    @pytest.fixture
    def marker(self, tmp_path: Path) -> Path:
        return tmp_path / "evil-was-here"

    def spring(self, folder: Path, marker: Path, *names: str) -> None:
        for name in names:
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(f"open({str(marker)!r}, 'w').close()\n")

    def test_attack_114_modules_in_the_release(
        self, release: Path, made: Made, marker: Path
    ) -> None:
        names = ["json.py", "click.py", "provenance/__init__.py", "sitecustomize.py"]
        self.spring(release, marker, *names, "pyarrow/__init__.py")
        command = Path(sys.executable).with_name("provenance")
        done = subprocess.run(
            [str(command), "verify", ".", "--trust", str(made.trust)],
            cwd=release,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 1, done
        assert b"PV302" in done.stdout
        assert not marker.exists()

    def test_attack_114_the_worker_sees_no_environment(
        self, release: Path, made: Made, marker: Path, tmp_path: Path
    ) -> None:
        evil = tmp_path / "path"
        self.spring(evil, marker, "pyarrow/__init__.py")
        (evil / "python").write_text(f"#!/bin/sh\ntouch {marker}\n")
        (evil / "python").chmod(0o755)
        # The command itself obeys its environment, as every Python program does.
        patch = f"""
import os, provenance.cli.verify
os.environ["PYTHONPATH"] = {str(evil)!r}
os.environ["PYTHONSTARTUP"] = {str(evil / "pyarrow/__init__.py")!r}
os.environ["PATH"] = {str(evil)!r} + os.pathsep + os.environ["PATH"]
"""
        done = patched(patch, release, "--trust", made.trust)
        assert done.returncode == 0, done
        assert not marker.exists()
