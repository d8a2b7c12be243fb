"""Observations brought to mean 0 and deviation 1 by statistics that run along with learning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike

from reinforcestrategycreator_pipeline.arrays import F64, Array
from reinforcestrategycreator_pipeline.checks import require_int, require_number
from reinforcestrategycreator_pipeline.errors import CheckpointError, ConfigError, NonFiniteError

FLOOR = 1e-6
"""The least scale, as a share of the mean's magnitude: some 16 roundings of a float32.

A column that moves by its own rounding alone stays near 0, instead of being blown up to sigmas.
"""


class RunningNormalizer:
    """``(x - mean) / scale``, limited to [-clip, clip], with running mean and deviation.

    Parameters
    ----------
    n_inputs : int
        Columns.
    clip : float
        The limit, in deviations, > 0.

    Attributes
    ----------
    count : float
        Rows seen.
    mean : ndarray, shape (n_inputs,), float64
        Their mean; 0 before the first.
    m2 : ndarray, shape (n_inputs,), float64
        The sum of squared differences from the mean.

    Notes
    -----
    Before the first update, x passes as it is, clipped. An update replaces the arrays and never
    writes into them: what `state` has returned stays what it was.

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
        """Take more rows into the statistics.

        The batch's own mean and sum of squares are two-pass, in float64, from its first row; then
        both are merged, with delta = mean_b - mean_a and n = n_a + n_b:

            mean = mean_a + delta n_b / n,    M2 = M2_a + M2_b + delta^2 n_a n_b / n

        Source: Chan, Golub & LeVeque 1983, doi:10.1080/00031305.1983.10483115, eq. 2.1. A column
        that never changes has exactly its value as mean, and exactly 0 as M2.

        Parameters
        ----------
        x : array_like, shape (N, n_inputs) or (n_inputs,)
            The rows; none changes nothing.

        Raises
        ------
        ConfigError
            If the shape is another.
        NonFiniteError
            If a value is NaN or infinite, or so large that its square is; the message names the
            columns, and the statistics are as before.
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
        with np.errstate(over="ignore", invalid="ignore"):  # refused below
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
            # Every number too large, NaN or infinite shows in m2, and none of its terms is < 0.
            sound = float(np.add.reduce(m2)) < np.inf or bool(np.isfinite(m2).all())
        if not sound:
            bad = np.flatnonzero(~np.isfinite(m2))
            raise NonFiniteError(
                f"observations hold NaN, infinity or numbers too large to square in the columns "
                f"{bad.tolist()}; the running mean and deviation are as before"
            )
        self.count, self.mean, self.m2, self._scale = count, mean, m2, None

    def fold(self) -> tuple[Annotated[F64, "{self.n_inputs}"], Annotated[F64, "{self.n_inputs}"]]:
        """Return what `apply` subtracts and what it divides by.

        Returns
        -------
        mean, scale : ndarray, shape (n_inputs,), float64
            `scale` is the population standard deviation, but at least `FLOOR` |mean|, and 1 where
            both are 0 or fewer than two rows have been seen. Never 0.
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

        The difference is taken in float64, so that a level of 60,000 loses nothing.

        Parameters
        ----------
        x : array_like, shape (..., n_inputs)
            Observations.
        out : ndarray of x's shape, optional
            Where to; may be `x` itself.

        Returns
        -------
        ndarray
            `out`, or a new array of x's dtype if that is a floating one, else float64. NaN stays
            NaN, and an infinity becomes NaN: clipping would hide it.
        """
        return normalize(x, *self.fold(), self.clip, out)

    def state(self) -> dict[str, F64]:
        """Return all that `restore` needs: float64 tensors ``count`` (1,), ``mean``, ``m2``."""
        return {"count": np.array([self.count]), "mean": self.mean, "m2": self.m2}

    def restore(self, tensors: Mapping[str, Array]) -> None:
        """Set what `state` returned, bit by bit.

        Raises
        ------
        CheckpointError
            If a tensor is missing or of another shape or type, or holds what no update gives; then
            nothing is changed.
        """
        shapes = {"count": (1,), "mean": (self.n_inputs,), "m2": (self.n_inputs,)}
        for name, shape in shapes.items():
            saved = tensors.get(name)
            if saved is None or saved.shape != shape or saved.dtype != np.float64:
                got = "nothing" if saved is None else f"{saved.dtype} {saved.shape}"
                raise CheckpointError(
                    f"the saved normalisation does not fit: {name} must be float64 {shape}. "
                    f"Got {got} instead."
                )
            if not np.isfinite(saved).all() or (name != "mean" and (saved < 0.0).any()):
                raise CheckpointError(f"the saved normalisation is damaged: {name} is {saved}")
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
    # Two passes: `clip` takes longer for one row.
    np.minimum(scaled, clip, out=scaled)
    np.maximum(scaled, -clip, out=scaled)
    if out is not None:
        out[...] = scaled
        return out
    kept = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
    return scaled.astype(kept, copy=False)
