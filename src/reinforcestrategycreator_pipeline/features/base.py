"""The protocol of features, their registry, and their computation with checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeAlias

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.checks import (
    Ge,
    Le,
    Len,
    Strict,
)
from reinforcestrategycreator_pipeline.errors import (
    ConfigError,
    FeatureError,
    blame,
    blamed,
    nearest,
)
from reinforcestrategycreator_pipeline.limits import Period
from reinforcestrategycreator_pipeline.registry import Registry

if TYPE_CHECKING:
    import pandas as pd

FloatArray: TypeAlias = F64
Bars: TypeAlias = Mapping[str, FloatArray]
"""One symbol's columns by name, each of shape (T,), read-only: ``open``, ``high``, ``low``,
``close``, ``volume`` and any side data. Time is not included: a feature knows only the order."""

RELATIVE_ZERO = 1e-12
"""Moves below this fraction of the price are treated as rounding."""


class Feature(Protocol):
    """One feature: a frozen dataclass whose fields are its parameters."""

    @property
    def lookback(self) -> int | None:
        """Number of leading rows without a value; None for the leading NaN rows of the output."""
        ...

    @property
    def columns(self) -> tuple[str, ...] | str:
        """Names of the output's columns; a string names one column, or is numbered for several."""
        ...

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, k), or (T,) for one column; row t uses only bars <= t."""
        ...


FEATURES: Registry[type[Feature]] = Registry(
    "feature", ("compute",), "from reinforcestrategycreator_pipeline import feature"
)
feature = FEATURES.declare
"""Decorator that lets a configuration name a function or dataclass as ``"module:name"``."""


@dataclass(frozen=True)
class FeatureSpec(Strict):
    """A feature as listed in a configuration file.

    Parameters
    ----------
    name : str
        Registered name, or ``"module:function"``.
    params : mapping
        Parameters of the feature that differ from the defaults. Lists become tuples.
    """

    name: Annotated[str, Len(1)]
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        params = {k: tuple(v) if isinstance(v, list) else v for k, v in self.params.items()}
        object.__setattr__(self, "params", params)

    def to_mapping(self) -> dict[str, Any]:
        """Return the YAML and JSON form: ``{"name": ..., **params}``, tuples as lists."""
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in self.params.items()}
        return {"name": self.name, **plain}


Periods: TypeAlias = Annotated[tuple[Period, ...], Len(1, True, 100)]
Tail: TypeAlias = Annotated[float, Ge(1e-12), Le(0.5)]
"""Fraction of an exponential mean's weight that may be cut off."""


@dataclass(frozen=True, eq=False)
class Computed:
    """A feature's checked output.

    Attributes
    ----------
    columns : tuple of str
        Names of the k columns.
    values : ndarray of shape (T, k), float64
        Values of the feature, NaN in rows < `lookback`, finite after them.
    lookback : int
        Index of the first valid row; T if there is none.
    """

    columns: tuple[str, ...]
    values: FloatArray
    lookback: int


def evaluate(
    feature: Feature,
    name: str,
    bars: Bars,
    symbol: str = "",
    timestamps: Sequence[object] | pd.Index[Any] | None = None,
) -> Computed:
    """Compute `feature` and check the output against its declaration.

    Parameters
    ----------
    feature : Feature
        Feature to compute.
    name : str
        Name of the feature in the configuration, for error messages.
    bars : mapping of str to ndarray of shape (T,)
        Columns of the symbol's bars.
    symbol : str
        Symbol for error messages.
    timestamps : sequence of length T, optional
        Timestamps of the bars, for error messages.

    Returns
    -------
    Computed
        Columns, values and lookback.

    Raises
    ------
    FeatureError
        If the feature raises, the output has a wrong shape, or a value after the lookback is not
        finite; the message names symbol, feature, column, row and timestamp.
    """
    where = f"{symbol}: feature {name!r}" if symbol else f"feature {name!r}"
    n_rows = len(bars["close"])
    with blamed(where, FeatureError):
        try:
            found: object = feature.compute(bars)
            if found is None:
                raise FeatureError("returned None. Does its last line lack a return?")
            values = np.array(found, dtype=np.float64, order="C")
        except (FeatureError, ConfigError) as error:
            raise FeatureError(f"{where}: {error}") from error
        except KeyError as error:
            if error.args[:1] and isinstance(key := error.args[0], str) and key not in bars:
                place = f" ({line})" if (line := blame(error)) else ""
                text = f"raised KeyError: {key!r}{place}. The bars have no such column."
                raise FeatureError(f"{where} {text}{nearest(key, bars)}") from error
            raise
    shape = values.shape
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or values.shape[0] != n_rows or values.shape[1] == 0:
        raise FeatureError(
            f"{where} must return an array of shape ({n_rows},) or ({n_rows}, k). "
            f"Got {shape} instead."
        )
    columns = feature.columns
    if isinstance(columns, str):
        k = values.shape[1]
        columns = (columns,) if k == 1 else tuple(f"{columns}_{i}" for i in range(k))
    if len(columns) != values.shape[1]:
        raise FeatureError(
            f"{where} must return one column per name: {', '.join(columns)}. "
            f"Got {values.shape[1]} columns instead."
        )
    finite = np.isfinite(values)
    if feature.lookback is None:
        present = ~np.isnan(values).any(axis=1)
        lookback = int(present.argmax()) if present.any() else n_rows
    else:
        lookback = min(feature.lookback, n_rows)
    values[:lookback] = np.nan
    if not finite[lookback:].all():
        row, column = np.argwhere(~finite[lookback:])[0]
        row += lookback
        at = "" if timestamps is None else f" ({timestamps[row]})"
        looks_ahead = not finite[row:, column].any() and np.isnan(values[row, column])
        hint = " A last bar without a value is what shift(-1) and other looks ahead leave."
        hint = hint if looks_ahead else ""
        raise FeatureError(
            f"{where}: column {columns[column]!r} must be finite from row {lookback} on. "
            f"Got {values[row, column]} at row {row}{at} instead.{hint}"
        )
    return Computed(columns, values, lookback)
