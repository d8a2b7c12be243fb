"""A user's function as a feature, by the name ``"module:function"``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from reinforcestrategycreator_pipeline.checks import require_int
from reinforcestrategycreator_pipeline.errors import ConfigError, nearest
from reinforcestrategycreator_pipeline.features.base import Bars, Feature, FloatArray


@dataclass(frozen=True)
class UserFunction:
    """A feature computed by ``function(bars, **params)``, with values of shape (T,) or (T, k).

    Parameters
    ----------
    function : callable
        Function of the user; its integer attribute ``lookback``, if any, declares the lookback.
    name : str
        Name of the feature in the configuration.
    params : mapping
        Keyword arguments. If the function takes no ``lookback``, that key is not passed to it: it
        declares the lookback and overrides the attribute.

    Notes
    -----
    Without a declaration, the lookback is the number of leading rows with a NaN.
    """

    function: Callable[..., FloatArray]
    name: str
    params: Mapping[str, Any]

    def __post_init__(self) -> None:
        owner = f"feature {self.name!r}"
        if self.lookback is not None:
            require_int(owner, "lookback", self.lookback, 0)
        signature = self._signature
        if signature is None:
            return
        accepted = signature.parameters
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in accepted.values()):
            names = {*list(accepted)[1:], "lookback"}
            for key in self.params:
                if key not in names:
                    raise ConfigError(f"{owner} has no parameter {key!r}.{nearest(key, names)}")
        try:
            signature.bind(None, **self._arguments)
        except TypeError as error:
            raise ConfigError(f"{owner} must take (bars, **params): {error}.") from error

    @property
    def _signature(self) -> inspect.Signature | None:
        return _signature(self.function)

    @property
    def _declares(self) -> bool:
        """Whether the key ``lookback`` declares the lookback instead of being an argument."""
        return takes_no_lookback(self.function)

    @property
    def _arguments(self) -> dict[str, Any]:
        if not self._declares:
            return dict(self.params)
        return {k: v for k, v in self.params.items() if k != "lookback"}

    @property
    def lookback(self) -> int | None:
        """The declared lookback, or None."""
        declared: int | None = getattr(self.function, "lookback", None)
        return self.params.get("lookback", declared) if self._declares else declared

    @property
    def columns(self) -> str:
        """The function's name and the values of its arguments; several columns are numbered."""
        function = self.name.rpartition(":")[2].replace(".", "_")
        return "_".join([function, *(str(v) for _, v in sorted(self._arguments.items()))])

    def compute(self, bars: Bars) -> FloatArray:
        """Return the function's result."""
        return self.function(bars, **self._arguments)


@dataclass(frozen=True)
class WithLookback:
    """A user's dataclass feature with the lookback that the configuration gives.

    Parameters
    ----------
    feature : Feature
        Feature that computes.
    lookback : int
        Number of leading rows without a value.
    """

    feature: Feature
    lookback: int

    @property
    def columns(self) -> tuple[str, ...] | str:
        """The feature's columns."""
        return self.feature.columns

    def compute(self, bars: Bars) -> FloatArray:
        """Return the feature's values."""
        return self.feature.compute(bars)


def takes_no_lookback(function: Callable[..., FloatArray]) -> bool:
    """Return whether a function has no parameter ``lookback``, so that the key declares it."""
    signature = _signature(function)
    return signature is None or "lookback" not in signature.parameters


def code_of(feature: Feature) -> Any:
    """Return the class or function that a feature is made from, without decorators around it."""
    if isinstance(feature, WithLookback):
        return type(feature.feature)
    if not isinstance(feature, UserFunction):
        return type(feature)
    function: Any = feature.function
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.unwrap(function)


def _signature(function: Callable[..., FloatArray]) -> inspect.Signature | None:
    hashable = isinstance(function, Hashable)
    return _known_signature(function) if hashable else _found_signature(function)


def _found_signature(function: Callable[..., FloatArray]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except ValueError:  # a compiled function may have none; errors then show at the call
        return None


# An audit calls a feature thousands of times.
_known_signature = functools.lru_cache(maxsize=256)(_found_signature)
