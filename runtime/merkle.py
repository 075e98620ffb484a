"""Merkle trees as RFC 9162, section 2.1, defines them (RFC 6962 has the same hashes and proofs).

A tree follows from its size and the hashes of its leaves. Any run of leaves that a proof
uses splits into complete subtrees, so whoever can tell the hash of a complete subtree can
prove: it does not matter here whether it is kept or computed.
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

HASH_BYTES = 32
PAIR_BYTES = 2 * HASH_BYTES
# A proof has at most one hash per level, and a sequence has 63 bits.
MAX_PROOF_HASHES = 64
EMPTY_ROOT = sha256(b"").digest()

# Positions of leaves from the first to before the second.
Span = tuple[int, int]


class Subtree(NamedTuple):
    """The complete subtree of 2^level leaves that starts at leaf position × 2^level."""

    level: int
    position: int


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf's bytes, 32 bytes: never that of a node, which starts with a one."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two hashes, 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


def root_of(leaf_hashes: bytes) -> bytes:
    """The root over leaf hashes of 32 bytes each, one after the other.

    Level by level, an odd one at the end going up as it is: the same tree as the RFC's recursion.
    """
    if not leaf_hashes:
        return EMPTY_ROOT
    level = leaf_hashes
    while len(level) > HASH_BYTES:
        paired = len(level) - len(level) % PAIR_BYTES
        level = (
            b"".join(
                [
                    sha256(b"\x01" + level[start : start + PAIR_BYTES]).digest()
                    for start in range(0, paired, PAIR_BYTES)
                ]
            )
            + level[paired:]
        )
    return level


def folded(hashes: Sequence[bytes]) -> bytes:
    """The root over neighbouring complete subtrees, the largest first."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


class Frontier:
    """A growing log as the hashes of its complete subtrees, the largest first: all that is needed
    to go on and to give its root at any moment, in memory of log2(size) hashes."""

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        assert len(hashes) == size.bit_count(), "one complete subtree for each bit of the size"
        self.size = size
        self.hashes = list(hashes)

    def append(self, leaf: bytes) -> None:
        """Adds the hash of the next leaf."""
        for _ in self.completed(leaf):
            pass

    def completed(self, leaf: bytes) -> Iterator[tuple[Subtree, bytes]]:
        """Adds the hash of the next leaf; answers the subtrees that are complete with it."""
        subtree = Subtree(0, self.size)
        self.size += 1
        yield subtree, leaf
        while subtree.position & 1:
            leaf = node_hash(self.hashes.pop(), leaf)
            subtree = Subtree(subtree.level + 1, subtree.position >> 1)
            yield subtree, leaf
        self.hashes.append(leaf)

    def root(self) -> bytes:
        """The root over all leaves so far."""
        return folded(self.hashes)


def subtrees(span: Span) -> list[Subtree]:
    """The complete subtrees that a span of a proof consists of, the largest first.

    The span starts where a subtree of at least its length does, as all spans of proofs do.
    """
    start, end = span
    found: list[Subtree] = []
    while start < end:
        level = (end - start).bit_length() - 1
        assert start % (1 << level) == 0, "a span starts where a subtree does"
        found.append(Subtree(level, start >> level))
        start += 1 << level
    return found


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The spans whose roots prove that a leaf is in a tree, the leaf's sibling first.

    RFC 9162, section 2.1.3.1: PATH(m, D_n).
    """
    assert 0 <= index < size, "the leaf is in the tree"
    spans: list[Span] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    return spans[::-1]


def consistency_spans(first: int, second: int) -> list[Span]:
    """The spans whose roots prove that a tree begins with a smaller one.

    RFC 9162, section 2.1.4.1: PROOF(m, D_n), which is empty for two trees of one size.
    """
    assert 0 < first <= second, "the first tree is no larger than the second and not empty"
    spans: list[Span] = []
    start, end = 0, second
    whole = True
    while first != end:
        middle = start + _split(end - start)
        if first <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
            whole = False
    if not whole:
        spans.append((start, end))
    return spans[::-1]


def path_of(spans: Sequence[Span], hash_of: Callable[[Subtree], bytes]) -> list[bytes]:
    """The hashes of a proof, from the hashes of complete subtrees."""
    return [folded([hash_of(subtree) for subtree in subtrees(span)]) for span in spans]


def verify_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> bool:
    """Whether the path proves that the leaf's hash is at that position of the tree.

    RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        return False
    node, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while not node & 1 and node != 0:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]
) -> bool:
    """Whether the path proves that the second tree begins with the first.

    RFC 9162, section 2.1.4.2.
    """
    if not 0 < first <= second:
        return False
    if first == second:
        return not path and first_root == second_root
    hashes = list(path)
    if first.bit_count() == 1:
        # The first tree is a subtree of the second: its root is not repeated in the proof.
        hashes.insert(0, first_root)
    if not hashes:
        return False
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    older = newer = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            older, newer = node_hash(sibling, older), node_hash(sibling, newer)
            while not node & 1 and node != 0:
                node, last = node >> 1, last >> 1
        else:
            newer = node_hash(newer, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and older == first_root and newer == second_root


def _split(size: int) -> int:
    """The largest power of two below a size above one: the leaves of the left half."""
    return 1 << ((size - 1).bit_length() - 1)
