"""The dependence of a search's objective on each of the keys that it varies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from reinforcestrategycreator_pipeline.experiments.search import Listed, Range

GROUPS = 4
"""Largest number of groups, with equally many trials, into which a range is divided."""


def importance(
    given: Range | Listed, values: Sequence[Any], objectives: Sequence[float]
) -> float | None:
    """Return the share of the objective's rank variance that lies between groups of values.

    It is eta squared from the statistic H of Kruskal and Wallis, (H - k + 1) / (n - k) for k groups
    and n trials (Tomczak and Tomczak 2014, section "Kruskal-Wallis H-test"), and 0 if that is
    negative. A group has the trials with the same choice, or with values in one quarter of those
    tried; with fewer than twelve trials there are fewer such parts, of three trials or more. One
    extreme objective cannot decide it, and no form of the dependence is assumed. It describes the
    trials that were made: a sampler that learns does not draw them evenly.

    Parameters
    ----------
    given : Range or tuple
        The values that the search chooses from.
    values : sequence
        The value of each trial.
    objectives : sequence of float
        The objective of each trial, finite.

    Returns
    -------
    float or None
        From 0 to 1; None if there is but one group, if there are fewer than two trials for each
        group, or if all objectives are equal.
    """
    n = len(values)
    if n < 2:
        return None
    if isinstance(given, Range):
        ranks = pd.Series(values, dtype=float).rank().to_numpy()
        parts_of_range = max(1, min(GROUPS, n // 3))
        groups = np.floor((ranks - 0.5) / n * parts_of_range).astype(np.int64)
    else:
        groups = pd.factorize(np.array([json.dumps(v, sort_keys=True) for v in values]))[0]
    k = len(np.unique(groups))
    ordered = pd.Series(objectives, dtype=float).rank()
    # With tied ranks, H is (n - 1) times the share of their variance between the groups.
    total = float(((ordered - ordered.mean()) ** 2).sum())
    if k < 2 or n < 2 * k or total == 0.0:
        return None
    parts = ordered.groupby(groups).agg(["mean", "size"])
    between = float((parts["size"] * (parts["mean"] - ordered.mean()) ** 2).sum())
    h = (n - 1) * between / total
    return max(0.0, (h - k + 1) / (n - k))
