"""The sum tree, against running sums of a plain list."""

import copy
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError
from reinforcestrategycreator_pipeline.replay.sum_tree import SumTree

# Around the powers at which a level is added, and odd ones.
CAPACITIES = [1, 2, 3, 31, 32, 33, 100, 1023, 1024, 1025, 5000, 32769]


def slow_find(values, mass):
    """The first index at which the running sum exceeds the mass."""
    return next(k for k, total in enumerate(accumulate(values)) if total > mass)


def tree_of(values):
    tree = SumTree(len(values))
    tree.set(np.arange(len(values)), values)
    return tree


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_whole_numbers_are_found_exactly(capacity):
    rng = np.random.default_rng(capacity)
    values = rng.integers(0, 4, capacity).astype(float)
    values[rng.integers(capacity)] = 3.0
    tree = tree_of(values)
    assert tree.total == sum(values.tolist())
    # Whole masses lie on the borders, halves within.
    masses = rng.integers(0, int(values.sum()), 60) + rng.choice([0.0, 0.5], 60)
    assert tree.find(masses).tolist() == [slow_find(values.tolist(), m) for m in masses]


@given(
    capacity=st.sampled_from([1, 5, 33, 1030]),
    writes=st.lists(
        st.lists(st.tuples(st.integers(0, 1029), st.integers(0, 1000)), min_size=1, max_size=12),
        min_size=1,
        max_size=6,
    ),
    shares=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=9),
)
def test_any_writes_leave_the_sums_of_a_plain_list(capacity, writes, shares):
    tree, plain = SumTree(capacity), [0] * capacity
    for write in writes:
        indices = [k % capacity for k, _ in write]
        tree.set(indices, [v for _, v in write])
        for k, (_, v) in zip(indices, write, strict=True):  # the last one wins
            plain[k] = v
    assert tree.values.tolist() == plain
    assert tree.total == sum(plain)
    if sum(plain):
        masses = np.array([int(share * sum(plain)) for share in shares], dtype=float)
        assert tree.find(masses).tolist() == [slow_find(plain, m) for m in masses]


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_the_way_to_a_content_leaves_no_trace(capacity):
    rng = np.random.default_rng(1)
    values = rng.random(capacity) * 10.0 ** rng.integers(-9, 9, capacity)
    in_pieces, one_by_one, filled = SumTree(capacity), SumTree(capacity), SumTree(capacity)
    in_pieces.set(np.arange(capacity), 7.0)
    filled.set(np.arange(capacity), 5.0)
    order = rng.permutation(capacity)
    for part in np.array_split(order, 9):
        in_pieces.set(part, values[part])
    for k in order.tolist():
        one_by_one.set_one(k, values[k])
    filled.fill(values)
    for tree in (in_pieces, one_by_one):
        for level, expected in zip(tree._levels, filled._levels, strict=True):
            assert level.tobytes() == expected.tobytes()


def test_fill_clears_what_lies_beyond():
    tree = tree_of(np.ones(2000))
    tree.fill(np.array([1.0, 2.0]))
    assert tree.total == 3.0
    assert tree.values.tolist() == [1.0, 2.0] + [0.0] * 1998
    assert tree.find(np.array([2.999])).tolist() == [1]


@given(
    capacity=st.sampled_from([3, 40, 1100]),
    present=st.lists(st.integers(0, 1099), min_size=1, max_size=20),
    seed=st.integers(0, 2**32),
)
def test_an_index_of_value_zero_is_never_found(capacity, present, seed):
    # Values of very different sizes, so that sums round; masses up to and beyond the total.
    rng = np.random.default_rng(seed)
    indices = np.unique(np.array(present) % capacity)
    tree = SumTree(capacity)
    tree.set(indices, 10.0 ** rng.uniform(-20, 20, len(indices)))
    total = tree.total
    borders = np.cumsum(tree.values[indices])
    masses = np.concatenate(
        [
            [0.0, total, np.nextafter(total, 0), np.nextafter(total, np.inf), 2 * total],
            borders,
            np.nextafter(borders, 0),
            np.nextafter(borders, np.inf),
            rng.random(20) * total,
        ]
    )
    assert set(tree.find(masses).tolist()) <= set(indices.tolist())


def test_a_mass_beyond_all_leads_to_the_last_that_is_not_zero():
    tree = SumTree(3000)
    tree.set([4, 2000], [1.0, 1.0])
    assert tree.find(np.array([0.0, 0.999, 1.0, 2.0, 5.0])).tolist() == [4, 4, 2000, 2000, 2000]


def test_a_node_whose_children_round_to_less_leads_to_the_last_of_them():
    # A node's sum and the running sum of its children round differently. A mass between the two
    # is below the node and beyond all its children, of which the first and the last are 0.
    between = 0
    for seed in range(50):
        values = np.zeros(1024)
        values[1:31] = np.random.default_rng(seed).random(30)
        values[1000] = 1.0
        tree = tree_of(values)
        assert tree.fanout == 32
        mass = np.nextafter(tree._levels[0][0, 0], 0.0)
        between += list(accumulate(values[:32].tolist()))[-1] <= mass
        assert tree.find(np.array([mass])).tolist() == [30]
    assert between > 5


def test_smallest_and_largest_values():
    tiny = np.nextafter(0.0, 1.0)
    tree = SumTree(100)
    tree.set([50], [tiny])
    assert tree.find(np.array([0.0, tiny, 1.0])).tolist() == [50, 50, 50]
    tree.set(np.arange(100), 1e290)
    assert np.isfinite(tree.total)
    assert tree.find(np.array([0.0, 50.5e290])).tolist() == [0, 50]


@pytest.mark.parametrize(
    ("indices", "values", "error", "message"),
    [
        ([0, 1], [1.0, np.nan], NonFiniteError, r"finite number.* Got nan \(1 of 2 are invalid\)"),
        ([0, 1], [np.inf, 1.0], NonFiniteError, r"finite number.* Got inf \(1 of 2"),
        ([0, 1], [-np.inf, 1.0], NonFiniteError, "Got -inf"),
        ([0], [1e300], NonFiniteError, r"<= 1e\+290\. Got 1e\+300"),
        ([0, 1, 2], [1.0, -0.5, 2.0], ConfigError, r">= 0\. Got -0.5 \(1 of 3 are invalid\)"),
        ([5], [1.0], ConfigError, "from 0 to 4. Got 5 to 5"),
        ([2, -1], [1.0, 1.0], ConfigError, "from 0 to 4. Got -1 to 2"),
    ],
)
def test_wrong_values_are_refused_and_nothing_is_changed(indices, values, error, message):
    tree = tree_of([1.0, 2.0, 3.0, 4.0, 5.0])
    before = copy.deepcopy(tree)
    with pytest.raises(error, match=message):
        tree.set(indices, values)
    for level, expected in zip(tree._levels, before._levels, strict=True):
        assert level.tolist() == expected.tolist()


def test_a_copy_is_whole():
    tree = tree_of([1.0, 2.0])
    twin = copy.deepcopy(tree)
    twin.set([0], [5.0])
    assert (tree.total, twin.total) == (3.0, 7.0)
    assert twin.values.tolist() == [5.0, 2.0]


def test_too_many_values_and_no_capacity_are_refused():
    with pytest.raises(ConfigError, match="3 values exceed a sum tree's capacity 2"):
        SumTree(2).fill(np.ones(3))
    with pytest.raises(
        ConfigError, match=r"capacity parameter of SumTree must be an integer in \[1"
    ):
        SumTree(0)
