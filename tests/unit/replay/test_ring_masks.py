"""Action masks in the replay: stored as bits with each next state, or not at all."""

import copy

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.action_masks import (
    as_masks,
    packed,
    random_actions,
    unpacked,
)
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.replay.prioritized import PrioritizedSampler
from reinforcestrategycreator_pipeline.replay.ring import RingReplay
from reinforcestrategycreator_pipeline.replay.stacked import StackedRings

N_ACTIONS = 11


def ring(capacity=50, n_actions=N_ACTIONS, seed=0, **more):
    return RingReplay(capacity, 1, np.random.default_rng(seed), np.float64, n_actions, **more)


def mask_of(s, n_actions=N_ACTIONS):
    """The valid actions of state s: the bits of its number, and always action 0."""
    return [a == 0 or bool(int(s) >> (a - 1) & 1) for a in range(n_actions)]


def fill(replay, episodes=((7, True), (5, False), (20, False)), n_actions=N_ACTIONS):
    s = 0
    for length, terminated in episodes:
        for t in range(length):
            last = t == length - 1
            ends = terminated and last, not terminated and last
            replay.push([s], s % 3, 1.0, [s + 1], *ends, next_mask=mask_of(s + 1, n_actions))
            s += 1
        s += 100
    return replay


@pytest.mark.parametrize("n_actions", [1, 2, 7, 8, 9, 16, 17])
def test_bits_return_as_they_were(n_actions):
    masks = np.random.default_rng(n_actions).random((3, 5, n_actions)) < 0.5
    bits = packed(masks)
    assert bits.shape == (3, 5, -(-n_actions // 8))
    assert bits.dtype == np.uint8
    found = unpacked(bits, n_actions)
    assert found.dtype == bool
    assert np.array_equal(found, masks)


@pytest.mark.parametrize("prioritized", [False, True])
@pytest.mark.parametrize("n_step", [1, 3])
def test_each_transition_has_the_mask_of_the_state_that_it_bootstraps_from(n_step, prioritized):
    sampler = PrioritizedSampler(50) if prioritized else None
    replay = fill(ring(n_step=n_step, sampler=sampler))
    assert replay.masked
    batch = replay.sample(25)
    assert batch.mask_t.shape == (25, N_ACTIONS)
    assert (batch.steps is None) == (n_step == 1)
    assert (batch.weights is None) != prioritized
    assert batch.mask_t.tolist() == [mask_of(s) for s in batch.s_t[:, 0]]
    if n_step == 3:  # truncations end windows early: the mask is that of the final observation
        assert {1, 2, 3} == set(replay.arrays()["steps"].tolist())


@pytest.mark.parametrize("n_step", [1, 3])
def test_steps_of_several_environments(n_step):
    replay = ring(n_step=n_step)
    rng = np.random.default_rng(3)
    s = np.array([0, 300, 600])
    for _ in range(12):
        ended, cut = rng.random((2, 3)) < 0.2
        present = rng.random(3) < 0.8
        masks = np.array([mask_of(x + 1) for x in s])
        masks[ended | ~present] = False  # neither is used
        columns = s[:, None], [0, 1, 2], [1.0, 1.0, 1.0], s[:, None] + 1
        replay.push_many(*columns, ended, cut, present, masks)
        s = np.where(ended | cut, s + 50, s + 1)
    stored = replay.arrays()
    followed, over = stored["s_t"][:, 0], stored["terminated"]
    assert 0 < over.sum() < len(over)
    found = unpacked(stored["mask_t"], N_ACTIONS)
    assert found[~over].tolist() == [mask_of(x) for x in followed[~over]]
    assert not found[over].any()


def test_masks_cost_nothing_where_there_are_none_and_a_bit_an_action_where_there_are():
    plain = ring()
    plain.push([0], 0, 1.0, [1], False)
    assert (plain.masked, plain.sample(1).mask_t, "mask_t" in plain.arrays()) == (
        False,
        None,
        False,
    )
    masked = fill(ring())
    assert masked.arrays()["mask_t"].nbytes == 2 * len(masked)


def test_a_terminated_transition_needs_no_mask():
    replay = fill(ring(), episodes=((2, False),))
    replay.push([5], 0, 1.0, [6], True)
    replay.push([5], 0, 1.0, [6], True, next_mask=[0] * N_ACTIONS)
    assert len(replay) == 4
    with pytest.raises(ConfigError, match=r"masks, so every next state must have one\. Got none"):
        replay.push([5], 0, 1.0, [6], False, True)
    with pytest.raises(ConfigError, match=r"at least one valid action\. Got none instead"):
        replay.push([5], 0, 1.0, [6], False, True, [0] * N_ACTIONS)
    assert len(replay) == 4


def test_masks_may_begin_after_transitions_that_need_none():
    replay = ring(n_actions=3)
    replay.push([5], 0, 1.0, [6], True)
    replay.push([6], 0, 1.0, [7], False, next_mask=[0, 1, 1])
    batch = replay.sample(2)
    assert batch.mask_t[~batch.terminated].tolist() == [[False, True, True]]


def test_masks_with_every_transition_or_with_none():
    replay = ring(n_actions=3)
    replay.push([0], 0, 1.0, [1], False)
    with pytest.raises(ConfigError, match="Got a mask after 1 transitions without one"):
        replay.push([1], 0, 1.0, [2], False, next_mask=[1, 1, 1])
    with pytest.raises(ConfigError, match="Got a mask after 1 transitions without one"):
        replay.push_many([[1]], [0], [1.0], [[2]], [False], [False], None, [[1, 1, 1]])
    assert (len(replay), replay.masked) == (1, False)
    unknown = RingReplay(5, 1, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="needs n_actions to store action masks"):
        unknown.push([1], 0, 1.0, [2], False, next_mask=[1, 1, 1])


@pytest.mark.parametrize("n_step", [1, 2])
@pytest.mark.parametrize(
    ("mask", "rule"),
    [
        ([1, 1], r"have the shape \(3,\)\. Got \(2,\)"),
        ([[1, 1, 1]], r"have the shape \(3,\)\. Got \(1, 3\)"),
        ([0.0, 1.0, 1.0], "consist of booleans, or of the integers 0 and 1. Got float64"),
        ([0, 2, 1], r"consist of booleans, or of the integers 0 and 1\. Got \[0, 2, 1\]"),
        (["a", "b", "c"], "consist of booleans, or of the integers 0 and 1. Got <U1"),
        ([None, 1, 1], r"consist of booleans, or of the integers 0 and 1\. Got \[None, 1, 1\]"),
        ([[1], [1, 1]], r"have the shape \(3,\)\. Got \[\[1\], \[1, 1\]\]"),
        ([0, 0, 0], "have at least one valid action. Got none"),
    ],
)
def test_a_wrong_mask_is_rejected_and_nothing_is_stored(mask, rule, n_step):
    replay = ring(n_actions=3, n_step=n_step)
    with pytest.raises(ConfigError, match=f"^the action mask of a next state must {rule}"):
        replay.push([1], 0, 1.0, [2], False, next_mask=mask)
    assert (len(replay), replay.masked) == (0, False)
    replay.push([1], 0, 1.0, [2], False, True)


def test_the_row_of_a_wrong_mask_is_named():
    with pytest.raises(
        ConfigError, match=r"x must have at least one valid action\. Got none \(row"
    ):
        as_masks([[1, 0], [0, 0]], (2, 2), "x")
    assert as_masks([[1, 0], [0, 0]], (2, 2), "x", np.array([True, False])).dtype == bool


@pytest.mark.parametrize("n_step", [1, 3])
def test_a_checkpoint_holds_the_masks(n_step):
    first = fill(ring(n_step=n_step))
    stored = copy.deepcopy(first.arrays())
    second = ring(n_step=n_step)
    second.restore(stored)
    assert second.masked
    for replay in (first, second):
        fill(replay, episodes=((9, True),))
        replay.rng = np.random.default_rng(5)
    for a, b in zip(first.sample(20), second.sample(20), strict=True):
        assert a is b is None or np.array_equal(a, b)
    with pytest.raises(ConfigError, match="the stored transitions have no mask_t"):
        first.restore({k: v for k, v in stored.items() if k != "mask_t"})
    with pytest.raises(ConfigError, match=r"the stored mask_t must be uint8 \(.*, 1\)"):
        ring(n_actions=3, n_step=n_step).restore(stored)


def test_stacked_rings_give_each_ring_its_own_masks():
    alone = [fill(ring(seed=k), episodes=((10 + k, False),)) for k in range(3)]
    stack = StackedRings([ring(seed=k) for k in range(3)])
    for k, each in enumerate(stack.rings):  # the masks come after the storage is shared
        fill(each, episodes=((10 + k, False),))
    for _ in range(3):
        together = stack.sample(4)
        for k, each in enumerate(alone):
            one = each.sample(4)._replace(indices=None)
            for a, b in zip(together.agent(k), one, strict=True):
                assert a is b is None or np.array_equal(a, b)
    other = StackedRings([fill(ring(), ((5, False),)), fill(ring(), ((5, False),))])
    assert other.sample(2).mask_t.shape == (2, 2, N_ACTIONS)


def test_rings_with_and_without_masks_are_not_mixed():
    stack = StackedRings([ring(), ring()])
    fill(stack.rings[0])
    for k in range(20):
        stack.rings[1].push([k], 0, 1.0, [k + 1], False)
    with pytest.raises(ConfigError, match="Got masks for agent 0 and none for agent 1"):
        stack.sample(2)


def test_random_actions_are_uniform_over_the_valid_ones():
    masks = np.array([[1, 0, 1, 1], [0, 0, 0, 1], [1, 1, 1, 1]], dtype=bool)
    rng = np.random.default_rng(0)
    counts = np.zeros((3, 4))
    for _ in range(6000):
        counts[np.arange(3), random_actions(rng, masks)] += 1
    assert (counts[~masks] == 0).all()
    expected = np.array([2000, 6000, 1500])
    off = np.abs(counts - expected[:, None])[masks]
    assert off.max() < 5 * np.sqrt(2000)


def test_where_all_is_valid_the_random_numbers_are_those_without_masks():
    for rows in (1, 5):
        one, other = np.random.default_rng(4), np.random.default_rng(4)
        for n_actions in (2, 3, 6, 17):
            found = random_actions(one, np.ones((rows, n_actions), dtype=bool))
            assert found.tolist() == other.integers(n_actions, size=rows).tolist()
        assert one.bit_generator.state == other.bit_generator.state
