"""What a data source is, and the register of them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.registry import Registry


@runtime_checkable
class DataSource(Protocol):
    """A frozen dataclass whose fields are its parameters, and which loads market data."""

    def load(self, rng: np.random.Generator) -> MarketData:
        """Return validated, adjusted bars.

        Parameters
        ----------
        rng : Generator
            The only randomness that a source may use.

        Raises
        ------
        DataError
            If there are no such data, or they break a rule.
        """
        ...


SOURCES: Registry[type[DataSource]] = Registry("data source")
