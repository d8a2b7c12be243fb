"""The moves on the grid that lead towards a baseline."""

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.envs.grid import toward


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        # A row for each old target, a column for each new one.
        (0, ["1000", "1100", "1110", "1111"]),
        (1, ["1100", "0100", "0110", "0111"]),
        (2, ["1110", "0110", "0010", "0011"]),
        (3, ["1111", "0111", "0011", "0001"]),
    ],
)
def test_a_move_towards_the_baseline_ends_between_it_and_the_old_target(baseline, expected):
    found = toward(4, baseline)
    assert found.dtype == np.bool_
    assert ["".join(str(int(x)) for x in row) for row in found] == expected


def test_of_two_targets_only_staying_and_the_move_to_the_baseline_are():
    assert toward(2, 0).tolist() == [[True, False], [True, True]]
    assert toward(2, 1).tolist() == [[True, True], [False, True]]
