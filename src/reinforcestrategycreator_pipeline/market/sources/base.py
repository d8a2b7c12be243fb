"""The protocol of data sources, and their registry."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from reinforcestrategycreator_pipeline.market.bars import MarketData
from reinforcestrategycreator_pipeline.registry import Registry


@runtime_checkable
class DataSource(Protocol):
    """A frozen dataclass that loads market data; its fields are its parameters.

    A source may also have a method ``fingerprint() -> dict[str, str]`` that identifies its inputs,
    usually files by their SHA-256; a run loads the data again when the result changes. Without the
    method, the files and folders that the parameters name are hashed.
    """

    def load(self, rng: np.random.Generator) -> MarketData:
        """Return validated, adjusted bars.

        Parameters
        ----------
        rng : Generator
            Only permitted source of randomness, for synthetic markets; a source that reads data
            ignores it.

        Raises
        ------
        DataError
            If the data do not exist or break a rule.
        """
        ...


SOURCES: Registry[type[DataSource]] = Registry("data source", ("load",))
