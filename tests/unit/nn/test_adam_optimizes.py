"""Adam and AdamW find minima, and take the very steps of torch's and optax's.

Every optimizer of `adam_cases` is tried on every problem in every dtype, so that a new row is
tried everywhere. `frozen/adam_figures.json` holds the foreign weights; the script beside it made
them.
"""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from adam_cases import DTYPES, FROZEN_AT, OPTIMIZERS, PROBLEMS, STEPS

from reinforcestrategycreator_pipeline.nn.adam import Adam, adam_step, flush

FROZEN = json.loads(
    (Path(__file__).parent / "frozen" / "adam_figures.json").read_text(encoding="utf-8")
)
TABLE = list(product(OPTIMIZERS, PROBLEMS, DTYPES))
# Roundings of 100 steps, relative to the weight, or to 1 where it passes through 0.
ROUNDING = {"float64": 1e-13, "float32": 1e-5}


def steps_of(settings, gradient, start, dtype, count, at=lambda adam, t: adam.at(t)):
    """Yield the weights after each of `count` updates by the code under test."""
    w = np.array(start, dtype=dtype)
    m, v, scratch = np.zeros_like(w), np.zeros_like(w), np.empty_like(w)
    adam = Adam(**settings)
    for t in range(1, count + 1):
        adam_step(w, np.array(gradient(w), dtype=dtype), m, v, scratch, at(adam, t))
        flush(m, v, t, adam.beta1, adam.beta2)
        yield w.astype(np.float64)


@pytest.mark.parametrize(("optimizer", "problem", "dtype"), TABLE)
def test_it_finds_the_minimum(optimizer, problem, dtype):
    objective, gradient, start, minimum = PROBLEMS[problem]
    *_, found = steps_of(OPTIMIZERS[optimizer], gradient, start, dtype, STEPS)
    np.testing.assert_allclose(found, minimum, rtol=0, atol=1e-2)
    assert objective(found) < 1e-4 * objective(start)


def test_the_gradients_of_the_problems_are_their_slopes():
    rng = np.random.default_rng(0)
    for objective, gradient, start, minimum in PROBLEMS.values():
        w = rng.normal(size=len(start))
        for i, step in enumerate(1e-5 * np.eye(len(w))):
            slope = (objective(w + step) - objective(w - step)) / 2e-5
            assert gradient(w)[i] == pytest.approx(slope, rel=1e-6)
        assert not np.any(gradient(minimum))


@pytest.mark.parametrize("sign", [1, -1])
def test_decoupled_decay_stops_where_it_balances_the_gradient(sign):
    """The minimum of (w - 1)^2 with decay 1/2 and epsilon 1.

    At rest m = g and v = g^2, so g / (|g| + 1) = -w / 2 with g = -2 (1 - w). For 0 < w < 1 that is
    2 (1 - w) = w / 2 (2 (1 - w) + 1), or w^2 - 7/2 w + 2 = 0: w = (7 - sqrt(17)) / 4 = 0.7192.
    Decay as a part of the gradient (L2) would rest at 2 (1 - w) = w / 2: w = 0.8.
    """
    settings = {"learning_rate": 0.05, "beta1": 0.9, "beta2": 0.99, "epsilon": 1.0}

    def gradient(w):
        return [2.0 * (w[0] - sign)]

    *_, found = steps_of({**settings, "weight_decay": 0.5}, gradient, [0.0], "float64", 2_000)
    assert found[0] == pytest.approx(sign * (7 - np.sqrt(17)) / 4, rel=1e-6)


# -- torch and optax ------------------------------------------------------------------------------


def difference(optimizer, problem, dtype, package, **changed):
    """The largest difference from the package's weights, relative to them, or to 1 near 0."""
    _, gradient, start, _ = PROBLEMS[problem]
    at = changed.pop("at", lambda adam, t: adam.at(t))
    settings = {**OPTIMIZERS[optimizer], **changed}
    after = list(steps_of(settings, gradient, start, dtype, max(FROZEN_AT), at))
    found = np.array([after[t - 1] for t in FROZEN_AT])
    expected = np.array(FROZEN[package][f"{optimizer} | {problem} | {dtype}"])
    assert found.shape == expected.shape
    return np.max(np.abs(found - expected) / np.maximum(np.abs(expected), 1.0))


def test_the_figures_are_those_of_the_table():
    keys = [" | ".join(case) for case in TABLE]
    assert list(FROZEN["torch"]) == list(FROZEN["optax"]) == keys
    assert FROZEN["steps"] == FROZEN_AT
    assert set(FROZEN["versions"]) == {"torch", "optax", "jax"}
    assert (Path(__file__).parent / "frozen" / FROZEN["made_by"]).is_file()


@pytest.mark.parametrize("package", ["torch", "optax"])
@pytest.mark.parametrize(("optimizer", "problem", "dtype"), TABLE)
def test_the_steps_are_those_of(package, optimizer, problem, dtype):
    assert difference(optimizer, problem, dtype, package) < ROUNDING[dtype]


def without_correction(adam, t):
    return adam.at(10**9)


def corrected_as_after(adam, t):
    return adam.at(t + 1)


def with_epsilon_hat(adam, t):
    """Epsilon added to the root before the correction, as in section 2 of the paper."""
    return adam.at(t)._replace(epsilon=adam.epsilon)


@pytest.mark.parametrize("package", ["torch", "optax"])
@pytest.mark.parametrize(
    "planted",
    [
        {"learning_rate": 0.01 * (1 + 1e-9)},
        {"beta1": 0.9 + 1e-9},
        {"beta2": 0.99 + 1e-9},
        {"epsilon": 1.0001e-3},
        {"weight_decay": 0.0},
        {"weight_decay": 0.01 + 1e-9},
        {"at": without_correction},
        {"at": corrected_as_after},
        {"at": with_epsilon_hat},
    ],
)
def test_a_planted_difference_shows(planted, package):
    found = difference("adamw, more decay", "rosenbrock", "float64", package, **planted)
    assert found > 10 * ROUNDING["float64"]
