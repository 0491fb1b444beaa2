from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.ledger import layout
from strategies import digests, ids

RUN, WRITER, DIGEST = "a" * 32, "b" * 32, "c" * 64
indexes = st.integers(0, 10**12 - 1)


@given(ids, ids, indexes)
def test_the_path_of_a_segment_reads_back(run: str, writer: str, first: int) -> None:
    path = layout.segment(run, writer, first)
    assert layout.parse_segment(path) == (run, writer, first)


@given(ids, ids, indexes, st.booleans())
def test_the_path_of_a_head_reads_back(
    run: str,
    writer: str,
    size: int,
    signed: bool,  # noqa: FBT001 (hypothesis calls by position)
) -> None:
    path = layout.head(run, writer, size, signed=signed)
    assert layout.parse_head(path) == (run, writer, size, signed)


@given(ids, st.integers(0, 999_999), st.booleans())
def test_the_path_of_a_run_head_reads_back(
    run: str,
    number: int,
    signed: bool,  # noqa: FBT001 (hypothesis calls by position)
) -> None:
    path = layout.run_head(run, number, signed=signed)
    assert layout.parse_run_head(path) == (run, number, signed)


@given(digests)
def test_the_paths_of_tables_and_keys_read_back(digest: str) -> None:
    assert layout.parse_table(layout.table(digest)) == digest
    assert layout.parse_key(layout.key(digest)) == digest


@given(ids, ids, st.integers(0, 9_999_999))
def test_the_path_of_a_rank_reads_back(run: str, writer: str, number: int) -> None:
    path = layout.rank(run, writer, number)
    assert layout.parse_rank(path) == (run, writer, number)


@given(ids, ids)
def test_the_path_of_a_spool_reads_back(run: str, writer: str) -> None:
    assert layout.parse_spool(layout.spool(run, writer)) == (run, writer)


@pytest.mark.parametrize(
    "path",
    [
        f"runs/{RUN}/{WRITER}/rows-00000000000.parquet",
        f"runs/{RUN}/{WRITER}/rows-\u066000000000000.parquet",
        f"runs/{RUN.upper()}/{WRITER}/rows-000000000000.parquet",
        f"runs/{RUN}/{WRITER}/rows-000000000000.parquet\n",
        f"x/runs/{RUN}/{WRITER}/rows-000000000000.parquet",
        f"runs/{RUN}/{WRITER}/head-000000000001.sigstore.jsonx",
        f"runs/{RUN}/head-00001.json",
        f"tables/{DIGEST.upper()}.parquet",
        f"keys/{DIGEST}.pem ",
        f"spool/{RUN}.jsonl",
        "spool/notes.txt",
        "",
    ],
)
def test_other_spellings_are_nothing(path: str) -> None:
    for parse in (
        layout.parse_segment,
        layout.parse_head,
        layout.parse_run_head,
        layout.parse_table,
        layout.parse_key,
        layout.parse_spool,
        layout.parse_rank,
    ):
        assert parse(path) is None
