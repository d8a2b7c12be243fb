"""The losses by hand, against a foreign autodiff, and the contract; and that the contract bites."""

import math

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import elementwise_grad

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.nn.losses import LOSSES, huber, loss, squared
from reinforcestrategycreator_pipeline.testing.loss_contract import LossContract


class TestSquared(LossContract):
    @pytest.fixture
    def name(self):
        return "squared"

    @pytest.fixture
    def largest_error(self):
        return 1e19


@pytest.mark.parametrize("delta", [1e-3, 1.0, 2.5, 1e3])
class TestHuber(LossContract):
    @pytest.fixture
    def name(self):
        return "huber"


def test_every_registered_loss_is_in_the_suite():
    """A new one: add a class above."""
    assert set(LOSSES) == {"squared", "huber"}


def test_squared_by_hand():
    values, derivatives = squared(np.array([-3.0, 0.0, 0.5]), 1.0)
    assert values.tolist() == [9.0, 0.0, 0.25]
    assert derivatives.tolist() == [-6.0, 0.0, 1.0]


def test_huber_by_hand():
    # delta = 2. Within: e^2 / 2; at the edge 2; beyond: 2 (|e| - 1).
    error = np.array([-5.0, -2.0, -1.0, 0.0, 0.5, 2.0, 3.0])
    values, derivatives = huber(error, 2.0)
    assert values.tolist() == [8.0, 2.0, 0.5, 0.0, 0.125, 2.0, 4.0]
    assert derivatives.tolist() == [-2.0, -2.0, -1.0, 0.0, 0.5, 2.0, 2.0]


FOREIGN = {
    "squared": lambda e, delta: e**2,
    "huber": lambda e, delta: anp.where(
        anp.abs(e) <= delta, 0.5 * e**2, delta * (anp.abs(e) - 0.5 * delta)
    ),
}


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-6)])
@pytest.mark.parametrize("delta", [0.3, 1.0, 7.0])
@pytest.mark.parametrize("name", FOREIGN)
def test_agrees_with_autograd(name, delta, dtype, tolerance):
    error = (3 * np.random.default_rng(0).normal(size=500)).astype(dtype)
    values, derivatives = LOSSES.build(name)(error, delta)
    double = error.astype(np.float64)
    np.testing.assert_allclose(values, FOREIGN[name](double, delta), rtol=tolerance)
    slopes = elementwise_grad(FOREIGN[name])(double, delta)
    np.testing.assert_allclose(derivatives, slopes, rtol=tolerance)


def test_huber_of_a_huge_error_is_its_line():
    # 0.5 (|e| - 0.25) is |e| / 2 to float32's last bit; the square would be infinite.
    values, derivatives = huber(np.array([1e30, -3e38], np.float32), 0.5)
    assert values.tolist() == np.array([0.5e30, 1.5e38], np.float32).tolist()
    assert derivatives.tolist() == [0.5, -0.5]


def test_squared_of_a_huge_error_is_infinite_and_says_so():
    with pytest.warns(RuntimeWarning, match="overflow"):
        values, derivatives = squared(np.array([2e19], np.float32), 1.0)
    assert values[0] == np.inf
    assert np.isfinite(derivatives).all()


@loss
def log_cosh(error, delta):
    size = np.abs(error)
    return size + np.log1p(np.exp(-2 * size)) - math.log(2), np.tanh(error)


@loss
def scaled(error, delta, scale=1.0):
    values, derivatives = huber(error, delta)
    scale = error.dtype.type(scale)
    return scale * values, scale * derivatives


class TestLossWithAParameter(LossContract):
    @pytest.fixture
    def name(self):
        return {"name": f"{__name__}:scaled", "scale": 2.0}


def test_a_parameter_is_filled_in_and_an_unknown_one_refused():
    error = np.array([0.5])
    doubled = LOSSES.build({"name": f"{__name__}:scaled", "scale": 2.0})
    assert doubled(error, 1.0)[0] == 2 * huber(error, 1.0)[0]
    with pytest.raises(ConfigError, match=r"has no parameter 'scael'. Did you mean 'scale'\?"):
        LOSSES.build({"name": f"{__name__}:scaled", "scael": 2.0})


class TestLossFromOutside(LossContract):
    @pytest.fixture
    def name(self):
        return f"{__name__}:log_cosh"


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match=r"unknown loss 'hubber'. Did you mean 'huber'\?"):
        LOSSES.build("hubber")
    with pytest.raises(ConfigError, match="must be a class or function"):
        LOSSES.build(f"{__name__}:FOREIGN")


CONTRACT = LossContract()
NAN_IS_NOT_HIDDEN = CONTRACT.test_nan_is_not_hidden_and_stays_where_it_is


@pytest.fixture
def plant(monkeypatch):
    def add(broken):
        monkeypatch.setitem(LOSSES._members, "broken", broken)
        return "broken"

    return add


def test_the_contract_sees_a_derivative_that_is_off_by_a_millionth(plant):
    with pytest.raises(AssertionError):
        CONTRACT.test_derivative_agrees_with_central_differences(
            plant(lambda e, d: (e * e, 2.000002 * e)), 1.0
        )


def test_the_contract_sees_hidden_nan(plant):
    def broken(e, d):
        inside = np.abs(e) <= d
        values = np.where(inside, 0.5 * e * e, d * (np.fmax(np.abs(e), d) - 0.5 * d))
        return values, np.fmax(np.fmin(e, d), -d)

    with pytest.raises(AssertionError):
        NAN_IS_NOT_HIDDEN(plant(broken), 1.0, "float64")


def test_the_contract_sees_an_overflow(plant):
    def broken(e, d):
        with np.errstate(all="ignore"):
            values = np.where(np.abs(e) <= d, 0.5 * e * e, 0.5 * e * e - 0.5 * (abs(e) - d) ** 2)
        return values, e.clip(-d, d)

    with pytest.raises(AssertionError):
        CONTRACT.test_large_errors_do_not_overflow_float32(plant(broken), 1.0, 1e30)


def test_the_contract_sees_a_mean_and_another_dtype_and_a_view(plant):
    with pytest.raises(AssertionError):
        CONTRACT.test_element_by_element(plant(lambda e, d: (e * e / e.size, 2 * e / e.size)), 1.0)
    with pytest.raises(AssertionError):
        CONTRACT.test_shape_and_dtype_are_the_errors(
            plant(lambda e, d: (e * e, np.float64(2) * e)), 1.0, "float32"
        )
    with pytest.raises(AssertionError):
        CONTRACT.test_the_error_is_left_alone_and_the_results_are_new(
            plant(lambda e, d: (0.5 * e * e, e)), 1.0
        )
    with pytest.raises(AssertionError):
        CONTRACT.test_no_error_costs_nothing_and_more_error_costs_more(
            plant(lambda e, d: (-e * e, -2 * e)), 1.0
        )
