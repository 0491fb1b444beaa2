"""The pages of reference say what is so: nothing is missing, nothing is made up."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
from typing import TYPE_CHECKING, cast

import click
import pytest

import provenance
import provenance.verify
from page_examples import ROOT
from provenance.cli import chart, main
from provenance.signing import keys
from provenance.verify import findings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCS = ROOT / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """Return the cells of all rows of all tables of a text, headers included."""
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in text.splitlines()
        if line.startswith("|") and not line.startswith("|---")
    ]


def section(text: str, begin: str, end: str) -> str:
    return text[text.index(begin) : text.index(end) if end else None]


class TestFindings:
    def test_every_code_of_the_catalogue_stands_in_the_page_as_it_is(self) -> None:
        listed = {
            row[0]: (row[1].strip("`"), row[2].strip("`"))
            for row in rows(page("reference/findings.md"))
            if row[0].startswith("PV")
        }
        assert listed == findings.CATALOGUE

    def test_every_code_has_a_meaning_and_what_is_not_well_says_what_to_do(
        self,
    ) -> None:
        for row in rows(page("reference/findings.md")):
            if row[0].startswith("PV"):
                _, _, outcome, meaning, what_to_do = row
                assert meaning.endswith(".")
                assert (outcome == "`pass`") == (what_to_do == "")

    def test_every_outcome_has_the_verdict_that_the_page_says(self) -> None:
        outcomes = {
            row[0].strip("`"): row[1]
            for row in rows(section(page("reference/findings.md"), "# F", "## Before"))
        }
        del outcomes["outcome"]
        assert outcomes == findings.VERDICTS
        assert list(outcomes) == list(findings.OUTCOMES)


class TestExitCodes:
    @pytest.mark.parametrize(
        "name", ["reference/index.md", "how-to/verify-a-release.md"]
    )
    def test_every_verdict_has_the_exit_code_that_the_page_says(
        self, name: str
    ) -> None:
        said = {
            verdict: int(code)
            for row in rows(page(name))
            for verdict, code in [row[:2], row[1::-1]]
            if verdict in findings.EXIT_CODES and code.isdigit()
        }
        assert said == findings.EXIT_CODES


class TestCommands:
    """What `--help` prints is compared by the examples; here, that none is missing."""

    def test_every_command_has_its_help_on_the_page(self) -> None:
        context = click.Context(main.cli)
        for name in main.cli.list_commands(context):
            assert f"$ provenance {name} --help" in page("reference/cli.md")

    def test_no_command_is_on_the_page_that_does_not_exist(self) -> None:
        context = click.Context(main.cli)
        shown = re.findall(r"\$ provenance ([\w-]+) --help", page("reference/cli.md"))
        assert sorted(shown) == sorted(main.cli.list_commands(context))


def documented() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each name on the page about Python, with the members that it lists."""
    module = ""
    for block in re.split(r"^\.\. ", page("reference/python.md"), flags=re.MULTILINE):
        directive, _, rest = block.partition(":: ")
        name = rest.split("\n")[0].removesuffix("()")
        if directive == "currentmodule":
            module = name
        elif directive.startswith("auto"):
            members = re.search(r":members: (.*)", rest)
            whole = name if name.startswith("provenance.") else f"{module}.{name}"
            yield whole, tuple(members[1].split(", ")) if members else ()


def find(name: str) -> object:
    module, _, attribute = name.rpartition(".")
    return cast("object", getattr(importlib.import_module(module), attribute))


class TestPython:
    @pytest.mark.parametrize("name", [name for name, _ in documented()])
    def test_every_name_on_the_page_exists_and_is_described(self, name: str) -> None:
        assert inspect.getdoc(find(name))

    @pytest.mark.parametrize(("name", "members"), list(documented()))
    def test_every_member_on_the_page_exists_and_is_described(
        self, name: str, members: tuple[str, ...]
    ) -> None:
        for member in members:
            assert inspect.getdoc(getattr(find(name), member))

    def test_every_public_name_is_on_the_page(self) -> None:
        listed = {name for name, _ in documented()}
        for module in (provenance, provenance.verify):
            public = {f"{module.__name__}.{name}" for name in module.__all__}
            assert public - listed <= {"provenance.ProvenanceError"}  # page on errors

    def test_every_public_name_of_a_hook_is_on_the_page_and_no_other(self) -> None:
        table = rows(section(page("reference/python.md"), "## Hooks", "Callbacks and"))
        listed = re.findall(r"`(\w+\.\w+)`", "".join(row[0] for row in table[1:]))
        public = []
        for path in (ROOT / "src" / "provenance" / "hooks").glob("*.py"):
            # Read and not imported: what it hooks into may not be installed.
            names = re.search(
                r"^__all__ = (\[[^]]*\])",
                path.read_text(encoding="utf-8"),
                re.MULTILINE,
            )
            public += [
                f"{path.stem}.{name}"
                for name in ast.literal_eval(names[1] if names else "[]")
            ]
        assert sorted(listed) == sorted(public)


