"""The tree against the published vectors, and against the RFC's recursion written down naively."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.merkle import (
    EMPTY_ROOT,
    Frontier,
    Subtree,
    consistency_spans,
    folded,
    inclusion_spans,
    leaf_hash,
    node_hash,
    path_of,
    root_of,
    subtrees,
    verify_consistency,
    verify_inclusion,
)

# The eight leaves of Certificate Transparency's reference implementation, with what it publishes.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        *("", "00", "10", "2021", "3031", "40414243", "5051525354555657"),
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
_96 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
_5F = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
_6B = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
_BC = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
_CA = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
_0E = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
# Position of the leaf from 0, size, path.
INCLUSIONS = (
    (0, 1, ()),
    (0, 8, (_96, _5F, _6B)),
    (5, 8, (_BC, _CA, ROOTS[3])),
    (2, 3, (ROOTS[1],)),
    (1, 5, (ROOTS[0], _5F, _BC)),
)
# Both sizes and the path.
CONSISTENCIES = (
    (1, 1, ()),
    (1, 8, (_96, _5F, _6B)),
    (6, 8, (_0E, _CA, ROOTS[3])),
    (2, 5, (_5F, _BC)),
    (6, 7, (_0E, "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f", ROOTS[3])),
)

SIZES = [*range(1, 71), *(256 * k + rest for k in (1, 2, 3) for rest in (-1, 0, 1))]
MANY = [leaf_hash(str(number).encode()) for number in range(max(SIZES))]


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162, section 2.1.1, over leaf hashes."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = half(len(leaves))
    return node_hash(naive_root(leaves[:k]), naive_root(leaves[k:]))


def naive_path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = half(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF of section 2.1.4.1."""
    if m == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = half(len(leaves))
    if m <= k:
        return [*naive_subproof(m, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_subproof(m - k, leaves[k:], False), naive_root(leaves[:k])]


def half(size: int) -> int:
    """The largest power of two below the size."""
    k = 1
    while k * 2 < size:
        k *= 2
    return k


def subtree_of(leaves: list[bytes], subtree: Subtree) -> bytes:
    start = subtree.position << subtree.level
    return naive_root(leaves[start : start + (1 << subtree.level)])


def inclusion(leaves: list[bytes], index: int) -> list[bytes]:
    return path_of(inclusion_spans(index, len(leaves)), lambda s: subtree_of(leaves, s))


def consistency(leaves: list[bytes], first: int) -> list[bytes]:
    return path_of(consistency_spans(first, len(leaves)), lambda s: subtree_of(leaves, s))


def test_the_published_roots() -> None:
    log = Frontier()
    assert log.root() == root_of(b"") == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    for size, (leaf, root) in enumerate(zip(LEAVES, ROOTS, strict=True), 1):
        log.append(leaf_hash(leaf))
        hashes = [leaf_hash(each) for each in LEAVES[:size]]
        assert log.root().hex() == root_of(b"".join(hashes)).hex() == root


@pytest.mark.parametrize(("index", "size", "path"), INCLUSIONS)
def test_the_published_inclusion_proofs(index: int, size: int, path: tuple[str, ...]) -> None:
    leaves = [leaf_hash(leaf) for leaf in LEAVES[:size]]
    assert [node.hex() for node in inclusion(leaves, index)] == list(path)
    root = bytes.fromhex(ROOTS[size - 1])
    assert verify_inclusion(leaves[index], index, size, [bytes.fromhex(n) for n in path], root)


@pytest.mark.parametrize(("first", "second", "path"), CONSISTENCIES)
def test_the_published_consistency_proofs(first: int, second: int, path: tuple[str, ...]) -> None:
    leaves = [leaf_hash(leaf) for leaf in LEAVES[:second]]
    assert [node.hex() for node in consistency(leaves, first)] == list(path)
    before, root = (bytes.fromhex(ROOTS[size - 1]) for size in (first, second))
    assert verify_consistency(first, second, before, root, [bytes.fromhex(n) for n in path])


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_there_is_no_path_of_a_leaf_that_is_not_in_the_tree(index: int, size: int) -> None:
    with pytest.raises(AssertionError):
        inclusion_spans(index, size)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 3), (4, 3)])
