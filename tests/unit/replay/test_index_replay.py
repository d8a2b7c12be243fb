"""The ring of indices, against a plain list of the newest triples."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.replay.batch import Batch
from reinforcestrategycreator_pipeline.replay.index import IndexReplay
from reinforcestrategycreator_pipeline.replay.prioritized import PrioritizedSampler


def gather(rows, positions, actions):
    """Give the triples back, in the fields of a batch."""
    return Batch(rows, actions, positions, rows + 1, np.zeros(len(rows), bool))


def replay_of(capacity, seed=0, **options):
    return IndexReplay(capacity, gather, np.random.default_rng(seed), **options)


def push_numbers(replay, numbers):
    k = np.array(numbers, dtype=np.int64)
    replay.push_many(k * 1000, k % 5, k % 3)


def triples(batch):
    return sorted(zip(*(x.tolist() for x in (batch.s_tm1, batch.r_t, batch.a_tm1)), strict=True))


@given(capacity=st.integers(1, 12), blocks=st.lists(st.integers(0, 12), min_size=1, max_size=8))
def test_it_holds_exactly_the_newest(capacity, blocks):
    replay, newest, k = replay_of(capacity), deque(maxlen=capacity), 0
    for block in blocks:
        n = min(block, capacity)
        push_numbers(replay, range(k, k + n))
        newest.extend((j * 1000, j % 5, j % 3) for j in range(k, k + n))
        k += n
        assert len(replay) == len(newest)
    if newest:
        assert triples(replay.sample(len(replay))) == sorted(newest)


def test_triples_are_gathered_as_int64_and_distinct():
    replay = replay_of(100)
    push_numbers(replay, range(60))
    batch = replay.sample(50)
    assert batch.s_tm1.dtype == batch.a_tm1.dtype == batch.r_t.dtype == np.int64
    assert len(set(batch.s_tm1.tolist())) == 50


def test_large_rows_survive():
    replay = replay_of(4)
    replay.push_many(np.array([2**31 - 1]), np.array([2**15 - 1]), np.array([2**15 - 1]))
    assert triples(replay.sample(1)) == [(2**31 - 1, 2**15 - 1, 2**15 - 1)]


def test_samples_are_uniform_over_slots():
    replay = replay_of(25)
    push_numbers(replay, range(20))
    push_numbers(replay, range(20, 35))
    counts = np.zeros(35)
    for _ in range(4_000):
        counts[replay.sample(5).s_tm1 // 1000] += 1
    assert not counts[:10].any()
    expected = 4_000 * 5 / 25
    assert ((counts[10:] - expected) ** 2 / expected).sum() < 51.179  # chi-square 24, 0.1%


def test_more_at_once_than_the_capacity_are_refused():
    replay = replay_of(3)
    with pytest.raises(ConfigError, match=r"cannot store 4 transitions at once: .* capacity is 3"):
        push_numbers(replay, range(4))
    assert len(replay) == 0


def test_too_few_are_refused():
    replay = replay_of(3)
    push_numbers(replay, range(2))
    with pytest.raises(ConfigError, match="cannot sample 3 transitions: the replay holds 2"):
        replay.sample(3)


@pytest.mark.parametrize("pushed", [0, 2, 4, 5, 8])
def test_a_restored_ring_goes_on_as_if_it_had_never_stopped(pushed):
    original, restored = replay_of(4, seed=7), replay_of(4, seed=7)
    for k in range(pushed):
        push_numbers(original, [k])
    restored.restore({name: array.copy() for name, array in original.arrays().items()})
    for k in range(pushed, pushed + 6, 2):
        for replay in (original, restored):
            push_numbers(replay, [k, k + 1])
        n = len(original)
        ours, theirs = restored.sample(n), original.sample(n)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(ours[:5], theirs[:5], strict=True))


@pytest.mark.parametrize(("stored", "old", "new"), [(7, 4, 6), (4, 4, 6), (3, 6, 3)])
def test_a_ring_of_another_capacity_is_refused(stored, old, new):
    source, target = replay_of(old), replay_of(new)
    for k in range(stored):
        push_numbers(source, [k])
    with pytest.raises(ConfigError, match=f"do not fit a replay of capacity {new}"):
        target.restore(source.arrays())


def test_a_batch_tells_its_slots():
    replay = replay_of(9)
    push_numbers(replay, range(9))
    batch = replay.sample(6)
    assert batch.steps is batch.weights is None
    assert (batch.indices * 1000).tolist() == batch.s_tm1.tolist()


def test_priorities_choose_the_triples():
    sampler = PrioritizedSampler(6, alpha=1.0)
    replay = replay_of(6, sampler=sampler)
    push_numbers(replay, range(4))
    replay.update_priorities([0, 1, 2, 3], [0.0, 0.0, 8.0, 0.0])
    sampler.beta = 0.0
    batch = replay.sample(4)
    assert batch.s_tm1.tolist() == [2000] * 4  # but for one draw in 2.7 million
    assert batch.indices.tolist() == [2] * 4
    assert batch.weights.tolist() == [1.0] * 4
    push_numbers(replay, [4])  # as likely as the likeliest
    assert sampler.arrays()["priorities"].tolist() == pytest.approx([1e-6, 1e-6, 8, 1e-6, 8])


@pytest.mark.parametrize(("dtype", "expected"), [("f4", "f4"), ("f8", "f8"), ("i4", "f8")])
def test_weights_have_the_type_of_the_rewards(dtype, expected):
    def gather_as(rows, positions, actions):
        return gather(rows, positions, actions)._replace(r_t=np.zeros(len(rows), dtype))

    replay = IndexReplay(
        4, gather_as, np.random.default_rng(0), sampler=PrioritizedSampler(4, alpha=1.0)
    )
    push_numbers(replay, range(4))
    replay.update_priorities([0, 1, 2, 3], [1.0, 2.0, 3.0, 4.0])
    weights = replay.sample(4).weights
    assert weights.dtype == np.dtype(expected)
    assert 0 < weights.min() < weights.max() == 1
