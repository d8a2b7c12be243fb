"""Adam against a plain reference, its first step by hand, and what it must not do."""

import doctest
import math

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.nn import adam
from reinforcestrategycreator_pipeline.nn.adam import (
    BLOCK,
    FLUSH_INTERVAL,
    Adam,
    adam_step,
    flush,
)

PAPER = {"learning_rate": 1e-3, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}


class Optimised:
    """Parameters with their moments, stepped by the code under test."""

    def __init__(self, start, dtype="float64"):
        self.w = np.array(start, dtype=dtype)
        self.m, self.v = np.zeros_like(self.w), np.zeros_like(self.w)
        self.scratch = np.empty(min(BLOCK, self.w.size), dtype=dtype)
        self.t = 0

    def step(self, gradient, **settings):
        self.t += 1
        g = np.asarray(gradient, dtype=self.w.dtype)
        parts = (self.w, g, self.m, self.v, self.scratch)
        settings = {**PAPER, **settings}
        adam_step(*parts, Adam(**settings).at(self.t))
        flush(self.m, self.v, self.t, settings["beta1"], settings["beta2"])


def paper_adam(w, gradients, learning_rate, beta1, beta2, epsilon, correct_bias=True):
    """Algorithm 1 of arXiv:1412.6980, line by line, in float64."""
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat = m / (1 - beta1**t) if correct_bias else m
        v_hat = v / (1 - beta2**t) if correct_bias else v
        w = w - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon)
    return w, m, v


def gradients_of_many_scales(steps, dtype=np.float64):
    """Noisy gradients with a drift, from 1e-9 (below epsilon) to 1e4 in size, one a column."""
    rng = np.random.default_rng(11)
    scales = np.array([1e-9, 1e-8, 1e-6, 1e-3, 1.0, 30.0, 1e4])
    return ((rng.normal(size=(steps, 7)) + 0.3) * scales).astype(dtype)


def worst(w, m, v, expected):
    pairs = zip((w, m, v), expected, strict=True)
    return [float(np.max(np.abs(a - b) / np.abs(b))) for a, b in pairs]


SETTINGS = [PAPER, {"learning_rate": 0.02, "beta1": 0.5, "beta2": 0.95, "epsilon": 1e-4}]


@pytest.mark.parametrize("settings", SETTINGS)
def test_ten_thousand_steps_in_float64_agree_with_the_paper(settings):
    gradients = gradients_of_many_scales(10_000)
    start = np.linspace(-1, 1, 7)
    ours = Optimised(start)
    for g in gradients:
        ours.step(g, **settings)
    expected = paper_adam(start, gradients, **settings)
    # Each step rounds w by half a unit in the last place (1.1e-16): at most 1e-12 in 10,000.
    assert max(worst(ours.w, ours.m, ours.v, expected)) < 1e-12


@pytest.mark.parametrize("settings", SETTINGS)
def test_ten_thousand_steps_in_float32_stay_within_1e_4_of_the_float64_reference(settings):
    gradients = gradients_of_many_scales(10_000, np.float32)
    start = np.linspace(-1, 1, 7).astype(np.float32)
    ours = Optimised(start, "float32")
    for g in gradients:
        ours.step(g, **settings)
    assert ours.w.dtype == ours.m.dtype == ours.v.dtype == np.float32
    w, m, v = worst(ours.w, ours.m, ours.v, paper_adam(start.astype(float), gradients, **settings))
    # beta2 rounded to float32 is off by 1.3e-8, which v's memory of 1,000 steps makes 1.3e-5.
    assert w < 1e-4
    assert m < 1e-5
    assert v < 1e-4


def test_the_comparison_sees_small_mistakes():
    gradients = gradients_of_many_scales(10_000)
    start = np.linspace(-1, 1, 7)
    right = paper_adam(start, gradients, **PAPER)
    for planted in (
        {**PAPER, "correct_bias": False},
        {**PAPER, "beta2": 0.999 + 1e-9},
        {**PAPER, "epsilon": 1.001e-8},
    ):
        assert max(worst(*paper_adam(start, gradients, **planted), right)) > 1e-8


