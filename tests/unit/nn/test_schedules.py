"""The schedules by hand, at their ends, and what they refuse."""

import math

import numpy as np
import pytest

from reinforcestrategycreator_pipeline import schedule as declare
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.nn.schedules import SCHEDULES, checked_schedule
from reinforcestrategycreator_pipeline.testing.schedule_contract import ScheduleContract


def schedule(kind, *arguments):
    return checked_schedule(kind)(*arguments)


@pytest.mark.parametrize("kind", ["constant", "linear", "cosine", "exponential"])
class TestShipped(ScheduleContract):
    @pytest.fixture
    def schedule(self, kind):
        return kind


def test_every_registered_schedule_is_in_the_suite():
    """A new one: add its name above."""
    assert set(SCHEDULES) == {"constant", "linear", "cosine", "exponential"}


@declare
def steps(initial, final, share, at=0.5):
    return initial if share < at else final


class TestWithAParameter(ScheduleContract):
    @pytest.fixture
    def schedule(self):
        return {"name": f"{__name__}:steps", "at": 0.25}

    def test_it_is_filled_in(self, schedule):
        assert checked_schedule(schedule)(1.0, 0.5, 0.3) == 0.5
        assert checked_schedule(f"{__name__}:steps")(1.0, 0.5, 0.3) == 1.0


class TestAFunctionItself(ScheduleContract):
    @pytest.fixture
    def schedule(self):
        return lambda initial, final, share: (
            initial + share * (final - initial) ** 2 / (final - initial or 1.0)
        )


class Counting:
    """A schedule that goes by its calls, not by the share."""

    def __init__(self):
        self.calls = 0

    def __call__(self, initial, final, share):
        self.calls += 1
        return initial / self.calls


def test_the_contract_catches_a_schedule_that_counts():
    with pytest.raises(AssertionError):
        ScheduleContract().test_the_share_alone_decides(Counting(), 1.0, 0.5)


@pytest.mark.parametrize("value", [2.0, -1, math.nan, math.inf, "much", None])
def test_what_a_schedule_must_not_return_is_refused_by_its_name(value):
    def broken(initial, final, share):
        return value

    with pytest.raises(ConfigError, match=r"schedule '.*broken' must return .* in \[0, 1\]\. Got"):
        checked_schedule(broken, largest=1.0)(1.0, 0.1, 0.5)
    if value != 2.0:
        with pytest.raises(ConfigError, match=r"schedule '.*broken' must return .* >= 0\. Got"):
            checked_schedule(broken)(1.0, 0.1, 0.5)


# From 1 to 1/16; cos(pi / 3) = 1/2 and cos(pi / 2) = 0.
BY_HAND = {
    ("constant", 0.25): 1.0,
    ("linear", 0.25): 1 - 15 / 64,
    ("linear", 0.5): 17 / 32,
    ("cosine", 1 / 3): 1 / 16 + 15 / 16 * 3 / 4,
    ("cosine", 0.5): 17 / 32,
    ("exponential", 0.25): 1 / 2,
    ("exponential", 0.5): 1 / 4,
    ("exponential", 0.75): 1 / 8,
}


@pytest.mark.parametrize(("kind", "share"), BY_HAND)
def test_by_hand(kind, share):
    expected = BY_HAND[kind, share]
    assert schedule(kind, 1.0, 1 / 16, share) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("kind", ["linear", "cosine", "exponential"])
@pytest.mark.parametrize(("initial", "final"), [(1.0, 0.05), (0.1, 0.7), (3e-4, 1e-7), (1e-9, 0.3)])
def test_both_ends_are_exact_and_nothing_is_beyond(kind, initial, final):
    for share in (0.0, -0.0, -1.0, -math.inf):
        assert schedule(kind, initial, final, share) == initial
    for share in (1.0, 1.0 + 1e-9, 7.0, math.inf):
        assert schedule(kind, initial, final, share) == final
    values = [schedule(kind, initial, final, s) for s in np.linspace(0, 1, 1001)]
    assert min(values) >= min(initial, final)
    assert max(values) <= max(initial, final)
    steps = np.diff(values) * np.sign(final - initial)
    assert (steps > 0).all()


def test_what_is_constant_stays_where_it_began():
    assert {schedule("constant", 0.3, 0.1, s) for s in (-1, 0, 0.5, 1, 2)} == {0.3}


@pytest.mark.parametrize("kind", ["constant", "linear", "cosine", "exponential"])
def test_equal_ends_are_constant(kind):
    for share in (0.0, 0.25, 1.0):
        assert schedule(kind, 0.25, 0.25, share) == pytest.approx(0.25, rel=1e-15)
        value = schedule(kind, np.float32(0.25), 0.25, np.float64(share))
        assert type(value) is float


def test_zero_may_be_an_end_but_for_exponential():
    assert schedule("linear", 1.0, 0.0, 0.75) == 0.25
    assert schedule("cosine", 1.0, 0.0, 0.5) == pytest.approx(0.5)
    for ends in ((1.0, 0.0), (1.0, -0.5)):
        message = r"The final parameter of schedule 'exponential' must be > 0. Got (0.0|-0.5) inst"
        with pytest.raises(ConfigError, match=message):
            schedule("exponential", *ends, 0.5)
    with pytest.raises(ConfigError, match="The initial parameter of schedule 'exponential' must"):
        schedule("exponential", 0.0, 1.0, 0.5)
    with pytest.raises(ConfigError, match="Got nan instead"):
        schedule("exponential", 1.0, math.nan, 0.5)


def test_an_exponential_over_the_whole_range_of_floats():
    assert schedule("exponential", 1e-300, 1e300, 0.5) == pytest.approx(1.0, rel=1e-12)


def test_nan_is_no_share():
    for kind in SCHEDULES:
        with pytest.raises(ConfigError, match="The share parameter of schedule must be a number"):
            schedule(kind, 1.0, 0.5, math.nan)


@declare
def halves(initial, final, share):
    return initial if share < 0.5 else final


def test_a_schedule_from_outside_and_an_unknown_one():
    assert schedule(f"{__name__}:halves", 3, 2, 0.4) == 3.0
    assert schedule(f"{__name__}:halves", 3, 2, 9.0) == 2.0
    with pytest.raises(ConfigError, match=r"unknown schedule 'linaer'. Did you mean 'linear'"):
        schedule("linaer", 1.0, 0.0, 0.5)
