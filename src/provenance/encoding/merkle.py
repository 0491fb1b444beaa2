"""The Merkle tree of RFC 6962 with SHA-256, and its proofs.

>>> root([]).hex()[:16]
'e3b0c44298fc1c14'
>>> leaves = [b"a", b"b", b"c"]
>>> proof = inclusion_proof(leaves, 2)
>>> check_inclusion(proof, index=2, size=3, leaf=b"c", root=root(leaves))

Checking raises `ProofError`; it never returns a bool that could be ignored.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from provenance.errors import ProofError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HASH_SIZE = 32
MAX_PROOF = 63
"""More hashes than any tree of fewer than 2^63 leaves needs."""

_EMPTY = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Hash the data of a leaf (RFC 6962, 2.1)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into their parent (RFC 6962, 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the root over the data of the leaves, read once and in order."""
    sha256 = hashlib.sha256
    level = [sha256(b"\x00" + data).digest() for data in leaves]
    # A node without a sibling moves up as it is. That gives the tree of the standard:
    # its left subtrees are the largest full ones.
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        parents = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
        level = parents + level[len(level) & ~1 :]
    return level[0] if level else _EMPTY


class Tree:
    """A growing tree that keeps only the roots of its full subtrees.

    >>> tree = Tree()
    >>> tree.append(b"a")
    >>> tree.root() == root([b"a"])
    True
    """

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []  # roots of full subtrees, largest first

    def append(self, data: bytes) -> None:
        """Add one leaf at the end; amortised two hashes."""
        self.append_hash(leaf_hash(data))

    def append_hash(self, node: bytes) -> None:
        """Add one leaf by its hash, which the caller made as `leaf_hash` does."""
        # As in binary addition: each trailing one of the old size is a full subtree
        # of the same height as `node`, to be merged with it.
        carry = self.size
        while carry & 1:
            node = node_hash(self._peaks.pop(), node)
            carry >>= 1
        self._peaks.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all leaves so far; the tree stays usable."""
        if not self._peaks:
            return _EMPTY
        node = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            node = node_hash(peak, node)
        return node


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the audit path of one leaf (RFC 6962, 2.1.1), from the leaf upwards.

    Raises:
        ProofError: there is no leaf with that index.
    """
    if not 0 <= index < len(leaves):
        message = f"there is no leaf {index} in a tree of {len(leaves)}"
        raise ProofError(message)
    path: list[bytes] = []
    while len(leaves) > 1:
        split = _split(len(leaves))
        if index < split:
            path.append(root(leaves[split:]))
            leaves = leaves[:split]
        else:
            path.append(root(leaves[:split]))
            leaves, index = leaves[split:], index - split
    return path[::-1]


def consistency_proof(leaves: Sequence[bytes], old: int) -> list[bytes]:
    """Return the proof that the first `old` leaves are a prefix (RFC 6962, 2.1.2).

    Raises:
        ProofError: `old` is negative or larger than the tree.
    """
    if not 0 <= old <= len(leaves):
        message = f"a tree of {len(leaves)} leaves has no prefix of {old}"
        raise ProofError(message)
    path: list[bytes] = []
    whole = True  # does the old tree fill the subtree that we look at?
    while old not in (0, len(leaves)):
        split = _split(len(leaves))
        if old <= split:
            path.append(root(leaves[split:]))
            leaves = leaves[:split]
        else:
            path.append(root(leaves[:split]))
            leaves, old, whole = leaves[split:], old - split, False
    if not whole:
        path.append(root(leaves))
    return path[::-1]


def check_inclusion(
    proof: Sequence[bytes], *, index: int, size: int, leaf: bytes, root: bytes
) -> None:
    """Check that a leaf stands at `index` of the tree with this size and root.

    Args:
        proof: the audit path, from the leaf upwards.
        index: position of the leaf, from 0.
        size: number of leaves, from a source that is trusted (a signed head).
        leaf: the data of the leaf; it is hashed here, so a node never passes as one.
        root: the signed root.

    Raises:
        ProofError: the proof does not prove it.
    """
    if not 0 <= index < size:
        message = f"there is no leaf {index} in a tree of {size}"
        raise ProofError(message)
    _check_shape(proof)
    # RFC 9162, 2.1.3.2, the same algorithm with the loop written out.
    node, first, last = leaf_hash(leaf), index, size - 1
    for sibling in proof:
        if last == 0:
            message = "the proof is longer than the path to the root"
            raise ProofError(message)
        if first & 1 or first == last:
            node = node_hash(sibling, node)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        first, last = first >> 1, last >> 1
    if last:
        message = "the proof is shorter than the path to the root"
        raise ProofError(message)
    if node != root:
        message = "the proof leads to another root"
        raise ProofError(message)


def check_consistency(
    proof: Sequence[bytes], *, old: int, new: int, old_root: bytes, new_root: bytes
) -> None:
    """Check that the tree of `old` leaves is a prefix of the tree of `new` leaves.

    Raises:
        ProofError: the proof does not prove it.
    """
    if not 0 <= old <= new:
        message = f"a tree of {new} leaves has no prefix of {old}"
        raise ProofError(message)
    _check_shape(proof)
    if old in (0, new):
        _check_trivial(proof, old=old, new=new, old_root=old_root, new_root=new_root)
        return
    # RFC 9162, 2.1.4.2. An old tree that is one full subtree is its own first node.
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        message = "the proof is empty"
        raise ProofError(message)
    first, last = old - 1, new - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    old_node = new_node = path[0]
    for sibling in path[1:]:
        if last == 0:
            message = "the proof is longer than the path to the root"
            raise ProofError(message)
        if first & 1 or first == last:
            old_node = node_hash(sibling, old_node)
            new_node = node_hash(sibling, new_node)
            while not first & 1 and first:
                first, last = first >> 1, last >> 1
        else:
            new_node = node_hash(new_node, sibling)
        first, last = first >> 1, last >> 1
    if last:
        message = "the proof is shorter than the path to the root"
        raise ProofError(message)
    if old_node != old_root or new_node != new_root:
        message = "the proof leads to another root"
        raise ProofError(message)


def _check_trivial(
    proof: Sequence[bytes], *, old: int, new: int, old_root: bytes, new_root: bytes
) -> None:
    """Check the two cases that need no hashes: an empty and an equal old tree."""
    if proof:
        message = "the proof should be empty"
        raise ProofError(message)
    if old == 0 and old_root != _EMPTY:
        message = "the old root is not that of an empty tree"
        raise ProofError(message)
    if old == new and old_root != new_root:
        message = "two trees of one size have two roots"
        raise ProofError(message)


def _check_shape(proof: Sequence[bytes]) -> None:
    if len(proof) > MAX_PROOF:
        message = f"a proof has at most {MAX_PROOF} hashes, this one {len(proof)}"
        raise ProofError(message)
    if any(len(node) != HASH_SIZE for node in proof):
        message = f"a proof is made of hashes of {HASH_SIZE} bytes"
        raise ProofError(message)


def _split(size: int) -> int:
    """Return the largest power of two below `size` (which is at least 2)."""
    return 1 << ((size - 1).bit_length() - 1)