@pytest.mark.parametrize("g", [1e-12, 1e-8, 1e-5, 1.0, 1e6])
def test_the_first_step_is_the_learning_rate_times_g_over_abs_g_plus_epsilon(g):
    # t = 1: m_hat = g and v_hat = g^2, whatever the betas.
    ours = Optimised([0.0, 0.0])
    ours.step([g, -g])
    expected = 1e-3 * g / (g + 1e-8)
    np.testing.assert_allclose(ours.w, [-expected, expected], rtol=1e-13)
    np.testing.assert_allclose(ours.m, [0.1 * g, -0.1 * g], rtol=1e-15)
    np.testing.assert_allclose(ours.v, [0.001 * g * g] * 2, rtol=1e-12)


def test_the_example_of_the_docstring_is_true():
    found = doctest.testmod(adam)
    assert (found.attempted, found.failed) == (5, 0)


def test_epsilon_is_added_to_the_corrected_root():
    # |g| = 1e-5, eps = 1e-8: 1 / (1 + 1e-3) = 0.999001 of the learning rate (optax, torch). Added
    # to the root before its correction (scikit-learn; the paper's "epsilon hat") it acts as
    # eps / sqrt(1 - beta2) = 3.16e-7: 1 / (1 + 0.0316) = 0.969347, which is 3% less.
    ours = Optimised([0.0])
    ours.step([1e-5])
    share = -ours.w[0] / 1e-3
    assert share == pytest.approx(1 / 1.001, rel=1e-12)
    assert share != pytest.approx(1 / (1 + 1e-3 / math.sqrt(1 - 0.999)), rel=0.02)


def test_the_bias_correction_is_computed_in_float64():
    # 1 - float32(0.999) = 0.00099998713: sqrt of that would move the first step by 6.4e-6.
    ours = Optimised([0.0], "float32")
    ours.step([1.0])
    assert float(ours.w[0]) == pytest.approx(-1e-3, rel=2e-7)


def test_blocks_do_not_change_a_bit():
    rng = np.random.default_rng(12)
    n = 2 * BLOCK + 777
    start, gradients = rng.normal(size=n), rng.normal(size=(3, n))
    whole = Optimised(start, "float32")
    parts = [Optimised(piece, "float32") for piece in np.array_split(start, 7)]
    for g in gradients:
        whole.step(g)
        for part, piece in zip(parts, np.array_split(g, 7), strict=True):
            part.step(piece)
    assert whole.w.tobytes() == np.concatenate([p.w for p in parts]).tobytes()
    assert whole.v.tobytes() == np.concatenate([p.v for p in parts]).tobytes()


def test_the_gradient_is_not_changed():
    ours = Optimised([1.0, 2.0])
    g = np.array([0.5, -0.5])
    adam_step(ours.w, g, ours.m, ours.v, ours.scratch, Adam(**PAPER).at(1))
    assert g.tolist() == [0.5, -0.5]


def subnormal(x):
    return int(np.count_nonzero((x != 0) & (np.abs(x) < np.finfo(x.dtype).tiny)))


@pytest.mark.parametrize("beta2", [0.999, 0.9])
def test_moments_of_dead_units_never_become_denormal(beta2):
    ours = Optimised(np.zeros(6), "float32")
    ours.step([1.0, 1e-3, 1e-8, 1e-14, -1.0, 0.0])
    for _ in range(6_000):
        ours.step(np.zeros(6), beta2=beta2)
        assert subnormal(ours.m) == subnormal(ours.v) == 0, ours.t
    assert not ours.m.any()  # 0.9^6,000 has long been below the flush


def test_without_the_flush_they_would():
    m = np.float32(0.1)
    seen = 0
    for _ in range(2_000):
        m = np.float32(m * np.float32(0.9))
        seen += subnormal(np.array([m]))
    assert seen > 100  # it even stays there: 0.9 times the least denormals rounds to themselves


def test_the_flush_changes_no_moment_that_matters():
    ours = Optimised(np.zeros(2), "float32")
    ours.t = FLUSH_INTERVAL - 1
    ours.m[:], ours.v[:] = [2e-30, -2e-30], [2e-30, 2e-30]
    ours.step([0.0, 0.0])
    assert ours.t == FLUSH_INTERVAL
    np.testing.assert_allclose(ours.m, [1.8e-30, -1.8e-30], rtol=1e-6)
    np.testing.assert_allclose(ours.v, [1.998e-30] * 2, rtol=1e-6)
