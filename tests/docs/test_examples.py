"""Every example of the README and of the pages runs and shows what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

import page_examples as examples

_ROOT = Path(__file__).parents[2]

PAGES = [
    page
    for page in [_ROOT / "README.md", *sorted((_ROOT / "docs").rglob("*.md"))]
    if "_build" not in page.parts
    and examples.examples_of(page.read_text(encoding="utf-8"))
]


def run_all(text: str, page: str) -> None:
    names: dict[str, object] = {"__name__": "__example__"}
    for example in examples.examples_of(text):
        examples.run(example, names, page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_the_examples_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, home = tmp_path / "work", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    for variable in ("HOME", "USERPROFILE", "XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.setenv(variable, str(home))
    monkeypatch.delenv("PROVENANCE_KEY", raising=False)
    monkeypatch.chdir(folder)
    run_all(page.read_text(encoding="utf-8"), str(page))


def test_the_readme_has_examples() -> None:
    assert _ROOT / "README.md" in PAGES


class TestTheRunner:
    """The runner itself notices what is wrong with an example."""

    def test_it_accepts_what_is_right(self) -> None:
        run_all(
            "<!-- example-setup\nx = 1\n-->\n```python\ny = x + 1\n```\n"
            "```python\n>>> y\n2\n```\n```console\n$ echo one two\none …\n```\n",
            "page",
        )

    @pytest.mark.parametrize(
        "text",
        [
            "```python\n>>> 1 + 1\n3\n```\n",
            "```python\nassert False\n```\n",
            "```console\n$ echo one\ntwo\n```\n",
            "```console\n$ exit 3\n```\n",
            "```console\n$ echo one\n```\n",
        ],
    )
    def test_it_notices_what_is_wrong(
        self, text: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(AssertionError):
            run_all(text, "page")
        capsys.readouterr()

    def test_it_compares_exit_codes(self) -> None:
        run_all("```console\n$ exit 3\n[exit 3]\n```\n", "page")

    def test_it_leaves_marked_blocks_alone(self) -> None:
        run_all("<!-- not run: why -->\n```python\nassert False\n```\n", "page")

    def test_it_leaves_other_languages_alone(self) -> None:
        run_all('```json\n{"a": 1}\n```\n```sh\nexit 1\n```\n', "page")
