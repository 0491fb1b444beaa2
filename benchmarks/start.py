"""What does starting a run cost the script, before its first line of training?

    python benchmarks/start.py [--files 5000] [--distributions 300]

A repository and an environment of these sizes are made. Then a script starts a run and
says how long `import provenance` and `provenance.start` took on its own thread, how
much slower plain Python is in the second after that, while the recorder works behind
it, and when the record is complete. Beside it stands what a tool would wait for that
does the same before it returns: `git status`, and the metadata of all distributions.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import measure

SCRIPT = """
import json, sys, time
from importlib import metadata

def work(seconds):
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(range(200))
        count += 1
    return count

work(0.2)
alone = work(1.0)
begin = time.perf_counter()
import provenance
imported = time.perf_counter()
run = provenance.start("benchmark", store=sys.argv[1], key=None, code=__file__)
started = time.perf_counter()
beside = work(1.0)
ending = time.perf_counter()
run.end()
ended = time.perf_counter()
waited = time.perf_counter()
found = sum(len(one.metadata["Name"] or "") > 0 for one in metadata.distributions())
listed = time.perf_counter()
print(json.dumps({
    "import": imported - begin,
    "start": started - imported,
    "slower": alone / beside,
    "end": ended - ending,
    "metadata": listed - waited,
    "distributions": found,
}))
"""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=5_000)
    parser.add_argument("--distributions", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        script = _repository(place / "code", options.files)
        _distributions(place / "site", options.distributions)
        rounds = [_round(script, place, number) for number in range(options.rounds)]
    best = {key: min(one[key] for one in rounds) for key in rounds[0]}
    _print(best, options)


def _print(best: dict[str, float], options: argparse.Namespace) -> None:
    size = f"{options.files:,} files, {best['distributions']:,.0f} distributions"
    foreground = best["git status"] + best["metadata"]
    caller = best["import"] + best["start"]
    measure.show(f"{size}; the best of {options.rounds} rounds")
    measure.show("| what | seconds | ratio to the foreground |")
    measure.show("|---|--:|--:|")
    for what, seconds in (
        ("`git status` and all metadata, in the foreground", foreground),
        ("`import provenance`", best["import"]),
        ("`provenance.start`", best["start"]),
        ("both: what the script waits for", caller),
        ("`run.end` after one second of work", best["end"]),
    ):
        measure.show(f"| {what} | {seconds:.3f} | {seconds / foreground:.2f} |")
    measure.show(f"plain Python in the second after: {best['slower']:.2f} times slower")


def _repository(place: Path, files: int) -> Path:
    """Make a committed repository of small files, some of them changed."""
    for number in range(files):
        file = place / f"package_{number // 100}" / f"module_{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"VALUE = {number}\n" * 40)
    script = place / "train.py"
    script.write_text(SCRIPT)
    author = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org"}
    author |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.org"}
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        environ = os.environ | author
        subprocess.run(["git", *command], cwd=place, env=environ, check=True)  # noqa: S607
    (place / "package_0" / "module_0.py").write_text("VALUE = -1\n")
    return script


def _distributions(place: Path, count: int) -> None:
    """Make installed distributions, each with some files."""
    for number in range(count):
        info = place / f"package_{number}-1.{number}.dist-info"
        info.mkdir(parents=True)
        body = "A sentence about it.\n" * 200
        headers = (
            f"Metadata-Version: 2.1\nName: package-{number}\nVersion: 1.{number}\n"
        )
        (info / "METADATA").write_text(f"{headers}\n{body}")
        digest = "sha256=" + "A" * 43
        lines = [f"package_{number}/m{one}.py,{digest},100\n" for one in range(100)]
        (info / "RECORD").write_text("".join(lines))
        (info / "WHEEL").write_text("Wheel-Version: 1.0\n")


def _round(script: Path, place: Path, number: int) -> dict[str, float]:
    environ = os.environ | {"PYTHONPATH": str(place / "site")}
    status = measure.run(["git", "-C", str(script.parent), "status", "--short"]).seconds
    done = subprocess.run(
        [sys.executable, str(script), str(place / f"store-{number}")],
        env=environ,
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found | {"git status": status}


if __name__ == "__main__":
    main()
