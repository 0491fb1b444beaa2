"""How this project is checked: one session for each question.

`nox -s tests` is the one to know; `nox -l` lists the others. Every session makes its
own environment and installs everything that it needs.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_external_run = True
nox.options.error_on_missing_interpreters = True
nox.options.envdir = os.environ.get("NOX_ENVDIR", ".nox")
nox.options.sessions = ["lint", "types", "tests", "docs"]

FULLY_COVERED = ("model", "encoding", "signing", "verify")
"""Rooms in which every branch is taken by a test."""

COVERED = 90
"""Percent of all branches and lines that tests take, rooms above included.

Without the hooks: their tests run where the frameworks are."""

JUDGES = ("@sigstore/bundle@^4", "@sigstore/verify@^3")
"""Packages of npm that check our signatures without knowing us."""


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests and the examples in docstrings on the built wheel.

    Those of pages are run by the session of the pages, and those of frameworks by
    theirs.
    """
    session.install(".", "--group", "tests")
    everything = ["./tests", "--ignore=./tests/docs", "provenance"]
    where = session.posargs or everything
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "--pyargs", *where)
    if session.posargs:
        return
    for room in FULLY_COVERED:
        included = f"--include=*/provenance/{room}/*"
        session.run("coverage", "report", included, "--fail-under=100")
    without = "--omit=*/provenance/hooks/*"
    session.run("coverage", "report", without, f"--fail-under={COVERED}")


@nox.session
def lint(session: nox.Session) -> None:
    """Check the formatting, the rules of ruff, the layers and the workflows."""
    session.install("-e", ".", "--group", "lint")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("lint-imports")
    session.run("zizmor", "--offline", "--pedantic", ".github")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types with mypy, strictly."""
    session.install(".", "--group", "types")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the pages, warnings being errors, and run their examples."""
    session.install(".", "--group", "docs")
    session.run("sphinx-build", "-nTW", "-b", "html", "docs", "docs/_build/html")
    session.run("python", "-m", "pytest", "tests/docs", *session.posargs)


@nox.session
def interop(session: nox.Session) -> None:
    """Let other people's tools judge our files; a missing tool is a failure."""
    npm = shutil.which("npm")
    if npm is None:
        session.error("npm is missing: install Node.js, two of the judges run on it")
    session.install(".", "--group", "interop")
    judges = Path(session.create_tmp())
    session.run(
        *(npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"),
        *("--prefix", str(judges), *JUDGES),
        external=True,
    )
    session.run(
        *("python", "-m", "pytest", "tests/interop", *session.posargs),
        env={"PROVENANCE_JUDGES": str((judges / "node_modules").resolve())},
    )


HOOKED = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
"""What tests of hooks run with: one thread, and no network."""

FRAMEWORKS = (
    *("accelerate", "datasets", "dvc", "keras", "lightgbm", "lightning", "lm_eval"),
    *("sklearn", "torch", "transformers", "wandb", "xgboost"),
)
"""Modules without which the tests of their hooks fail instead of being left out."""


@nox.session
def frameworks(session: nox.Session) -> None:
    """Record trainings by the frameworks themselves, at their newest versions."""
    session.install(".", "--group", "frameworks")
    where = session.posargs or ["tests/frameworks", "tests/hooks"]
    wanted = {"PROVENANCE_FRAMEWORKS": ",".join(FRAMEWORKS)}
    session.run("python", "-m", "pytest", *where, env=HOOKED | wanted)


@nox.session
def mlflow(session: nox.Session) -> None:
    """Record beside MLflow, which wants other versions than the frameworks do."""
    session.install(".", "--group", "mlflow")
    tests = map(str, sorted(Path("tests/hooks").glob("test_mlflow*.py")))
    where = session.posargs or tests
    wanted = {"PROVENANCE_FRAMEWORKS": "mlflow"}
    session.run("python", "-m", "pytest", *where, env=HOOKED | wanted)


@nox.session
def frameworks_minimums(session: nox.Session) -> None:
    """Record trainings by the lowest versions of frameworks that are promised."""
    session.install("uv")
    hooks = "torch,transformers,lightning,accelerate"
    lowest = ("--resolution", "lowest-direct")
    session.run("uv", "pip", "install", *lowest, f".[{hooks}]", "--group", "tests")
    where = session.posargs or ["tests/hooks"]
    session.run("python", "-m", "pytest", *where, env=HOOKED)


@nox.session
def repeat(session: nox.Session) -> None:
    """Train again from a release alone, in an environment made from its record."""
    session.install(".", "--group", "repeat")
    session.run("python", "-m", "pytest", "tests/repeat", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Do what the first page says, with nothing but the wheel installed."""
    session.install(".")
    place = Path(session.create_tmp()).resolve() / "demo"
    shutil.rmtree(place, ignore_errors=True)
    session.run("provenance", "demo", str(place))
    trust = str(place / "trust.toml")
    session.run("provenance", "verify", str(place / "release"), "--trust", trust)


@nox.session
def bare(session: nox.Session) -> None:
    """Import every module with nothing but the declared dependencies installed."""
    session.install(".")
    session.run("python", "-W", "error", "tests/architecture/import_all.py")


@nox.session
def minimums(session: nox.Session) -> None:
    """Run the tests with the lowest versions that are promised to work."""
    session.install("uv")
    lowest = ("--resolution", "lowest-direct")
    # uv finds the environment of the session by VIRTUAL_ENV, which nox sets.
    session.run("uv", "pip", "install", *lowest, ".", "--group", "tests")
    session.run("python", "-m", "pytest", "tests", *session.posargs)


@nox.session
def properties(session: nox.Session) -> None:
    """Run the tests with many more examples for each property."""
    session.install(".", "--group", "tests")
    profile = "--hypothesis-profile=long"
    session.run("python", "-m", "pytest", profile, "tests", *session.posargs)


@nox.session
def attacks(session: nox.Session) -> None:
    """Run the tests that damage a release and expect it to be noticed."""
    session.install(".", "--group", "tests")
    session.run("python", "-m", "pytest", "tests/attacks", *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """Run the tests that let disks fail, and that kill and fork what records."""
    session.install(".", "--group", "tests")
    names = ("recorder", "forks", "faults", "processes")
    tests = [f"tests/record/test_{name}.py" for name in names]
    where = session.posargs or ["tests/test_processes.py", "tests/ledger", *tests]
    session.run("python", "-m", "pytest", *where)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Time the questions in `benchmarks`, or those that are named."""
    session.install(".")
    scripts = session.posargs or sorted(map(str, Path("benchmarks").glob("*.py")))
    if not scripts:
        session.error("there are no benchmarks in the folder benchmarks/")
    for script in scripts:
        session.run("python", script)


@nox.session
def changes(session: nox.Session) -> None:
    """Show the change log that the fragments in `changes` make."""
    session.install("--group", "changes")
    session.run("towncrier", "build", "--draft", *session.posargs)
