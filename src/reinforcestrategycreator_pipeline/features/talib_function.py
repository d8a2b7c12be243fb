"""TA-Lib indicators by name: causal, with bounded memory, independent of price levels."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from reinforcestrategycreator_pipeline.checks import (
    Strict,
    is_int,
    is_number,
    require,
    require_int,
)
from reinforcestrategycreator_pipeline.errors import ConfigError, nearest, needs
from reinforcestrategycreator_pipeline.features.base import (
    FEATURES,
    Bars,
    FloatArray,
)
from reinforcestrategycreator_pipeline.limits import HUGE, MAX_PERIOD, Period
from reinforcestrategycreator_pipeline.ohlcv import OHLCV, PRICES

NAME = "talib"
"""Name of the feature; ``talib:RSI`` is short for its function RSI."""
_MEMORY = 250
_SCALE_OF_INPUT = "Output scale same as input"
_IN_PRICE = {
    *("AC", "ADD", "ADR", "AO", "APO", "ATR", "AVGDEV", "DPO", "ERI", "HT_PHASOR", "MACD", "MOM"),
    *("LINEARREG_SLOPE", "MACDEXT", "MACDFIX", "MINUS_DM", "PLUS_DM", "QSTICK", "STDDEV", "SUB"),
    *("SUM", "TRANGE"),
}
"""Functions whose values are differences of prices, or other multiples of one."""
_START_DEPENDENT = {"Function has an unstable period", "Output is path-dependent"}


@dataclass(frozen=True)
class _Info:
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    defaults: Mapping[str, Any]
    start_dependent: bool
    units: Literal["none", "price", "level"]


@functools.cache
def _info(function: str) -> _Info:
    # Imported here: it is an extra, and loading it takes some tenths of a second.
    with needs("talib", "the feature talib"):
        import talib
        from talib import abstract

    names = talib.get_functions()  # type: ignore[no-untyped-call]
    if function not in names:
        raise ConfigError(f"talib has no function {function!r}.{nearest(function, names)}")
    about = abstract.Function(function)  # type: ignore[attr-defined]
    inputs: list[str] = []
    for source in about.input_names.values():
        inputs.extend([source] if isinstance(source, str) else source)
    if not set(inputs) <= set(OHLCV):
        raise ConfigError(f"talib's {function} needs {', '.join(inputs)}, which bars do not have.")
    dependent = bool(_START_DEPENDENT & set(about.function_flags or ()))
    # A function over volume or side data alone has no price to be measured in.
    level = _SCALE_OF_INPUT in (about.function_flags or ()) and bool(set(inputs) & set(PRICES))
    units: Literal["none", "price", "level"] = "level" if level else "none"
    return _Info(
        tuple(inputs),
        tuple(about.output_names),
        dict(about.parameters),
        dependent,
        "price" if function in _IN_PRICE else units,
    )


def parameters_of(name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of `TalibFunction` for the name ``"talib:FUNCTION"``.

    Parameters
    ----------
    name : str
        Name in the configuration.
    params : mapping
        What stands beside the name: ``units``, ``window``, and parameters of the TA-Lib function.
    """
    own = {key: value for key, value in params.items() if key in ("units", "window")}
    function = name.partition(":")[2].upper()
    given = {key: value for key, value in params.items() if key not in own}
    return {"function": function, **({"parameters": given} if given else {}), **own}


