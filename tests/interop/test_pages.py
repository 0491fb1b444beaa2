"""Pages about other people's tools: their examples run where these are installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import page_examples as examples

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("page", examples.pages(tools=True), ids=examples.title)
def test_the_examples_of_a_page_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples.run_page(page, tmp_path, monkeypatch)
