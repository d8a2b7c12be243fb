"""The contract of schedules. Inherit `ScheduleContract`, override `schedule`, and run.

class TestMySchedule(ScheduleContract):
    @pytest.fixture
    def schedule(self):
        return "my_module:my_schedule"  # a name, {"name": ..., **parameters}, or the function
"""

from __future__ import annotations

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.nn.components import Component
from reinforcestrategycreator_pipeline.nn.schedules import checked_schedule

SHARES = np.linspace(0.0, 1.0, 101).tolist()
ENDS = [(1.0, 0.05), (0.1, 0.7), (3e-4, 1e-7), (0.25, 0.25)]


class ScheduleContract:
    """The contract of a schedule, one test per promise."""

    @pytest.fixture
    def schedule(self) -> Component:
        raise NotImplementedError("override the fixture schedule")

    @pytest.mark.parametrize(("initial", "final"), ENDS)
    def test_values_are_finite_and_between_0_and_the_larger_end(self, schedule, initial, final):
        largest = max(initial, final) * (1.0 + 1e-12)  # tolerates rounding
        function = checked_schedule(schedule, largest)
        for share in SHARES:
            assert type(function(initial, final, share)) is float

    @pytest.mark.parametrize(("initial", "final"), ENDS)
    def test_the_share_alone_decides(self, schedule, initial, final):
        """Training may resume at any step, so a schedule must not count its calls."""
        forwards, backwards = checked_schedule(schedule), checked_schedule(schedule)
        values = [forwards(initial, final, share) for share in SHARES]
        assert [backwards(initial, final, share) for share in SHARES[::-1]][::-1] == values
        assert [forwards(initial, final, share) for share in SHARES] == values

    def test_shares_beyond_both_ends_are_the_ends(self, schedule):
        function = checked_schedule(schedule)
        for beyond, end in ((-1.0, 0.0), (7.0, 1.0)):
            assert function(1.0, 0.5, beyond) == function(1.0, 0.5, end)

    def test_nan_is_no_share(self, schedule):
        with pytest.raises(ConfigError, match="share parameter of schedule must be a number"):
            checked_schedule(schedule)(1.0, 0.5, float("nan"))

    def test_a_dqn_explores_and_learns_by_it(self, schedule):
        both = {"exploration_schedule": schedule, "learning_rate_schedule": schedule}
        ends = {"exploration_final": 0.1, "learning_rate_final": 1e-5}
        dqn = DQN({"hyperparameters": {**both, **ends}})
        dqn.build((2,), (2,))
        for progress in SHARES:
            dqn.set_progress(progress)
            assert 0.0 <= dqn.exploration_rate <= 1.0
            assert 0.0 <= dqn.learning_rate_scale < np.inf
