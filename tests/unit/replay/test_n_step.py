"""Returns of several steps: worked by hand, and against a loop over finished episodes."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.replay.ring import RingReplay


def ring(n_step, gamma=0.5, capacity=1000, dtype=np.float64):
    return RingReplay(capacity, 1, np.random.default_rng(0), dtype, n_step=n_step, gamma=gamma)


def stored(replay):
    """The content in the order of storing, as plain tuples."""
    a = replay.arrays()
    names = ("s_tm1", "a_tm1", "r_t", "s_t", "terminated")
    steps = a["steps"] if replay.n_step > 1 else np.ones(len(replay), int)
    columns = [*(a[name].reshape(-1).tolist() for name in names), steps.tolist()]
    return list(zip(*columns, strict=True))


def play(replay, first_state, rewards, end=None):
    """Push an episode whose states count up; its last step ends it as `end` says."""
    for k, reward in enumerate(rewards):
        last = k == len(rewards) - 1
        s = first_state + k
        replay.push(
            [s], s % 4, reward, [s + 1], last and end == "terminated", last and end == "truncated"
        )


def test_a_terminated_episode_by_hand():
    replay = ring(3)
    play(replay, 0, [1.0, 2.0])
    assert len(replay) == 0
    play(replay, 2, [4.0])
    # 1 + 2/2 + 4/4 = 3 from state 0 to state 3.
    assert stored(replay) == [(0, 0, 3.0, 3, False, 3)]
    play(replay, 3, [8.0], "terminated")
    assert stored(replay)[1:] == [
        (1, 1, 6.0, 4, True, 3),  # 2 + 4/2 + 8/4
        (2, 2, 8.0, 4, True, 2),  # 4 + 8/2
        (3, 3, 8.0, 4, True, 1),
    ]


def test_a_truncated_episode_by_hand():
    replay = ring(3)
    play(replay, 10, [1.0, 2.0, 4.0, 8.0], "truncated")
    # The same sums; the final observation, state 14, is worth what follows it.
    assert stored(replay) == [
        (10, 2, 3.0, 13, False, 3),
        (11, 3, 6.0, 14, False, 3),
        (12, 0, 8.0, 14, False, 2),
        (13, 1, 8.0, 14, False, 1),
    ]


def test_an_end_inside_the_first_window_and_no_bridge_between_episodes():
    replay = ring(4)
    play(replay, 0, [1.0, 2.0], "truncated")
    play(replay, 50, [4.0], "terminated")
    play(replay, 70, [1.0, 1.0, 1.0, 1.0])
    assert stored(replay) == [
        (0, 0, 2.0, 2, False, 2),  # 1 + 2/2
        (1, 1, 2.0, 2, False, 1),
        (50, 2, 4.0, 51, True, 1),
        (70, 2, 1.875, 74, False, 4),
    ]


def test_what_terminates_as_it_is_cut_off_is_terminated():
    replay = ring(2)
    replay.push([0], 0, 1.0, [1], False)
    replay.push([1], 1, 2.0, [2], True, True)
    assert stored(replay) == [(0, 0, 2.0, 2, True, 2), (1, 1, 2.0, 2, True, 1)]


def test_environments_that_end_at_different_times_by_hand():
    replay = ring(2)

    def step(states, rewards, next_states, terminated, truncated):
        as_rows = ([[s] for s in x] for x in (states, next_states))
        s_tm1, s_t = as_rows
        replay.push_many(s_tm1, [0, 1, 2], rewards, s_t, terminated, truncated)

    no = [False] * 3
    step([0, 100, 200], [1, 2, 4], [1, 101, 201], no, [False, False, True])
    # Only the third one ended: one step, not terminated.
    assert stored(replay) == [(200, 2, 4.0, 201, False, 1)]
    step([1, 101, 250], [1, 2, 4], [2, 102, 251], [False, True, False], no)
    assert stored(replay)[1:] == [
        (0, 0, 1.5, 2, False, 2),
        (100, 1, 3.0, 102, True, 2),
        (101, 1, 2.0, 102, True, 1),
    ]
    step([2, 150, 251], [8, 2, 4], [3, 151, 252], no, no)
    assert stored(replay)[4:] == [(1, 0, 5.0, 3, False, 2), (250, 2, 6.0, 252, False, 2)]


def slow_n_step(steps, n, gamma):
    """Transitions by the definition, from the whole record of one environment.

    Each is (the step with which it is complete, its start, the transition).
    """
    found = []
    for t in range(len(steps)):
        total, factor = 0.0, 1.0
        for m in range(1, n + 1):
            if t + m > len(steps):
                break  # not yet complete
            _, _, reward, s_t, terminated, truncated = steps[t + m - 1]
            total += factor * reward
            factor *= gamma
            if m == n or terminated or truncated:
                s, a = steps[t][:2]
                found.append((t + m - 1, t, (s, a, total, s_t, terminated, m)))
                break
    return found


@given(
    n=st.integers(1, 5),
    environments=st.integers(1, 4),
    steps=st.integers(1, 25),
    gamma=st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 2**32),
    single=st.booleans(),
)
def test_any_episodes_against_the_definition(n, environments, steps, gamma, seed, single):
    rng = np.random.default_rng(seed)
    if single:
        environments = 1
    replay = ring(n, gamma)
    s = np.arange(steps * environments).reshape(steps, environments) * 10.0
    a = rng.integers(0, 9, s.shape)
    r = rng.integers(-8, 8, s.shape).astype(float)  # halves of them sum exactly
    ends = rng.random((2, *s.shape)) < 0.15
    for t in range(steps):
        row = (s[t, :, None], a[t], r[t], s[t, :, None] + 1, ends[0, t], ends[1, t])
        if single:
            replay.push(*(x[0] for x in row))
        else:
            replay.push_many(*row)
    expected = []
    for e in range(environments):
        columns = (s[:, e], a[:, e], r[:, e], s[:, e] + 1, ends[0, :, e], ends[1, :, e])
        record = list(zip(*(x.tolist() for x in columns), strict=True))
        found = slow_n_step(record, n, gamma)
        expected += [(done, e, start, transition) for done, start, transition in found]
    expected.sort(key=lambda x: x[:3])
    assert stored(replay) == [x[3] for x in expected]


def test_a_batch_tells_its_steps():
    replay = ring(3, gamma=0.9, dtype=np.float32)
    play(replay, 0, [1.0] * 5, "terminated")
    batch = replay.sample(5)
    assert batch.s_tm1.dtype == batch.r_t.dtype == np.float32
    assert batch.steps.dtype == np.int64
    order = batch.s_tm1[:, 0].argsort()
    assert batch.steps[order].tolist() == [3, 3, 3, 2, 1]
    assert batch.r_t[order].tolist() == pytest.approx([2.71, 2.71, 2.71, 1.9, 1.0])
    assert batch.terminated[order].tolist() == [False, False, True, True, True]


def test_rewards_are_summed_in_float64():
    replay = ring(3, gamma=1.0, dtype=np.float32)
    play(replay, 0, [2.0**24, 1.0, 1.0])  # in float32, 2^24 + 1 + 1 stays 2^24
    assert replay.sample(1).r_t.tolist() == [2.0**24 + 2]


def test_what_was_pushed_is_copied():
    replay, state = ring(2), np.zeros((1, 1))
    replay.push_many(state, [0], [1.0], state + 1, [False], [False])
    state[:] = 7.0
    replay.push_many(state, [0], [1.0], state + 1, [False], [False])
    assert replay.sample(1).s_tm1.tolist() == [[0.0]]


def test_other_environments_cannot_go_on_with_what_waits():
    replay = ring(3)
    play(replay, 0, [1.0, 2.0, 4.0])  # of which the first is complete
    two = ([[5], [6]], [0, 0], [1.0, 1.0], [[7], [8]], [True, True], [False, False])
    with pytest.raises(
        ConfigError, match=r"2 environments while steps of 1 are pending \(2 of them\)"
    ):
        replay.push_many(*two)
    play(replay, 3, [8.0], "terminated")  # the window is as it was
    assert [row[2] for row in stored(replay)] == [3.0, 6.0, 8.0, 8.0]
    replay.push_many(*two)  # now nothing waits
    assert [row[0] for row in stored(replay)] == [0, 1, 2, 3, 5, 6]


def test_dropped_steps_are_forgotten():
    replay = ring(2)
    play(replay, 0, [1.0])
    replay.drop_pending()
    play(replay, 50, [1.0, 1.0])
    assert stored(replay) == [(50, 2, 1.5, 52, False, 2)]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"n_step": 0}, "n_step"),
        ({"n_step": 1.5}, "n_step"),
        ({"gamma": 1.1}, "gamma"),
        ({"gamma": -0.1}, "gamma"),
    ],
)
def test_wrong_parameters_are_refused(options, name):
    with pytest.raises(ConfigError, match=f"The {name} parameter of RingReplay must be"):
        RingReplay(5, 1, np.random.default_rng(0), **options)


def vector_step(replay, t):
    """A step of three environments; every fifth step one of them ends."""
    rng = np.random.default_rng(t)
    states = rng.normal(size=(3, 1))
    ends = np.arange(3) == t % 5
    none = np.zeros(3, dtype=bool)
    how = (none, ends) if t % 2 else (ends, none)
    replay.push_many(states, [0, 1, 2], rng.normal(size=3), states + 1, *how)


@pytest.mark.parametrize("stopped", range(9))
def test_restored_windows_go_on_as_if_they_had_never_stopped(stopped):
    original, restored = ring(4, 0.97, capacity=20), ring(4, 0.97, capacity=20)
    vector_step(restored, 99)  # forgotten
    for t in range(stopped):
        vector_step(original, t)
    restored.restore({name: array.copy() for name, array in original.arrays().items()})
    twin = copy.deepcopy(original)
    for t in range(stopped, stopped + 20):
        for replay in (original, restored, twin):
            vector_step(replay, t)
        expected = original.arrays()
        for replay in (restored, twin):
            arrays = replay.arrays()
            assert list(arrays) == list(expected)
            assert all(arrays[name].tobytes() == expected[name].tobytes() for name in arrays)


def test_windows_of_another_kind_are_refused():
    source = ring(4)
    vector_step(source, 0)
    arrays = source.arrays()
    with pytest.raises(
        ConfigError, match=r"windows of 3 steps must have pending of shape \(3, 3\)"
    ):
        ring(3).restore(arrays)
    with pytest.raises(ConfigError, match="this one has n_step 1"):
        ring(1).restore(arrays)
    cut = {name: array for name, array in arrays.items() if name != "window.returns"}
    with pytest.raises(ConfigError, match=r"must have returns of shape .* Got nothing"):
        ring(4).restore(cut)


@pytest.mark.parametrize("n_step", [1, 3])
def test_absent_environments_do_nothing(n_step):
    # The second environment of two ends and is reset in the next step, which is no transition.
    replay = ring(n_step)
    s = np.array([[0.0], [100.0]])
    no = np.zeros(2, bool)
    replay.push_many(s, [0, 1], [1.0, 2.0], s + 1, [False, True], no)
    absent = np.array([True, False])
    replay.push_many(s + 1, [0, 1], [2.0, 9.0], s + 2, no, no, present=absent)
    replay.push_many(s + 2, [0, 1], [4.0, 4.0], s + 3, no, [True, True])
    expected = {
        1: [
            (0, 0, 1.0, 1, False, 1),
            (100, 1, 2.0, 101, True, 1),
            (1, 0, 2.0, 2, False, 1),
            (2, 0, 4.0, 3, False, 1),
            (102, 1, 4.0, 103, False, 1),
        ],
        3: [
            (100, 1, 2.0, 101, True, 1),
            (0, 0, 3.0, 3, False, 3),  # 1 + 2/2 + 4/4
            (1, 0, 4.0, 3, False, 2),  # 2 + 4/2
            (2, 0, 4.0, 3, False, 1),
            (102, 1, 4.0, 103, False, 1),
        ],
    }
    assert stored(replay) == expected[n_step]


def test_steps_of_some_environments_can_be_dropped():
    replay = ring(2)
    s, no = np.array([[0.0], [100.0]]), np.zeros(2, bool)
    replay.push_many(s, [0, 1], [1.0, 2.0], s + 1, no, no)
    replay.drop_pending([1])
    replay.push_many(s + 1, [0, 1], [2.0, 4.0], s + 2, no, no)
    assert stored(replay) == [(0, 0, 2.0, 2, False, 2)]
