"""The contract of losses. Inherit `LossContract`, override the fixture `name`, and run.

class TestMyLoss(LossContract):
    @pytest.fixture
    def name(self):
        return "my_module:my_loss"

    @pytest.fixture
    def largest_error(self):  # only for a loss that overflows float32 before 1e30
        return 1e18
"""

from __future__ import annotations

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.nn.losses import LOSSES

H = 1e-6


class LossContract:
    """The contract of a loss, one test per promise."""

    @pytest.fixture
    def name(self) -> str:
        raise NotImplementedError("override the fixture name")

    @pytest.fixture
    def delta(self) -> float:
        return 1.0

    @pytest.fixture
    def largest_error(self) -> float:
        """Return the size of errors up to which float32 must not overflow."""
        return 1e30

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_shape_and_dtype_are_the_errors(self, name, delta, dtype):
        for shape in ((0,), (5,), (4, 3), (2, 3, 4)):
            error = np.ones(shape, dtype)
            for result in LOSSES.build(name)(error, delta):
                assert (result.shape, result.dtype) == (shape, error.dtype)

    def test_derivative_agrees_with_central_differences(self, name, delta):
        # Slightly off the round numbers, where a loss may have kinks.
        error = np.linspace(-4.0, 4.0, 81) * delta + 1e-3 * delta
        step = H * delta
        loss = LOSSES.build(name)
        slope = (loss(error + step, delta)[0] - loss(error - step, delta)[0]) / (2 * step)
        _, derivatives = loss(error, delta)
        assert np.abs(derivatives - slope).max() < 1e-7 * np.abs(slope).max()
        assert derivatives.any()

    def test_element_by_element(self, name, delta):
        error = np.random.default_rng(0).normal(size=(4, 5)) * 2 * delta
        values, derivatives = LOSSES.build(name)(error, delta)
        for i in np.ndindex(error.shape):
            value, derivative = LOSSES.build(name)(error[i].reshape(1), delta)
            assert (value[0], derivative[0]) == (values[i], derivatives[i])

    def test_no_error_costs_nothing_and_more_error_costs_more(self, name, delta):
        error = np.linspace(0.0, 5.0, 101) * delta
        for sign in (1.0, -1.0):
            values, derivatives = LOSSES.build(name)(sign * error, delta)
            assert values[0] == derivatives[0] == 0.0
            assert (np.diff(values) > 0).all()
            assert (sign * derivatives[1:] >= 0).all()

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_nan_is_not_hidden_and_stays_where_it_is(self, name, delta, dtype):
        for result in LOSSES.build(name)(np.array([0.5, np.nan, -7.0], dtype), delta):
            assert np.isnan(result).tolist() == [False, True, False]

    def test_large_errors_do_not_overflow_float32(self, name, delta, largest_error):
        error = np.array([largest_error, -largest_error], np.float32)
        for result in LOSSES.build(name)(error, delta):
            assert np.isfinite(result).all()

    def test_the_error_is_left_alone_and_the_results_are_new(self, name, delta):
        error = np.linspace(-2.0, 2.0, 9)
        before = error.copy()
        first = LOSSES.build(name)(error, delta)
        kept = [result.copy() for result in first]
        second = LOSSES.build(name)(error, delta)
        arrays = [error, *first, *second]
        for i, one in enumerate(arrays):
            assert not any(np.shares_memory(one, other) for other in arrays[i + 1 :])
        for result in (*first, *second):
            result[...] = 99.0
        assert error.tobytes() == before.tobytes()
        again = LOSSES.build(name)(error, delta)
        assert [a.tobytes() for a in again] == [k.tobytes() for k in kept]
