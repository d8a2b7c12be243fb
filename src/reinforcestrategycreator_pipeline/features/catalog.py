"""The shipped features, the default list, and the parsing of a configuration's list."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from reinforcestrategycreator_pipeline.arrays import F64
from reinforcestrategycreator_pipeline.checks import from_mapping, require_int
from reinforcestrategycreator_pipeline.errors import ConfigError, shorten
from reinforcestrategycreator_pipeline.features import (  # noqa: F401  importing registers them
    bar_volatility,
    benchmark,
    calendar,
    fractional,
    momentum,
    moving_average,
    order_flow,
    ranges,
    regimes,
    returns,
    rolling,
    side_data,
    spreads,
    talib_function,
    universe,
    volume,
)
from reinforcestrategycreator_pipeline.features.base import FEATURES, Feature, FeatureSpec
from reinforcestrategycreator_pipeline.features.user import (
    UserFunction,
    WithLookback,
    takes_no_lookback,
)
from reinforcestrategycreator_pipeline.registry import Description

DEFAULT_FEATURES: tuple[FeatureSpec, ...] = (
    FeatureSpec("returns", {"horizons": (1, 2, 5, 10, 20, 60)}),
    FeatureSpec("realized_volatility", {"periods": (10, 60)}),
    FeatureSpec("rsi", {"period": 14}),
    FeatureSpec("macd", {"fast": 12, "slow": 26, "signal": 9}),
    FeatureSpec("bollinger", {"period": 20, "width": 2.0}),
    FeatureSpec("atr", {"period": 14}),
    FeatureSpec("moving_average_distance", {"periods": (20, 50, 200)}),
    FeatureSpec("volume_zscore", {"period": 20}),
)
"""17 columns at several time scales; the first 240 bars of a series have no features."""


def build_feature(spec: FeatureSpec) -> Feature:
    """Return the feature that `spec` describes.

    A name with a colon is imported: a function becomes a `UserFunction`, a dataclass is used like a
    shipped feature.

    Raises
    ------
    ConfigError
        If a name or parameter is unknown (the message suggests the nearest), or a value is invalid.
    """
    found: object = FEATURES.get(spec.name)
    owner = f"feature {spec.name!r}"
    if inspect.isclass(found) and dataclasses.is_dataclass(found):
        if "lookback" not in spec.params or not states_lookback(spec):
            return cast(Feature, from_mapping(found, spec.params, owner))
        params = dict(spec.params)
        lookback = params.pop("lookback")
        require_int(owner, "lookback", lookback, 0)
        return WithLookback(cast(Feature, from_mapping(found, params, owner)), lookback)
    if not callable(found):
        raise ConfigError(
            f"feature {spec.name!r} must be a function or a dataclass. Got {found!r} instead."
        )
    return UserFunction(cast(Callable[..., F64], found), spec.name, spec.params)


def states_lookback(spec: FeatureSpec) -> bool:
    """Return whether the key ``lookback`` of a specification declares the feature's lookback.

    It does for a user's function or dataclass that has no parameter of that name.
    """
    found: object = FEATURES.get(spec.name)
    if inspect.isclass(found) and dataclasses.is_dataclass(found):
        ours = found.__module__.startswith(f"{__package__}.")
        return not ours and "lookback" not in {f.name for f in dataclasses.fields(found)}
    return takes_no_lookback(cast(Callable[..., F64], found))


def parse_specs(items: Sequence[Any]) -> tuple[FeatureSpec, ...]:
    """Parse the configuration's list of features, checking each entry by building it.

    Parameters
    ----------
    items : sequence
        Entries: mappings ``{"name": ..., **parameters}``, names, or ready specifications; in
        Python also functions and dataclasses themselves.

    Raises
    ------
    ConfigError
        If an entry has another form, an unknown name or parameter, or an invalid value; the message
        gives its position in the list, from 0.
    """
    if isinstance(items, (str, Mapping)) or not isinstance(items, Sequence):
        raise ConfigError(f"features must be a list. Got {items!r} instead.")
    specs = []
    for i, item in enumerate(items):
        try:
            specs.append(_parse(item))
            build_feature(specs[-1])
        except ConfigError as error:
            error.within(i)
            error.place = f"features[{i}]: "
            raise
    return tuple(specs)


def _parse(item: object) -> FeatureSpec:
    if isinstance(item, FeatureSpec):
        return item
    if isinstance(item, str):
        return _named(item, {})
    if isinstance(item, Mapping) and "name" in item:
        name = item["name"]
        params = {k: v for k, v in item.items() if k != "name"}
        return _named(_given(name).name if callable(name) else name, params)
    if isinstance(item, Mapping) or not (callable(item) or dataclasses.is_dataclass(item)):
        rule = "must be a mapping with a name and parameters"
        raise ConfigError(f"{rule}. Got {shorten(repr(item), 80)} instead.", rule=rule, value=item)
    return _given(item)


def _named(name: Any, params: Mapping[str, Any]) -> FeatureSpec:
    """Return a specification; the function of ``talib:RSI`` becomes a parameter of ``talib``."""
    prefix = f"{talib_function.NAME}:"
    if isinstance(name, str) and name.startswith(prefix):
        return FeatureSpec(talib_function.NAME, talib_function.parameters_of(name, params))
    return FeatureSpec(name, params)


def _given(item: object) -> FeatureSpec:
    """Return the specification of a function or dataclass that was given in Python."""
    spec = FEATURES.spec(FEATURES.build(item))
    name, params = (spec, {}) if isinstance(spec, str) else (spec.pop("name"), spec)
    if "<" in name:  # <lambda>, <locals>
        rule = "must be defined at the top level of a module or notebook, to be found by its name"
        raise ConfigError(f"the feature {name!r} {rule}.", rule=rule, value=item)
    return FeatureSpec(name, params)


def list_features() -> tuple[Description, ...]:
    """Describe every registered feature, by name."""
    return FEATURES.describe()
