"""The feature of this package that another one is made of, as its parameter `of` gives it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from reinforcestrategycreator_pipeline.checks import Strict, from_mapping
from reinforcestrategycreator_pipeline.errors import ConfigError, at
from reinforcestrategycreator_pipeline.features.base import FEATURES, Feature, FeatureSpec
from reinforcestrategycreator_pipeline.features.market_features import is_of_market

Of: TypeAlias = str | Mapping[str, Any]
"""A feature by its name, or by ``{"name": ..., **parameters}``."""


@dataclass(frozen=True)
class OfAnother(Strict):
    """Base of features that are made of another one."""

    of: Of

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self._feature  # a wrong one is rejected now

    @functools.cached_property
    def _feature(self) -> Feature:
        return inner_feature(self.of)


def inner_feature(of: Of) -> Feature:
    """Return the feature that the parameter `of` describes: ``{"name": ..., **parameters}``.

    Raises
    ------
    ConfigError
        If it is not of this package, or of the market itself, or a parameter is wrong.
    """
    params = {} if isinstance(of, str) else {k: v for k, v in of.items() if k != "name"}
    with at("of"):
        spec = FeatureSpec(name_of(of), params)
        if ":" in spec.name:
            rule = "must be a feature of this package, by its name; compute your own in your own"
            raise ConfigError(f"{rule}. Got {spec.name!r} instead.", rule=rule, value=spec.name)
        feature: Any = from_mapping(FEATURES.get(spec.name), spec.params, f"'{spec.name}'")
        if is_of_market(feature):
            rule = "must be a feature of the bars of one symbol"
            raise ConfigError(f"{rule}. Got {spec.name!r} instead.", rule=rule, value=spec.name)
    return feature  # type: ignore[no-any-return]


def name_of(of: Of) -> str:
    """Return the name of the feature that the parameter `of` describes."""
    return of if isinstance(of, str) else str(of.get("name", ""))
