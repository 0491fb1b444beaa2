"""Merkle trees and proofs, as RFC 6962 defines them."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.encoding import merkle
from provenance.errors import ProofError

leaf_lists = st.lists(st.binary(max_size=8), max_size=40)


def by_definition(leaves: list[bytes]) -> bytes:
    """Compute MTH exactly as section 2.1 writes it."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    k = max(2**i for i in range(7) if 2**i < len(leaves))
    left, right = by_definition(leaves[:k]), by_definition(leaves[k:])
    return hashlib.sha256(b"\1" + left + right).digest()


def several(size: int) -> list[bytes]:
    return [bytes([n]) for n in range(size)]


def prove(proof: list[bytes], index: int, leaves: list[bytes], leaf: bytes) -> None:
    root = merkle.root(leaves)
    merkle.check_inclusion(proof, index=index, size=len(leaves), leaf=leaf, root=root)


class TestRoots:
    """Section 2.1: the Merkle tree hash."""

    @given(leaf_lists)
    def test_the_root_is_that_of_the_definition(self, leaves: list[bytes]) -> None:
        assert merkle.root(leaves) == by_definition(leaves)

    @given(leaf_lists)
    def test_a_growing_tree_has_the_root_of_each_size(
        self, leaves: list[bytes]
    ) -> None:
        tree = merkle.Tree()
        for size, leaf in enumerate(leaves):
            assert tree.size == size
            assert tree.root() == by_definition(leaves[:size])
            tree.append(leaf)
        assert tree.root() == by_definition(leaves)


class TestInclusion:
    """Section 2.1.1: audit paths."""

    def test_every_proof_of_every_small_tree_holds(self) -> None:
        for size in range(1, 34):
            leaves = several(size)
            for index, leaf in enumerate(leaves):
                prove(merkle.inclusion_proof(leaves, index), index, leaves, leaf)

    @pytest.mark.parametrize("index", [-1, 3, 4])
    def test_there_is_no_proof_for_a_leaf_that_is_not_there(self, index: int) -> None:
        with pytest.raises(ProofError, match="no leaf"):
            merkle.inclusion_proof(several(3), index)

    def test_attack_063_every_other_index_is_refused(self) -> None:
        leaves = several(13)
        for index, leaf in enumerate(leaves):
            proof = merkle.inclusion_proof(leaves, index)
            for other in {-1, 13, 14, 2**62, *range(13)} - {index}:
                with pytest.raises(ProofError):
                    prove(proof, other, leaves, leaf)

    def test_attack_063_every_damaged_proof_is_refused(self) -> None:
        for size in range(1, 18):
            leaves = several(size)
            for index, leaf in enumerate(leaves):
                proof = merkle.inclusion_proof(leaves, index)
                for damaged in damages(proof):
                    with pytest.raises(ProofError):
                        prove(damaged, index, leaves, leaf)

    def test_attack_063_a_size_with_another_shape_is_refused(self) -> None:
        leaves = several(7)
        proof = merkle.inclusion_proof(leaves, 6)
        for size in {*range(40)} - {7}:
            with pytest.raises(ProofError):
                merkle.check_inclusion(
                    proof, index=6, size=size, leaf=leaves[6], root=merkle.root(leaves)
                )

    def test_attack_063_a_node_is_not_a_leaf(self) -> None:
        leaves = several(2)
        inner = merkle.leaf_hash(leaves[0]) + merkle.leaf_hash(leaves[1])
        for fake in (inner, b"\1" + inner, merkle.root(leaves)):
            with pytest.raises(ProofError):
                merkle.check_inclusion(
                    [], index=0, size=1, leaf=fake, root=merkle.root(leaves)
                )

    def test_nothing_is_included_in_an_empty_tree(self) -> None:
        with pytest.raises(ProofError, match="tree of 0"):
            merkle.check_inclusion([], index=0, size=0, leaf=b"", root=merkle.root([]))


class TestConsistency:
    """Section 2.1.2: an older tree is a prefix of a newer one."""

    @staticmethod
    def check(proof: list[bytes], old: int, new: int, leaves: list[bytes]) -> None:
        merkle.check_consistency(
            proof,
            old=old,
            new=new,
            old_root=merkle.root(leaves[:old]),
            new_root=merkle.root(leaves),
        )

    def test_every_proof_of_every_small_tree_holds(self) -> None:
        for new in range(20):
            leaves = several(new)
            for old in range(new + 1):
                self.check(merkle.consistency_proof(leaves, old), old, new, leaves)

    @pytest.mark.parametrize("old", [-1, 4])
    def test_there_is_no_proof_for_a_prefix_that_is_not_there(self, old: int) -> None:
        with pytest.raises(ProofError, match="no prefix"):
            merkle.consistency_proof(several(3), old)

    def test_attack_064_every_damaged_proof_is_refused(self) -> None:
        for new in range(18):
            leaves = several(new)
            for old in range(new + 1):
                for damaged in damages(merkle.consistency_proof(leaves, old)):
                    with pytest.raises(ProofError):
                        self.check(damaged, old, new, leaves)

    def test_attack_064_an_old_tree_larger_than_the_new_one_is_refused(self) -> None:
        leaves = several(5)
        for old, new in ((6, 5), (-1, 5)):
            with pytest.raises(ProofError, match="no prefix"):
                merkle.check_consistency(
                    [], old=old, new=new, old_root=b"", new_root=merkle.root(leaves)
                )

    def test_attack_064_one_size_with_two_roots_is_refused(self) -> None:
        with pytest.raises(ProofError, match="two roots"):
            merkle.check_consistency(
                [],
                old=2,
                new=2,
                old_root=merkle.root([b"a", b"b"]),
                new_root=merkle.root([b"a", b"c"]),
            )

    def test_attack_064_an_empty_old_tree_has_one_root_and_no_proof(self) -> None:
        root = merkle.root(several(3))
        for proof, old_root in (([], root), ([root], merkle.root([]))):
            with pytest.raises(ProofError):
                merkle.check_consistency(
                    proof, old=0, new=3, old_root=old_root, new_root=root
                )

    def test_another_history_is_refused(self) -> None:
        for new in range(2, 12):
            for old in range(1, new):
                leaves = several(new)
                proof = merkle.consistency_proof(leaves, old)
                other = [b"other", *leaves[1:]]
                for old_root, new_root in (
                    (merkle.root(other[:old]), merkle.root(leaves)),
                    (merkle.root(leaves[:old]), merkle.root(other)),
                ):
                    with pytest.raises(ProofError, match="another root"):
                        merkle.check_consistency(
                            proof,
                            old=old,
                            new=new,
                            old_root=old_root,
                            new_root=new_root,
                        )


def damages(proof: list[bytes]) -> list[list[bytes]]:
    """Everything that can be wrong with a proof, one at a time."""
    extra = hashlib.sha256(b"extra").digest()
    found = [[*proof, extra], [extra, *proof], proof + [extra] * 64]
    for at, node in enumerate(proof):
        flipped = bytes([node[0] ^ 1]) + node[1:]
        found += [
            [*proof[:at], *proof[at + 1 :]],
            [*proof[:at], flipped, *proof[at + 1 :]],
            [*proof[:at], node[:-1], *proof[at + 1 :]],
            [*proof[:at], node + b"\0", *proof[at + 1 :]],
        ]
    if proof[::-1] != proof:
        found.append(proof[::-1])
    return found