class TestPlaces:
    @pytest.mark.parametrize(
        ("platform", "row"),
        [("linux", "private key on Linux"), ("darwin", "private key on macOS")],
    )
    def test_the_key_lies_where_the_page_says(
        self, platform: str, row: str, tmp_path: Path
    ) -> None:
        said = {cells[0]: cells[1] for cells in rows(page("reference/environment.md"))}
        place = keys.default_key_path({"HOME": str(tmp_path)}, platform=platform)
        assert place is not None
        assert said[row] == f"`~/{place.relative_to(tmp_path).as_posix()}`"

    def test_on_windows_as_well(self, tmp_path: Path) -> None:
        place = keys.default_key_path({"APPDATA": str(tmp_path)}, platform="win32")
        assert place is not None
        inside = place.relative_to(tmp_path).as_posix().replace("/", "\\")
        assert f"`%APPDATA%\\{inside}`" in page("reference/environment.md")

    def test_every_variable_that_the_library_reads_is_on_the_page(self) -> None:
        source = "".join(
            path.read_text(encoding="utf-8")
            for path in (ROOT / "src" / "provenance").rglob("*.py")
        )
        named = {*re.findall(r'environ(?:\.get\(|\[)"([A-Z_]+)"', source)}
        assert named
        for name in {*named, keys.KEY_VARIABLE}:
            assert f"`{name}`" in page("reference/environment.md")


class TestReports:
    """The page on reports has every field, and no other."""

    @pytest.fixture
    def released(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "weights").mkdir()
        keys.write_private(keys.generate(), tmp_path / "key.pem")
        code = tmp_path / "train.py"
        code.write_text("pass")
        with provenance.start("tiny", key="key.pem", code=code) as run:
            settings = run.config({"layers": 2})
            run.gap("dataset", "corpus", "it is not here")
            with run.step("train", uses=[settings]) as train:
                (tmp_path / "weights" / "model.bin").write_bytes(b"weights")
                train.checkpoint("weights", step=1)
        done = provenance.release(
            "provenance-store", run.id, payload="weights", to="out", key="key.pem"
        )
        return done.path

    @staticmethod
    def fields(begin: str, end: str) -> list[str]:
        found = rows(section(page("formats/report.md"), begin, end))
        return [cells[0].strip("`") for cells in found if cells[0] != "field"]

    def test_the_report_has_the_fields_of_the_page(self, released: Path) -> None:
        report = provenance.verify.check_bundle(released).to_json()
        release, signers, found = (
            json.loads(json.dumps(report[name]))
            for name in ("release", "signers", "findings")
        )
        assert [*report] == self.fields("## The report", "`release`: what")
        assert [*release] == self.fields("`release`: what", "`signers[]`")
        assert [*signers[0]] == self.fields("`signers[]`", "`findings[]`")
        assert [*found[0]] == self.fields("`findings[]`", "## What a store")

    def test_what_is_shown_of_metrics_has_the_fields_of_the_page(self) -> None:
        curve = chart.Curve("loss")
        curve.add(1, 0.5)
        curve.add(2, "none")
        told = curve.to_json()
        assert isinstance(told, dict)
        assert [*told] == self.fields("`metrics[]`", "`artifacts[]`")

    def test_what_is_shown_has_the_fields_of_the_page(
        self, released: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main.main(["show", str(released), "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        run, artifact = shown["runs"][0], shown["artifacts"][0]
        assert [*shown] == self.fields("## What a store", "`runs[]`")
        assert [*run] == self.fields("`runs[]`", "`steps[]`")
        assert [*run["steps"][0]] == self.fields("`steps[]`", "`metrics[]`")
        assert [*artifact] == self.fields("`artifacts[]`", "")
        text = page("formats/report.md")
        for shape in (
            run["gaps"][0],
            run["steps"][0]["uses"][0],
            run["steps"][0]["produces"][0],
        ):
            assert "{" + ", ".join(f'"{key}"' for key in shape) + "}" in text


class TestLinks:
    """Sphinx checks the pages; nobody else checks the files beside them."""

    @pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
    def test_links_lead_to_files(self, name: str) -> None:
        text = (ROOT / name).read_text(encoding="utf-8")
        links = re.findall(r"\]\((?!https?://)([^)#]+)", text)
        assert [link for link in links if not (ROOT / link).exists()] == []