@FEATURES.register(NAME)
@dataclass(frozen=True)
class TalibFunction(Strict):
    """A TA-Lib indicator, by its TA-Lib name. Needs the extra ``talib``.

    ``{name: "talib:ADX", timeperiod: 14}`` is short for the function ``ADX`` with that parameter.

    Each row is TA-Lib's last value over the last `window` bars only. So functions whose values
    depend on the start of the series (ADX, SAR, ...) are as reproducible bar by bar as others.

    Parameters
    ----------
    function : str
        TA-Lib name of the indicator, such as ``ADX``.
    parameters : mapping
        Parameters of the TA-Lib function, such as ``{"timeperiod": 14}``.
    units : {"auto", "none", "price", "level"}
        Conversion of the values: ``none`` keeps them (RSI, ADX), ``price`` divides them by the
        close (MOM, MACD), ``level`` gives value / close - 1 (SMA, SAR, bands); ``auto`` is the one
        of these that suits the function. A choice for which values depend on the price level is
        rejected by the audit, and so is a function that none suits, such as OBV.
    window : int, optional
        Number of bars per row. By default, the number that TA-Lib needs, or 250 for functions
        whose values depend on the start of the series.
    """

    function: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    units: Literal["auto", "none", "price", "level"] = "auto"
    window: Period | None = None

    def __post_init__(self) -> None:
        owner = "talib"
        super().__post_init__()
        info = _info(self.function)
        for name, value in self.parameters.items():
            if name not in info.defaults:
                raise ConfigError(
                    f"talib's {self.function} has no parameter {name!r}."
                    f"{nearest(str(name), info.defaults)}"
                )
            whole = is_int(info.defaults[name])
            # TA-Lib's own ranges follow in `_needed`; beyond these it would overflow.
            most = MAX_PERIOD if whole else HUGE
            ok = (is_int(value) if whole else is_number(value)) and -most <= value <= most
            kind = f"{'an integer' if whole else 'a number'} in [{-most:.0f}, {most:.0f}]"
            require(ok, f"talib's {self.function}", name, kind, value)
        needed = self._needed
        if self.window is not None:
            require_int(owner, "window", self.window, needed)

    @functools.cached_property
    def _typed(self) -> dict[str, Any]:
        """The parameters as TA-Lib takes them: of numbers, 2.0 and not 2."""
        defaults = _info(self.function).defaults
        return {k: v if is_int(defaults[k]) else float(v) for k, v in self.parameters.items()}

    @functools.cached_property
    def _needed(self) -> int:
        from talib import abstract

        about = abstract.Function(self.function)  # type: ignore[attr-defined]
        about.set_parameters(self._typed)
        lookback = int(about.lookback)
        if lookback < 0:  # TA-Lib signals a parameter out of range this way
            raise ConfigError(f"talib's {self.function} rejects the values {self.parameters!r}.")
        return lookback + 1

    @property
    def _units(self) -> str:
        return _info(self.function).units if self.units == "auto" else self.units

    @property
    def _window(self) -> int:
        if self.window is not None:
            return self.window
        return max(_MEMORY, self._needed) if _info(self.function).start_dependent else self._needed

    @property
    def lookback(self) -> int:
        return self._window - 1

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names: function, given parameters, and the output's name if there are several."""
        stem = "_".join(
            [self.function.lower(), *(f"{self.parameters[k]:g}" for k in sorted(self.parameters))]
        )
        outputs = _info(self.function).outputs
        return (stem,) if len(outputs) == 1 else tuple(f"{stem}_{o}" for o in outputs)

    @property
    def level_advice(self) -> str:
        """Advice on values that depend on the level of prices, for the audit."""
        return (
            f"{self.function} has units {self._units!r}; use units 'price' (divides by the close) "
            "or 'level' (value / close - 1), or another function"
        )

    def _last(self, bars: Bars, end: int) -> FloatArray:
        """Return TA-Lib's values at row ``end - 1`` over the window that ends there, shape (k,)."""
        import talib

        start = end - self._window
        inputs = [bars[name][start:end] for name in _info(self.function).inputs]
        result = getattr(talib, self.function)(*inputs, **self._typed)
        outputs = result if isinstance(result, tuple) else (result,)
        last = np.array([output[-1] for output in outputs], dtype=np.float64)
        close = float(bars["close"][end - 1])
        if self._units == "price":
            last = last / close
        elif self._units == "level":
            last = last / close - 1.0
        return last

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, k)."""
        n_rows = len(bars["close"])
        out = np.full((n_rows, len(self.columns)), np.nan)
        for end in range(self._window, n_rows + 1):
            out[end - 1] = self._last(bars, end)
        return out
