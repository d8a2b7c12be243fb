"""Values mapped to a normal distribution by their ranks among the training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.errors import ConfigError

KNOTS = 257
"""Most points of a column's curve."""


@dataclass(frozen=True, eq=False)
class RankGauss:
    """A curve for each column, from its values to quantiles of the standard normal distribution.

    Between two points it is straight; beyond the ends, which are the smallest and largest training
    values, it is level.

    Parameters
    ----------
    knots, scores : tuple of ndarray of float64
        For each column, the values, increasing, and the quantiles that belong to them, of equal
        lengths, >= 1.

    Raises
    ------
    ConfigError
        If the lengths differ, or a value is not finite, or the values do not increase.
    """

    knots: tuple[F64, ...]
    scores: tuple[F64, ...]

    def __post_init__(self) -> None:
        pairs = list(zip(self.knots, self.scores, strict=False))
        fits = len(self.knots) == len(self.scores) and all(
            len(x) == len(y) >= 1
            and np.isfinite(x).all()
            and np.isfinite(y).all()
            and (np.diff(x) > 0.0).all()
            for x, y in pairs
        )
        if not fits:
            raise ConfigError(
                "a rank-gauss scaler needs finite, increasing knots and as many scores by column."
            )

    @classmethod
    def fit(cls, values: F64) -> RankGauss:
        """Return the curves of training rows.

        A value with m smaller and k equal ones among n, itself included, has the quantile of
        ``(m + k / 2) / n``. Of very many different values, `KNOTS` are kept, evenly spaced in rank.

        Parameters
        ----------
        values : ndarray of float64, shape (N, F)
            Finite training rows.
        """
        knots, scores = [], []
        for column in values.T:
            found, counts = np.unique(column, return_counts=True)
            share = (np.cumsum(counts) - counts / 2.0) / len(column)
            if len(found) > KNOTS:
                at = np.linspace(share[0], share[-1], KNOTS)
                keep = np.unique(np.searchsorted(share, at).clip(0, len(share) - 1))
                found, share = found[keep], share[keep]
            knots.append(found)
            scores.append(np.array([_NORMAL.inv_cdf(p) for p in share.tolist()]))
        return cls(tuple(knots), tuple(scores))

    @classmethod
    def of(cls, knots: Sequence[Sequence[float]], scores: Sequence[Sequence[float]]) -> RankGauss:
        """Restore the curves from lists of numbers."""
        parts = [tuple(np.array(x, dtype=np.float64) for x in given) for given in (knots, scores)]
        return cls(*parts)

    def transform(self, values: F64) -> F64:
        """Return the quantiles of values, of the same shape (..., F).

        Each value is computed by itself: one row and many have the same bits.
        """
        out = np.empty_like(values)
        for c, (x, y) in enumerate(zip(self.knots, self.scores, strict=True)):
            given = np.clip(values[..., c], x[0], x[-1])
            if len(x) == 1:
                out[..., c] = y[0]
                continue
            left = np.clip(np.searchsorted(x, given, side="right") - 1, 0, len(x) - 2)
            slopes = np.diff(y) / np.diff(x)
            out[..., c] = y[left] + (given - x[left]) * slopes[left]
        return out


_NORMAL = NormalDist()
