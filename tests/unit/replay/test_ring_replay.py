"""The ring of whole transitions, against a plain list of the newest."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.replay.ring import RingReplay


def ring(capacity=4, n_inputs=2, seed=0, **options):
    return RingReplay(capacity, n_inputs, np.random.default_rng(seed), **options)


def push_numbers(replay, numbers):
    """Push transitions that can be told apart in every field."""
    for k in numbers:
        replay.push([k, -k], k % 3, k / 2, [k + 1, k - 1], k % 2 == 0)


def rows(batch):
    """A batch as a sorted list of plain transitions."""
    zipped = zip(*(field.tolist() for field in batch), strict=True)
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


def test_a_batch_is_a_copy():
    replay = ring()
    push_numbers(replay, range(4))
    batch = replay.sample(4)
    for field in batch:
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
    with pytest.raises(ConfigError, match=r"a batch of 2 .* holds 1"):
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
    with pytest.raises(ConfigError, match=r"must (hold 2 numbers|be an integer from 0 to 2)\. Got"):
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
        assert all(a.tobytes() == b.tobytes() for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(("stored", "old", "new"), [(7, 4, 6), (4, 4, 6), (3, 6, 3), (5, 6, 3)])
def test_a_ring_of_another_capacity_is_refused(stored, old, new):
    # Its place would leave slots unwritten, or lie outside.
    source, target = ring(old), ring(new)
    push_numbers(source, range(stored))
    with pytest.raises(ConfigError, match=f"do not fit a replay of capacity {new}"):
        target.restore(source.arrays())
    assert len(target) == 0
