"""Feature scaling, fitted only on training rows; the fitted scaler needs only NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from reinforcestrategycreator_pipeline.arrays import F64, Array, Bools, Floats
from reinforcestrategycreator_pipeline.checks import Ge, Gt, Le, Lt, Strict, require_number
from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError, nearest
from reinforcestrategycreator_pipeline.features.rank_gauss import RankGauss

_PARTS, _CURVES = frozenset(("center", "scale", "clip")), frozenset(("knots", "scores"))
_NORMAL_IQR = 1.3489795003921634
"""Interquartile range of the standard normal distribution."""


@dataclass(frozen=True)
class ScalerConfig(Strict):
    """Scaling of the features.

    Parameters
    ----------
    kind : {"standard", "robust", "rank_gauss", "none"}
        Center and scale: ``standard`` uses mean and population standard deviation, ``robust`` the
        median and the interquartile range over 1.349 (1 for a standard normal distribution), or
        the standard deviation if the quartiles coincide. ``rank_gauss`` maps each value to the
        standard normal quantile of its rank among the training rows, straight between them; values
        beyond the smallest and largest count as these. ``none`` keeps values unchanged, unclipped.
    clip : float or None
        Limit of scaled values to [-clip, clip], > 0; None for no limit.
    floor : float
        Smallest deviation relative to the largest absolute value of a column, in [1e-14, 1). A
        column at or below it is constant up to rounding and scales to exactly 0.
    redundant : float or None
        Size of the correlation with an earlier column from which on a column says nothing new, in
        (0, 1]: on the training rows, columns are taken in their order, and one that is correlated
        so with a column that was taken scales to exactly 0. None keeps all.
    """

    kind: Literal["standard", "robust", "rank_gauss", "none"] = "standard"
    clip: Annotated[float, Ge(1e-6), Le(1e6)] | None = 10.0
    floor: Annotated[float, Ge(1e-14), Lt(1)] = 1e-8
    redundant: Annotated[float, Gt(0), Le(1)] | None = None

    def fit(self, values: Floats) -> FittedScaler:
        """Fit a scaler to training rows.

        Parameters
        ----------
        values : ndarray of shape (N, F)
            Finite training rows, N >= 2, of any float type; statistics are two-pass float64.

        Raises
        ------
        ConfigError
            If the shape is different.
        NonFiniteError
            If a value is not finite.
        """
        x = np.asarray(values, dtype=np.float64)
        if x.ndim != 2 or x.shape[0] < 2 or x.shape[1] < 1:
            raise ConfigError(
                f"a scaler must be fitted to at least 2 rows of features, shape (N, F). "
                f"Got shape {x.shape} instead."
            )
        _require_finite(x, "fitted to")
        if self.kind == "none" and self.redundant is None:
            return FittedScaler(np.zeros(x.shape[1]), np.ones(x.shape[1]), None)
        size = np.abs(x).max(axis=0)
        # Dividing by a power of two avoids overflow of the squares and is exact.
        unit = np.exp2(np.frexp(np.where(size > 0.0, size, 1.0))[1] - 1)
        raw, x = x, x / unit
        mean = x.mean(axis=0)
        mean += (x - mean).mean(axis=0)  # second pass removes the rounding error of the first
        deviation = np.sqrt(np.square(x - mean).mean(axis=0))
        center, scale = mean, deviation
        floor = self.floor * size / unit
        if self.kind == "robust":
            low, center, high = np.quantile(x, (0.25, 0.5, 0.75), axis=0)
            spread = (high - low) / _NORMAL_IQR
            scale = np.where(spread > floor, spread, deviation)
        varies = deviation > floor
        if self.redundant is not None:
            z = np.divide(x - mean, deviation, out=np.zeros_like(x), where=varies)
            varies &= ~_redundant(z, self.redundant)
        if self.kind == "none":
            kept = varies | (deviation <= floor)  # a constant passes, as without a choice
            return FittedScaler(np.zeros(len(kept)), kept.astype(np.float64), None)
        if self.kind == "rank_gauss":
            ones = varies.astype(np.float64)
            return FittedScaler(np.zeros(len(ones)), ones, self.clip, RankGauss.fit(raw))
        scale = np.where(varies, scale, 0.0)
        return FittedScaler(center * unit, scale * unit, self.clip)


@dataclass(frozen=True, eq=False)
class FittedScaler:
    """The transformation ``(x - center) / scale``, limited to [-clip, clip].

    With ranks, x is the quantile of a value's rank among the training rows.

    Parameters
    ----------
    center, scale : ndarray of shape (F,), float64
        Center and scale of each column; a column with scale 0 was constant in training, or
        redundant, and gives exactly 0.
    clip : float or None
        Limit of scaled values, > 0; None for no limit.
    ranks : RankGauss, optional
        Curves from values to quantiles, one for each column.
    """

    center: F64
    scale: F64
    clip: float | None
    ranks: RankGauss | None = None

    def __post_init__(self) -> None:
        center, scale = self.center, self.scale
        if center.ndim != 1 or center.shape != scale.shape:
            raise ConfigError(
                f"a scaler's center and scale must have the same shape (F,). "
                f"Got {center.shape} and {scale.shape} instead."
            )
        if not (np.isfinite(center).all() and np.isfinite(scale).all() and (scale >= 0.0).all()):
            raise ConfigError("a scaler's center must be finite, its scale finite and >= 0.")
        if self.clip is not None:
            require_number("ScalerConfig", "clip", self.clip, above=0.0)
        if self.ranks is not None and len(self.ranks.knots) != len(center):
            raise ConfigError(
                f"a scaler of {len(center)} features needs as many curves. "
                f"Got {len(self.ranks.knots)} instead."
            )

    def transform(self, values: Floats, dtype: DTypeLike = np.float32) -> Array:
        """Return scaled values of the same shape.

        The difference is computed in float64, so a price level of 60,000 loses no precision.

        Parameters
        ----------
        values : ndarray of shape (F,) or (T, F)
            Finite, unscaled features.
        dtype : dtype
            Type of the result.

        Raises
        ------
        ConfigError
            If the shape is different.
        NonFiniteError
            If a value is not finite, as clipping would hide an infinity.
        """
        x = np.asarray(values, dtype=np.float64)
        if x.ndim not in (1, 2) or x.shape[-1] != len(self.center):
            raise ConfigError(
                f"a scaler of {len(self.center)} features needs values of shape "
                f"({len(self.center)},) or (T, {len(self.center)}). Got {x.shape} instead."
            )
        _require_finite(x, "given")
        if self.ranks is not None:
            x = self.ranks.transform(x)
        out = np.zeros_like(x)
        np.divide(x - self.center, self.scale, out=out, where=self.scale > 0.0)
        if self.clip is not None:
            np.clip(out, -self.clip, self.clip, out=out)
        return out.astype(dtype)

    def unused(self, names: Sequence[str]) -> list[str]:
        """Return those of the columns' names whose values are always 0."""
        return [name for name, scale in zip(names, self.scale, strict=True) if scale == 0.0]

    def to_dict(self) -> dict[str, Any]:
        """Return a mapping for JSON; `from_dict` restores it bit-identically."""
        found = {"center": self.center.tolist(), "scale": self.scale.tolist(), "clip": self.clip}
        if self.ranks is not None:
            found["knots"] = [x.tolist() for x in self.ranks.knots]
            found["scores"] = [y.tolist() for y in self.ranks.scores]
        return found

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> FittedScaler:
        """Restore a scaler from the result of `to_dict`.

        Raises
        ------
        ConfigError
            If a key is unknown or missing, or a value is not a list of finite numbers.
        """
        keys = (*_PARTS, *(_CURVES if _CURVES & mapping.keys() else ()))
        for key in mapping:
            if key not in keys:
                raise ConfigError(f"a fitted scaler has no {key!r}.{nearest(str(key), keys)}")
        for key in keys:
            if key not in mapping:
                raise ConfigError(f"a fitted scaler needs {key!r}.")
        try:
            center, scale = (np.array(mapping[k], dtype=np.float64) for k in ("center", "scale"))
            ranks = RankGauss.of(mapping["knots"], mapping["scores"]) if "knots" in keys else None
        except (TypeError, ValueError) as error:
            raise ConfigError(f"a fitted scaler's center and scale: {error}.") from error
        return cls(center, scale, mapping["clip"], ranks)

    @staticmethod
    def is_dict(value: object) -> bool:
        """Return whether a value is a mapping as `to_dict` returns it."""
        if not isinstance(value, Mapping):
            return False
        return value.keys() in (_PARTS, _PARTS | _CURVES)


def _redundant(z: F64, most: float) -> Bools:
    """Return which standardized columns, in order, are correlated so with one that was kept."""
    correlation = np.abs(z.T @ z) / len(z)
    out = np.zeros(z.shape[1], dtype=bool)
    for c in range(z.shape[1]):
        # Rounding of an exact copy must not count.
        out[c] = bool((correlation[c, :c][~out[:c]] >= most - 1e-9).any())
    return out


def _require_finite(x: F64, verb: str) -> None:
    if not np.isfinite(x).all():
        place = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
        where = f"column {place[-1]}" + (f", row {place[0]}" if len(place) == 2 else "")
        raise NonFiniteError(
            f"a scaler must be {verb} finite values. Got {x[place]} in {where} instead."
        )
