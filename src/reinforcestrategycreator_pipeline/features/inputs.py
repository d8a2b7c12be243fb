"""The description of a policy's features; it needs only NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reinforcestrategycreator_pipeline.checks import is_int
from reinforcestrategycreator_pipeline.errors import ConfigError, nearest

if TYPE_CHECKING:
    from reinforcestrategycreator_pipeline.features.base import FeatureSpec


@dataclass(frozen=True)
class Inputs:
    """The features that a policy reads.

    Attributes
    ----------
    names : tuple of str
        Names of the F columns, all different; none for a policy that reads prices alone.
    lookback : int
        Number of bars before the first one with all features, >= 0; the largest of all symbols.
    specs : tuple of mapping
        Specifications of the features as in the configuration: ``{"name": ..., **parameters}``.

    Raises
    ------
    ConfigError
        If two names are equal, or if the lookback is not an integer >= 0.
    """

    names: tuple[str, ...]
    lookback: int = 0
    specs: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        names = self.names
        if len(set(names)) != len(names) or not all(isinstance(n, str) for n in names):
            raise ConfigError(f"feature names must all be different. Got {names!r}.")
        if not is_int(self.lookback) or self.lookback < 0:
            raise ConfigError(f"a lookback must be an integer >= 0. Got {self.lookback!r}.")

    def column(self, name: str) -> int:
        """Return the position of the column `name` in an array of features.

        Raises
        ------
        ConfigError
            If there is none; the message offers the nearest name.
        """
        if name not in self.names:
            raise ConfigError(f"there is no feature column {name!r}.{nearest(name, self.names)}")
        return self.names.index(name)

    def parsed(self) -> tuple[FeatureSpec, ...]:
        """Return the parsed specifications."""
        from reinforcestrategycreator_pipeline.features.catalog import parse_specs

        return parse_specs(self.specs)

    def to_json(self) -> dict[str, Any]:
        """Return a mapping for JSON."""
        specs = [dict(spec) for spec in self.specs]
        return {"names": list(self.names), "lookback": self.lookback, "specs": specs}

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any]) -> Inputs:
        """Restore inputs from the result of `to_json`."""
        return cls(tuple(mapping["names"]), mapping["lookback"], tuple(mapping["specs"]))
