"""The ring of whole transitions, against a plain list of the newest."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.replay.prioritized import PrioritizedSampler
from reinforcestrategycreator_pipeline.replay.ring import RingReplay
from reinforcestrategycreator_pipeline.replay.sampling import distinct_indices


def ring(capacity=4, n_inputs=2, seed=0, **options):
    return RingReplay(capacity, n_inputs, np.random.default_rng(seed), **options)


def push_numbers(replay, numbers):
    """Push transitions that can be told apart in every field."""
    for k in numbers:
        replay.push([k, -k], k % 3, k / 2, [k + 1, k - 1], k % 2 == 0)


def rows(batch):
    """A batch as a sorted list of plain transitions."""
    zipped = zip(*(field.tolist() for field in batch[:5]), strict=True)
    return sorted((tuple(s), a, r, tuple(n), t) for s, a, r, n, t in zipped)


def transition(k):
    return ((k, -k), k % 3, k / 2, (k + 1, k - 1), k % 2 == 0)


@given(capacity=st.integers(1, 9), pushed=st.integers(1, 40))
def test_it_holds_exactly_the_newest(capacity, pushed):
    replay, newest = ring(capacity), deque(maxlen=capacity)
    for k in range(pushed):
        push_numbers(replay, [k])
        newest.append(transition(k))
        assert len(replay) == len(newest)
    assert rows(replay.sample(len(replay))) == sorted(newest)


def test_the_oldest_is_overwritten_first():
    replay = ring(3)
    push_numbers(replay, range(3))
    for k in (3, 4, 5, 6):
        push_numbers(replay, [k])
        assert rows(replay.sample(3)) == [transition(j) for j in (k - 2, k - 1, k)]


def test_a_batch_has_the_stated_shapes_and_types():
    replay = ring(50, 3, dtype="float32")
    for k in range(20):
        replay.push(np.full(3, k), k % 2, k, np.full(3, k), False)
    batch = replay.sample(7)
    assert batch.s_tm1.shape == batch.s_t.shape == (7, 3)
    assert batch.a_tm1.shape == batch.r_t.shape == batch.terminated.shape == (7,)
    assert batch.s_tm1.dtype == batch.s_t.dtype == batch.r_t.dtype == np.float32
    assert batch.terminated.dtype == bool
    assert np.issubdtype(batch.a_tm1.dtype, np.integer)
    assert batch.steps is batch.weights is None
    assert batch.indices.dtype == np.int64
    assert batch.s_tm1[:, 0].tolist() == batch.indices.tolist()  # transition k lies in slot k


def test_a_batch_is_a_copy():
    replay = ring()
    push_numbers(replay, range(4))
    batch = replay.sample(4)
    for field in batch[:5]:
        field[...] = 0
    assert rows(replay.sample(4)) == [transition(k) for k in range(4)]


def test_what_was_pushed_is_copied():
    replay = ring()
    state, next_state = np.ones(2), np.zeros(2)
    replay.push(state, 0, 0.0, next_state, False)
    state[:], next_state[:] = 7, 7
    batch = replay.sample(1)
    assert batch.s_tm1.tolist() == [[1, 1]]
    assert batch.s_t.tolist() == [[0, 0]]


def test_states_of_more_axes_are_flattened():
    replay = ring(n_inputs=4)
    replay.push([[1, 2], [3, 4]], 0, 0.0, [[5, 6], [7, 8]], False)
    assert replay.sample(1).s_t.tolist() == [[5, 6, 7, 8]]


def test_samples_are_uniform_over_slots():
    replay = ring(25)
    push_numbers(replay, range(35))  # wrapped
    counts = np.zeros(35)
    for _ in range(4_000):
        counts[(replay.sample(5).r_t * 2).astype(int)] += 1
    assert not counts[:10].any()
    expected = 4_000 * 5 / 25
    # chi-square with 24 degrees of freedom: 51.179 is its upper 0.1% point; drawing without
    # replacement only makes the counts more even.
    assert ((counts[10:] - expected) ** 2 / expected).sum() < 51.179


def test_too_few_are_refused():
    replay = ring()
    push_numbers(replay, [0])
    with pytest.raises(ConfigError, match="cannot sample 2 transitions: the replay holds 1"):
        replay.sample(2)


@pytest.mark.parametrize(
    "change",
    [
        {"state": [1.0]},
        {"state": [1.0, 2.0, 3.0]},
        {"next_state": 5.0},
        {"action": 3},
        {"action": -1},
    ],
)
def test_a_wrong_transition_is_refused_and_leaves_the_ring_as_it_was(change):
    replay = ring(3, n_actions=3)
    push_numbers(replay, range(4))
    good = {
        "state": [9, 9],
        "action": 0,
        "reward": 9,
        "next_state": [9, 9],
        "terminated": False,
    }
    with pytest.raises(ConfigError, match=r"must (have 2 numbers|be an integer from 0 to 2)\. Got"):
        replay.push(**{**good, **change})
    assert rows(replay.sample(3)) == [transition(k) for k in (1, 2, 3)]


@pytest.mark.parametrize("pushed", [0, 1, 3, 4, 6, 8])
def test_a_restored_ring_goes_on_as_if_it_had_never_stopped(pushed):
    original, restored = ring(seed=5), ring(seed=5)
    push_numbers(original, range(pushed))
    arrays = {name: array.copy() for name, array in original.arrays().items()}
    restored.restore(arrays)
    assert len(restored) == len(original)
    for k in range(pushed, pushed + 7):
        push_numbers(original, [k])
        push_numbers(restored, [k])
        n = len(original)
        ours, theirs = restored.sample(n), original.sample(n)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(ours[:5], theirs[:5], strict=True))


@pytest.mark.parametrize(("stored", "old", "new"), [(7, 4, 6), (4, 4, 6), (3, 6, 3), (5, 6, 3)])
def test_a_ring_of_another_capacity_is_refused(stored, old, new):
    # Its place would leave slots unwritten, or lie outside.
    source, target = ring(old), ring(new)
    push_numbers(source, range(stored))
    with pytest.raises(ConfigError, match=f"do not fit a replay of capacity {new}"):
        target.restore(source.arrays())
    assert len(target) == 0


def test_a_ring_of_other_columns_is_refused():
    source = ring()
    push_numbers(source, range(3))
    with pytest.raises(ConfigError, match=r"stored s_tm1 must be float32 \(3, 5\)"):
        ring(n_inputs=5).restore(source.arrays())
    with pytest.raises(ConfigError, match=r"must be float64 .* Got float32"):
        ring(dtype="float64").restore(source.arrays())
    with pytest.raises(ConfigError, match="have no steps"):
        ring(n_step=2).restore(source.arrays())


def test_uniform_sampling_ignores_priorities_and_draws_distinct_indices():
    plain, updated = ring(40, seed=3), ring(40, seed=3)
    for replay in (plain, updated):
        push_numbers(replay, range(40))
    updated.update_priorities([1, 2], [100.0, np.nan])
    for size in (5, 30):
        # The same draws as distinct_indices alone, which is what there was before samplers.
        drawn = distinct_indices(np.random.default_rng(3), 40, size)
        ours, theirs = ring_batch(plain, size), ring_batch(updated, size)
        assert ours.indices.tolist() == theirs.indices.tolist() == drawn.tolist()
        assert ours.s_tm1[:, 0].tolist() == drawn.tolist()


def ring_batch(replay, size):
    replay.rng = np.random.default_rng(3)
    return replay.sample(size)


def push_table(replay, table):
    """Push the rows of a table (states, actions, ...) one after the other."""
    for row in zip(*table, strict=True):
        replay.push(*row)


def table_of(start, n):
    k = np.arange(start, start + n)
    states = np.stack([k, -k], axis=1).astype(float)
    return states, k % 3, k / 2, states + 1, k % 2 == 0, k % 3 == 0


@given(
    capacity=st.integers(1, 9),
    blocks=st.lists(st.integers(0, 9), min_size=1, max_size=8),
    prioritized=st.booleans(),
)
def test_push_many_equals_pushes(capacity, blocks, prioritized):
    def make():
        return ring(capacity, sampler=PrioritizedSampler(capacity) if prioritized else None)

    one_by_one, together, start = make(), make(), 0
    for block in blocks:
        table = table_of(start, min(block, capacity))
        start += len(table[0])
        push_table(one_by_one, table)
        together.push_many(*table)
        assert_same_arrays(one_by_one, together)


def assert_same_arrays(a, b):
    ours, theirs = a.arrays(), b.arrays()
    assert list(ours) == list(theirs)
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype, name
        assert array.tobytes() == theirs[name].tobytes(), name


GOOD = table_of(9, 2)


@pytest.mark.parametrize(
    ("place", "wrong", "message"),
    [
        (0, [[1.0, 2.0]], "2 states must have 2 numbers each"),
        (0, [[1.0, 2.0, 3.0, 4.0]], "2 states must have 2 numbers each"),  # two in one row
        (3, [[1.0], [2.0]], "2 states must have 2 numbers each"),
        (1, [0, 3], r"integer from 0 to 2\. Got \[0, 3\]"),
        (1, [-1, 0], r"integer from 0 to 2\. Got \[-1, 0\]"),
        (1, [0.0, 1.0], r"integer from 0 to 2\. Got \[0.0, 1.0\]"),
        (1, [[0, 1]], "must have the shape"),
        (2, [1.0], r"must have the shape \(2,\)"),
        (4, True, r"must have the shape \(2,\)"),
        (5, [True] * 3, r"must have the shape \(2,\)"),
    ],
)
@pytest.mark.parametrize("n_step", [1, 2])
def test_wrong_transitions_are_refused_and_leave_the_ring_as_it_was(place, wrong, message, n_step):
    replay, untouched = ring(n_actions=3, n_step=n_step), ring(n_actions=3, n_step=n_step)
    for r in (replay, untouched):
        r.push_many(*table_of(0, 2))
    with pytest.raises(ConfigError, match=message):
        replay.push_many(*GOOD[:place], wrong, *GOOD[place + 1 :])
    assert_same_arrays(replay, untouched)


def test_more_environments_than_the_capacity_are_refused():
    with pytest.raises(ConfigError, match=r"cannot store 5 transitions at once: .* capacity is 4"):
        ring(4).push_many(*table_of(0, 5))
    with pytest.raises(ConfigError, match=r"cannot store 6 transitions at once: .* capacity is 4"):
        ring(4, n_step=3).push_many(*table_of(0, 2))
