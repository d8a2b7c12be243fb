"""What Adam is tried on: one table of optimizers, problems and dtypes, for tests and figures.

`frozen/adam_figures.py` runs the same table with torch and optax.
"""

OPTIMIZERS = {
    "adam": {
        "learning_rate": 0.1,
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
        "weight_decay": 0.0,
    },
    "adam, other betas": {
        "learning_rate": 0.01,
        "beta1": 0.5,
        "beta2": 0.95,
        "epsilon": 1e-3,
        "weight_decay": 0.0,
    },
    "adamw": {
        "learning_rate": 0.1,
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
        "weight_decay": 1e-4,
    },
    "adamw, more decay": {
        "learning_rate": 0.01,
        "beta1": 0.9,
        "beta2": 0.99,
        "epsilon": 1e-3,
        "weight_decay": 0.01,
    },
}


def parabola(w):
    """The squared distance from (1, -1, 1)."""
    return (w[0] - 1.0) ** 2 + (w[1] + 1.0) ** 2 + (w[2] - 1.0) ** 2


def parabola_gradient(w):
    return [2.0 * (w[0] - 1.0), 2.0 * (w[1] + 1.0), 2.0 * (w[2] - 1.0)]


def rosenbrock(w):
    """A bent valley: Rosenbrock 1960, doi:10.1093/comjnl/3.3.175."""
    return (1.0 - w[0]) ** 2 + 100.0 * (w[1] - w[0] ** 2) ** 2


def rosenbrock_gradient(w):
    across = w[1] - w[0] ** 2
    return [-2.0 * (1.0 - w[0]) - 400.0 * w[0] * across, 200.0 * across]


# name: (objective, its gradient, where to start, the minimum)
PROBLEMS = {
    "parabola": (parabola, parabola_gradient, [-1.0, 10.0, 1.0], [1.0, -1.0, 1.0]),
    "rosenbrock": (rosenbrock, rosenbrock_gradient, [0.0, 0.0], [1.0, 1.0]),
}
DTYPES = ["float64", "float32"]
STEPS = 10_000
# The weights after so many steps are kept.
FROZEN_AT = [1, 2, 5, 10, 20, 50, 100]
