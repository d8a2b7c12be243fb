"""Normalization of observations to mean 0 and deviation 1 by statistics updated during training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike

from reinforcestrategycreator_pipeline.arrays import F64, Array
from reinforcestrategycreator_pipeline.checks import require_int, require_number
from reinforcestrategycreator_pipeline.errors import CheckpointError, ConfigError, NonFiniteError

FLOOR = 1e-6
"""Smallest scale, as a fraction of the mean's magnitude: about 16 rounding errors of a float32.

A column that varies only by rounding stays near 0 instead of being scaled up to several deviations.
"""


class RunningNormalizer:
    """``(x - mean) / scale``, limited to [-clip, clip], with running mean and deviation.

    Parameters
    ----------
    n_inputs : int
        Number of columns.
    clip : float
        Limit of the result, in standard deviations, > 0.

    Attributes
    ----------
    count : float
        Number of rows seen.
    mean : ndarray, shape (n_inputs,), float64
        Mean of the rows seen; 0 before the first.
    m2 : ndarray, shape (n_inputs,), float64
        Sum of squared differences from the mean.

    Notes
    -----
    Before the first update, x is clipped but not normalized. An update replaces the arrays and
    never writes into them, so arrays returned by `state` do not change later.

    Raises
    ------
    ConfigError
        If a parameter is out of range.
    """

    def __init__(self, n_inputs: int, clip: float) -> None:
        require_int("RunningNormalizer", "n_inputs", n_inputs, 1)
        require_number("RunningNormalizer", "clip", clip, above=0.0)
        self.n_inputs = int(n_inputs)
        self.clip = float(clip)
        self.count = 0.0
        self.mean: F64 = np.zeros(self.n_inputs)
        self.m2: F64 = np.zeros(self.n_inputs)
        self._scale: F64 | None = None

    def update(self, x: ArrayLike) -> None:
        """Add rows to the statistics.

        Mean and sum of squares of the batch are computed in two passes, in float64, relative to its
        first row; then they are merged, with delta = mean_b - mean_a and n = n_a + n_b:

            mean = mean_a + delta n_b / n,    M2 = M2_a + M2_b + delta^2 n_a n_b / n

        Source: Chan, Golub & LeVeque 1983, doi:10.1080/00031305.1983.10483115, eq. 2.1. The mean of
        a constant column is exactly its value, and its M2 exactly 0.

        Parameters
        ----------
        x : array_like, shape (N, n_inputs) or (n_inputs,)
            The rows; N may be 0.

        Raises
        ------
        ConfigError
            If the shape is different.
        NonFiniteError
            If a value is NaN or infinite, or its square overflows; the message names the columns,
            and the statistics are unchanged.
        """
        rows = np.asarray(x, dtype=np.float64)
        if rows.ndim == 1:
            rows = rows[None, :]
        if rows.ndim != 2 or rows.shape[1] != self.n_inputs:
            raise ConfigError(
                f"The x parameter of RunningNormalizer.update must be of shape "
                f"(N, {self.n_inputs}). Got {np.shape(x)} instead."
            )
        added = len(rows)
        if added == 0:
            return
        with np.errstate(over="ignore", invalid="ignore"):  # checked below
            mean_b, m2 = rows[0], self.m2
            if added > 1:
                shifted = rows - mean_b
                offset = np.add.reduce(shifted, axis=0) / added
                mean_b = mean_b + offset
                shifted -= offset
                m2 = m2 + np.einsum("ij,ij->j", shifted, shifted)
            count = self.count + added
            delta = mean_b - self.mean
            mean = self.mean + delta * (added / count)
            m2 = m2 + delta * delta * (self.count * added / count)
            # Every value that is too large, NaN, or infinite shows in m2, whose terms are all >= 0.
            sound = float(np.add.reduce(m2)) < np.inf or bool(np.isfinite(m2).all())
        if not sound:
            bad = np.flatnonzero(~np.isfinite(m2))
            raise NonFiniteError(
                f"observations contain NaN, infinity, or numbers too large to square in columns "
                f"{bad.tolist()}; the running mean and deviation are unchanged"
            )
        self.count, self.mean, self.m2, self._scale = count, mean, m2, None

    def fold(self) -> tuple[Annotated[F64, "{self.n_inputs}"], Annotated[F64, "{self.n_inputs}"]]:
        """Return the mean that `apply` subtracts and the scale that it divides by.

        Returns
        -------
        mean, scale : ndarray, shape (n_inputs,), float64
            `scale` is the population standard deviation, but at least `FLOOR` |mean|, and 1 where
            both are 0 or fewer than two rows have been seen. It is never 0.
        """
        if self._scale is None:
            if self.count < 2.0:
                scale = np.ones(self.n_inputs)
            else:
                scale = np.maximum(np.sqrt(self.m2 / self.count), FLOOR * np.abs(self.mean))
                scale[scale == 0.0] = 1.0
            self._scale = scale
        return self.mean, self._scale

    def apply(self, x: ArrayLike, out: Array | None = None) -> Array:
        """Return ``(x - mean) / scale``, clipped.

        The difference is computed in float64, so a level of 60,000 loses no precision.

        Parameters
        ----------
        x : array_like, shape (..., n_inputs)
            Observations, one row each.
        out : ndarray of x's shape, optional
            Array for the result; may be `x` itself.

        Returns
        -------
        ndarray
            `out`, or a new array of x's dtype if that is a floating-point type, else float64. NaN
            stays NaN, and an infinity becomes NaN, because clipping would hide it.
        """
        return normalize(x, *self.fold(), self.clip, out)

    def state(self) -> dict[str, F64]:
        """Return the state for `restore`: float64 tensors ``count`` (1,), ``mean``, ``m2``."""
        return {"count": np.array([self.count]), "mean": self.mean, "m2": self.m2}

    def restore(self, tensors: Mapping[str, Array]) -> None:
        """Restore a state returned by `state`, bit for bit.

        Raises
        ------
        CheckpointError
            If a tensor is missing, has another shape or type, or has impossible values; nothing is
            changed then.
        """
        shapes = {"count": (1,), "mean": (self.n_inputs,), "m2": (self.n_inputs,)}
        for name, shape in shapes.items():
            saved = tensors.get(name)
            if saved is None or saved.shape != shape or saved.dtype != np.float64:
                got = "nothing" if saved is None else f"{saved.dtype} {saved.shape}"
                raise CheckpointError(
                    f"the saved normalization does not fit: {name} must be float64 {shape}. "
                    f"Got {got} instead."
                )
            if not np.isfinite(saved).all() or (name != "mean" and (saved < 0.0).any()):
                raise CheckpointError(f"the saved normalization is damaged: {name} is {saved}")
        self.count = float(tensors["count"][0])
        self.mean, self.m2 = tensors["mean"].copy(), tensors["m2"].copy()
        self._scale = None


def normalize(x: ArrayLike, mean: F64, scale: F64, clip: float, out: Array | None = None) -> Array:
    """Return ``(x - mean) / scale``, clipped; see `RunningNormalizer.apply`."""
    values = np.asarray(x)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (values - mean) / scale
        if not abs(float(np.add.reduce(scaled, axis=None))) < np.inf:
            scaled[~np.isfinite(values)] = np.nan
    # Two passes: `np.clip` is slower for a single row.
    np.minimum(scaled, clip, out=scaled)
    np.maximum(scaled, -clip, out=scaled)
    if out is not None:
        out[...] = scaled
        return out
    kept = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
    return scaled.astype(kept, copy=False)
