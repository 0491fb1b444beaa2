"""Fingerprints: what goes into a digest, and what does not."""

from __future__ import annotations

import hashlib

import pytest
from attrs import evolve
from hypothesis import assume, given
from hypothesis import strategies as st

import strategies
from provenance.encoding import fingerprints
from provenance.errors import FormatError
from provenance.model import values as value_lists
from provenance.model.fingerprint import FileEntry

Files = tuple[FileEntry, ...]
DIGEST = hashlib.sha256(b"content").hexdigest()


def test_a_file_is_identified_by_the_digest_of_its_bytes() -> None:
    found = fingerprints.file(size=7, sha256=DIGEST)
    assert (found.digest, found.root, found.count) == (DIGEST, DIGEST, 1)
    assert fingerprints.digest(fingerprints.document(found)) == DIGEST


@given(strategies.tree_entries)
def test_a_tree_counts_its_files_and_bytes(files: Files) -> None:
    found = fingerprints.tree(files)
    assert found.count == len(files)
    assert found.bytes == sum(entry.size for entry in files)
    assert fingerprints.digest(fingerprints.document(found)) == found.digest


@given(strategies.file_entries(st.none(), least=1), st.data())
def test_whatever_changes_in_a_file_changes_the_tree(
    files: Files, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(files) - 1))
    change = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "path": strategies.paths,
                "size": strategies.sizes,
                "sha256": strategies.digests,
            },
        )
    )
    changed = evolve(files[at], **change)
    assume(changed != files[at])
    others = [*files[:at], *files[at + 1 :]]
    assume(changed.path not in [entry.path for entry in others])
    tree = fingerprints.tree(fingerprints.sorted_entries([*others, changed]))
    assert tree.digest != fingerprints.tree(files).digest


@given(strategies.file_entries(strategies.modes, least=1))
def test_the_mode_of_a_source_file_counts(files: Files) -> None:
    other = "100755" if files[0].mode == "100644" else "100644"
    changed = [evolve(files[0], mode=other), *files[1:]]
    found, again = fingerprints.source(files), fingerprints.source(changed)
    assert found.digest != again.digest


def test_files_out_of_order_or_twice_are_refused() -> None:
    first = FileEntry(path=b"a", size=0, sha256=DIGEST)
    second = FileEntry(path=b"b", size=0, sha256=DIGEST)
    for files in ([second, first], [first, first]):
        with pytest.raises(FormatError, match="not sorted"):
            fingerprints.tree(files)


def test_exactly_the_files_of_source_code_have_a_mode() -> None:
    plain = FileEntry(path=b"a", size=0, sha256=DIGEST)
    code = FileEntry(path=b"a", size=0, sha256=DIGEST, mode="100644")
    for make, files in ((fingerprints.tree, [code]), (fingerprints.source, [plain])):
        with pytest.raises(FormatError, match="mode"):
            make(files)


def test_paths_are_sorted_as_bytes_with_the_separator() -> None:
    names = [b"a/b", b"a.b", b"a", b"\xff", b"a\xc3\xa9"]
    entries = [FileEntry(path=name, size=0, sha256=DIGEST) for name in names]
    ordered = [entry.path for entry in fingerprints.sorted_entries(entries)]
    assert ordered == [b"a", b"a.b", b"a/b", b"a\xc3\xa9", b"\xff"]


def test_the_methods_of_values_never_join_each_other() -> None:
    walk = value_lists.of({"a": 1})
    found = [
        fingerprints.of_values(method, walk)
        for method in ("config-1", "environment-1", "evaluation-1")
    ]
    assert len({fingerprint.digest for fingerprint in found}) == 3
    assert len({fingerprint.root for fingerprint in found}) == 1


@given(strategies.value_walks, strategies.value_walks)
def test_other_values_have_another_digest(
    one: value_lists.Values, other: value_lists.Values
) -> None:
    found = fingerprints.of_values("config-1", one)
    again = fingerprints.of_values("config-1", other)
    assert (found.digest == again.digest) == (one == other)


def test_the_bytes_of_values_are_those_of_utf_8() -> None:
    assert fingerprints.of_values("config-1", value_lists.of("é𝄞")).bytes == 6
