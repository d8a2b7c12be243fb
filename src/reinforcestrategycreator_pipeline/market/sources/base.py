"""What a data source is, and the register of them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.registry import Registry


@runtime_checkable
class DataSource(Protocol):
    """A frozen dataclass whose fields are its parameters, and which loads market data.

    It may also have a method ``fingerprint() -> dict[str, str]`` that names what its data are made
    from, usually files by their SHA-256: a run loads them again when that has changed. For a
    source without one, the files and folders that its parameters name are hashed.
    """

    def load(self, rng: np.random.Generator) -> MarketData:
        """Return validated, adjusted bars.

        Parameters
        ----------
        rng : Generator
            For a source that draws its market, as the synthetic one does; the only randomness that
            it may use. Who reads data has no use for it.

        Raises
        ------
        DataError
            If there are no such data, or they break a rule.
        """
        ...


SOURCES: Registry[type[DataSource]] = Registry("data source")
