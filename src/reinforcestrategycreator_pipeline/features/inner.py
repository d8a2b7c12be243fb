"""The feature of this package that another one is made of, from its mapping."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reinforcestrategycreator_pipeline.checks import from_mapping
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.features.base import FEATURES, Feature, FeatureSpec
from reinforcestrategycreator_pipeline.features.market_features import is_of_market


def inner_feature(of: Mapping[str, Any]) -> Feature:
    """Return the feature that the parameter `of` describes: ``{"name": ..., **parameters}``.

    Raises
    ------
    ConfigError
        If it is not of this package, or of the market itself, or a parameter is wrong.
    """
    spec = FeatureSpec(name_of(of), {key: value for key, value in of.items() if key != "name"})
    if ":" in spec.name:
        raise ConfigError(
            "the parameter 'of' must be a feature of this package, by its name. For one of your "
            f"own, compute it in a feature of your own. Got {spec.name!r}."
        )
    feature: Any = from_mapping(FEATURES.get(spec.name), spec.params, f"'{spec.name}'")
    if is_of_market(feature):
        raise ConfigError(f"the parameter 'of' is of the market itself: {spec.name!r}.")
    return feature  # type: ignore[no-any-return]


def name_of(of: Mapping[str, Any]) -> str:
    """Return the name of the feature that the parameter `of` describes."""
    return str(of.get("name", ""))