def test_there_is_no_path_from_an_empty_tree_or_to_a_smaller_one(first: int, second: int) -> None:
    with pytest.raises(AssertionError):
        consistency_spans(first, second)


@pytest.mark.parametrize("size", SIZES)
def test_every_inclusion_is_the_rfcs_and_verifies(size: int) -> None:
    leaves = MANY[:size]
    root = naive_root(leaves)
    log = Frontier()
    for leaf in leaves:
        log.append(leaf)
    assert log.root() == root_of(b"".join(leaves)) == root
    # Of the larger trees the ends and the middle, where paths differ in form.
    indexes = range(size) if size <= 70 else {0, 1, 127, 128, 255, size // 2, size - 2, size - 1}
    for index in sorted(set(indexes) & set(range(size))):
        path = inclusion(leaves, index)
        assert path == naive_path(index, leaves)
        assert verify_inclusion(leaves[index], index, size, path, root)


@pytest.mark.parametrize("size", SIZES)
def test_every_consistency_is_the_rfcs_and_verifies(size: int) -> None:
    leaves = MANY[:size]
    root = naive_root(leaves)
    firsts = range(1, size + 1) if size <= 70 else {1, 2, 128, 255, 256, 257, size - 1, size}
    for first in sorted(set(firsts) & set(range(1, size + 1))):
        path = consistency(leaves, first)
        assert path == naive_subproof(first, leaves, True)
        assert verify_consistency(first, size, naive_root(leaves[:first]), root, path)


sizes = st.integers(1, 40)


@given(sizes, st.data())
def test_an_inclusion_proof_proves_nothing_else(size: int, data: st.DataObject) -> None:
    """Another leaf, place, size or root, or a path that is changed, longer or shorter, fails."""
    leaves = MANY[:size]
    root = naive_root(leaves)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion(leaves, index)
    other = data.draw(st.integers(-1, size + 1).filter(lambda found: found != index))
    assert not verify_inclusion(leaves[index], other, size, path, root)
    assert not verify_inclusion(leaf_hash(b"another"), index, size, path, root)
    assert not verify_inclusion(leaves[index], index, size, path, leaf_hash(b"another"))
    assert not verify_inclusion(leaves[index], index, size, [*path, root], root)
    for cut in range(len(path)):
        assert not verify_inclusion(leaves[index], index, size, path[:cut], root)
        changed = [*path[:cut], leaf_hash(b"changed"), *path[cut + 1 :]]
        assert not verify_inclusion(leaves[index], index, size, changed, root)


@given(sizes, st.data())
def test_a_consistency_proof_proves_nothing_else(size: int, data: st.DataObject) -> None:
    """A fork, other sizes, or a path that is changed, longer or shorter, fails."""
    leaves = MANY[:size]
    first = data.draw(st.integers(1, size))
    before, root = naive_root(leaves[:first]), naive_root(leaves)
    path = consistency(leaves, first)
    forged = leaf_hash(b"forged")
    assert not verify_consistency(first, size, forged, root, path)
    assert not verify_consistency(first, size, before, forged, path)
    assert not verify_consistency(0, size, before, root, path)
    assert not verify_consistency(size + 1, size, before, root, path)
    assert not verify_consistency(first, size, before, root, [*path, forged])
    for cut in range(len(path)):
        assert not verify_consistency(first, size, before, root, path[:cut])
        changed = [*path[:cut], forged, *path[cut + 1 :]]
        assert not verify_consistency(first, size, before, root, changed)


@given(st.integers(0, 70), st.integers(0, 70))
def test_a_frontier_goes_on_from_where_it_was(size: int, more: int) -> None:
    hashes = [subtree_of(MANY, subtree) for subtree in subtrees((0, size))]
    assert folded(hashes) == naive_root(MANY[:size])
    log = Frontier(size, hashes)
    completed: dict[Subtree, bytes] = {}
    for leaf in MANY[size : size + more]:
        completed |= dict(log.completed(leaf))
    assert log.root() == naive_root(MANY[: size + more])
    # Exactly the subtrees that end in the new leaves, each once and right.
    assert completed == {
        Subtree(level, position): subtree_of(MANY, Subtree(level, position))
        for level in range(8)
        for position in range((size + more) >> level)
        if (position + 1) << level > size
    }
