"""Ranks that somebody makes up who is trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Check
    from simulator import Forge


@pytest.mark.parametrize("ranks", [2, 1_000_000, 2**53 - 1])
def test_attack_065_any_number_of_ranks_is_told_in_a_few_words(
    forge: Forge, check: Check, ranks: int
) -> None:
    forge.said[0]["predicate"]["ranks"] = ranks
    forge.write()
    (found,) = check(forge.root, "PV613", "OK")
    assert f"1 of {ranks} ranks are in the record" in found.sentence
    assert len(found.sentence) < 200


@pytest.mark.parametrize("ranks", [0, -1, 2**53, 1.5, "1", None, True])
def test_attack_065_a_number_of_ranks_that_is_none(
    forge: Forge, check: Check, ranks: object
) -> None:
    forge.said[0]["predicate"]["ranks"] = ranks
    forge.write()
    check(forge.root, "PV601", "REFUSED")


def test_attack_065_a_rank_beyond_their_number(forge: Forge, check: Check) -> None:
    forge.said[0]["predicate"]["rank"] = forge.logs[0].rank = 5
    forge.write()
    check(forge.root, "PV601", "REFUSED")
