"""Returns of a policy and of buy and hold, by which standard errors are compared."""

import numpy as np

CASES = [(0, 40), (1, 250), (2, 605), (3, 3000)]


def returns_of(seed, n):
    """Autocorrelated, with changing variance, and a beta of 0.6."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(2, n)) * (0.005 + 0.01 * rng.random(n).cumsum() / n)
    for t in range(1, n):
        noise[:, t] += (0.3, 0.1) * noise[:, t - 1]
    hold = 0.0004 + noise[0]
    return 0.0002 + 0.6 * hold + noise[1], hold
