"""One rule for rewards, flags and actions, wherever they come from."""

import math

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError
from reinforcestrategycreator_pipeline.replay.ring import RingReplay
from reinforcestrategycreator_pipeline.replay.values import one_action, one_flag, one_number

HALF = [0.5, np.float64(0.5), np.float32(0.5), np.array(0.5), np.array([0.5]), np.array([[0.5]])]
ONE = [1, True, np.True_, np.int64(1), np.uint8(1), np.array([1]), np.float16(1.0)]
NO_NUMBER = [None, "1", b"1", [0.5], (0.5,), [], {}, 1j, np.array([]), np.array([1.0, 2.0])]
NO_NUMBER += [np.array([None]), np.array(["1"]), np.array([1j]), object(), np.datetime64(1, "s")]


@pytest.mark.parametrize("value", HALF)
def test_one_number_of_any_kind(value):
    found = one_number(value, "the reward")
    assert (type(found), found) == (float, 0.5)


@pytest.mark.parametrize("value", ONE)
def test_integers_and_bools_are_numbers(value):
    found = one_number(value, "the reward")
    assert (type(found), found) == (float, 1.0)


def test_an_integer_beyond_all_floats_is_infinite():
    assert one_number(-(10**400), "the reward") == -math.inf


@pytest.mark.parametrize("value", NO_NUMBER)
def test_what_is_no_number(value):
    with pytest.raises(ConfigError, match=r"the reward must be one real number .*Got ") as caught:
        one_number(value, "the reward")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [True, np.True_, np.array(True), np.array([True])])
def test_one_flag_of_any_kind(value):
    assert one_flag(value, "terminated") is True


@pytest.mark.parametrize("value", [1, 0.0, "False", None, [True], np.int8(1), np.array([1.0])])
def test_what_is_no_flag(value):
    with pytest.raises(ConfigError, match=r"terminated must be one bool .*Got "):
        one_flag(value, "terminated")


@pytest.mark.parametrize("value", [2, np.int64(2), np.uint8(2), np.array(2)])
def test_an_action(value):
    assert one_action(value, 3) == 2
    assert one_action(value, None) == 2


@pytest.mark.parametrize("value", [3, -1, 1.0, np.float32(1), "1", None, True, np.True_, [1]])
def test_what_is_no_action(value):
    with pytest.raises(ConfigError, match=r"an action must be an integer from 0 to 2\. Got "):
        one_action(value, 3)


def replay(n_step=1, dtype="float32"):
    rng = np.random.default_rng(0)
    return RingReplay(10, 1, rng, dtype, 3, n_step=n_step, gamma=1.0)


STATE = np.zeros(1)
BAD_REWARDS = [(value, NonFiniteError) for value in (math.nan, math.inf, -math.inf, 1e39, -1e39)]
BAD_REWARDS += [(value, ConfigError) for value in (None, "1", [1.0])]


@pytest.mark.parametrize("n_step", [1, 2])
@pytest.mark.parametrize(("reward", "error"), BAD_REWARDS)
def test_a_bad_reward_is_not_stored(n_step, reward, error):
    ring = replay(n_step)
    ring.push(STATE, 0, 1.0, STATE, False)
    before = {name: array.tobytes() for name, array in ring.arrays().items()}
    with pytest.raises(error):
        ring.push(STATE, 0, reward, STATE, False)
    column = np.array([1.0, reward], dtype=None if error is NonFiniteError else object)
    with pytest.raises(error):
        ring.push_many([STATE] * 2, [0, 0], column, [STATE] * 2, [False] * 2, [False] * 2)
    assert {name: array.tobytes() for name, array in ring.arrays().items()} == before


def test_what_float64_holds_is_stored_there():
    ring = replay(dtype="float64")
    ring.push(STATE, 0, 1e39, STATE, False)
    assert ring.arrays()["r_t"].tolist() == [1e39]


def test_rewards_that_fit_and_whose_sum_does_not():
    ring = replay(n_step=2)
    ring.push(STATE, 0, 3e38, STATE, False)
    with pytest.raises(NonFiniteError, match=r"6e\+38 does not fit float32, whose limit is 3\.4"):
        ring.push(STATE, 0, 3e38, STATE, False)


def test_a_reward_of_an_environment_that_was_only_reset_does_not_count():
    ring = replay()
    present = np.array([True, False])
    row = ([STATE] * 2, [0, 0], [1.0, math.nan], [STATE] * 2, [False] * 2, [False] * 2)
    ring.push_many(*row, present=present)
    assert ring.arrays()["r_t"].tolist() == [1.0]


@pytest.mark.parametrize("flags", [[0, 1], ["", "x"], [None, True]])
def test_flags_of_many_must_be_bools(flags):
    for terminated, truncated in ((flags, [False] * 2), ([False] * 2, flags)):
        with pytest.raises(ConfigError, match="terminated and truncated must be bools"):
            replay().push_many([STATE] * 2, [0, 0], [1.0, 1.0], [STATE] * 2, terminated, truncated)
