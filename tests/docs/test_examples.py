"""Every example of the README and of the pages runs and shows what it prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import page_examples as examples
from page_examples import run_all

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("page", examples.pages(tools=False), ids=examples.title)
def test_the_examples_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples.run_page(page, tmp_path, monkeypatch)


def test_the_readme_and_the_first_page_have_examples() -> None:
    found = examples.pages(tools=False)
    assert examples.ROOT / "README.md" in found
    assert examples.ROOT / "docs" / "index.md" in found


def test_pages_that_need_tools_are_kept_for_the_session_that_has_them() -> None:
    kept = examples.pages(tools=True)
    assert kept == [examples.ROOT / "docs" / "how-to" / "query-the-record.md"]
    assert not {*kept} & {*examples.pages(tools=False)}


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
