"""The agreement of agents that saw different stretches of time on what a feature does.

Agents that were trained on bootstrap samples differ by chance. If a feature's effect is real, they
have it in common; if it is an accident of some bars, it differs from agent to agent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Array, Floats

ROWS = 400


def agreement(
    values: Sequence[Callable[[Array], Array]],
    features: Annotated[Floats, "rows features"],
    rng: np.random.Generator,
) -> Annotated[F64, "features"]:
    """Return, for each feature, the squared mean effect over its variance among the agents.

    The effect on one bar is the change of an agent's values, less their mean over the actions, if
    the feature is replaced by its value on another bar (Breiman 2001, section 10, permutes it for
    the same purpose). It may have any form, and any sign that depends on other features.

    Parameters
    ----------
    values : sequence of callable
        One function per agent, two or more, from features (R, F) to action values (R, n).
    features : ndarray, shape (N, F)
        Features of the training bars.
    rng : numpy.random.Generator
        Chooses at most `ROWS` bars, and the others.

    Returns
    -------
    ndarray of float64, shape (F,)
        E[mean^2] / E[variance], over bars and actions; 0 if no agent reacts, infinity if all react
        alike. With K agents it is 1 / K on average if they have nothing in common.
    """
    n, n_features = features.shape
    rows = rng.choice(n, min(ROWS, n), replace=False)
    here = features[rows]
    before = _centered(values, here)
    ratios = np.zeros(n_features)
    for f in range(n_features):
        other = here.copy()
        other[:, f] = features[rng.integers(n, size=len(rows)), f]
        effect = before - _centered(values, other)
        common = np.square(effect.mean(axis=0)).mean()
        variance = effect.var(axis=0, ddof=1).mean()
        if common > 0.0:
            ratios[f] = common / variance if variance > 0.0 else np.inf
    return ratios


def _centered(values: Sequence[Callable[[Array], Array]], rows: Array) -> F64:
    """Return the values of every agent, less their mean over the actions, shape (K, R, n)."""
    q = np.stack([agent(rows) for agent in values]).astype(np.float64)
    centered: F64 = q - q.mean(axis=2, keepdims=True)
    return centered


def shrunk(ratio: Floats | float, threshold: float) -> F64:
    """Return the factor in [0, 1] for an effect with this `agreement`: 1 - threshold / ratio.

    It is the positive-part shrinkage of James & Stein (1961): the part of a squared effect that
    exceeds what chance explains. 0 at or below the threshold.
    """
    ratio = np.asarray(ratio, dtype=np.float64)
    safe = np.maximum(ratio, 1e-12)
    return np.where(ratio > threshold, 1.0 - threshold / safe, 0.0)


def threshold_for(times: int) -> float:
    """Return the ratio up to which `agreement` is put down to chance.

    Agents of one market agree on its accidents, too, and the more so the fewer bars there are. On
    random walks, the largest ratio of 17 features is 0.8 on average with 3,000 training bars, and
    more with fewer; docs/explanation/ensemble.md has the figures, and what other thresholds do.

    Parameters
    ----------
    times : int
        Number of distinct times of the training bars, >= 1.
    """
    return 0.45 + 600.0 / times
