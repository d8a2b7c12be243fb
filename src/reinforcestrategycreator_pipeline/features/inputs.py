"""What the features are that a policy reads; needs NumPy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reinforcestrategycreator_pipeline.checks import is_int
from reinforcestrategycreator_pipeline.errors import ConfigError

if TYPE_CHECKING:
    from reinforcestrategycreator_pipeline.features.base import FeatureSpec


@dataclass(frozen=True)
class Inputs:
    """What the features are.

    Attributes
    ----------
    names : tuple of str
        The F columns, all different; none for a policy that reads prices alone.
    lookback : int
        Bars before the first one that has all its features: the largest of all symbols.
    specs : tuple of mapping
        What computes them, in the configuration's form: ``{"name": ..., **parameters}``.

    Raises
    ------
    ConfigError
        If the names are not different, or the lookback is no integer >= 0.
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

    def parsed(self) -> tuple[FeatureSpec, ...]:
        """Return the specifications, ready to compute with."""
        from reinforcestrategycreator_pipeline.features.catalog import parse_specs

        return parse_specs(self.specs)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready mapping."""
        specs = [dict(spec) for spec in self.specs]
        return {"names": list(self.names), "lookback": self.lookback, "specs": specs}

    @classmethod
    def from_json(cls, mapping: Mapping[str, Any]) -> Inputs:
        """Rebuild what `to_json` gave."""
        return cls(tuple(mapping["names"]), mapping["lookback"], tuple(mapping["specs"]))
