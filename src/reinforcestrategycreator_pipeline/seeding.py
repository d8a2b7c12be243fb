"""Named, independent random generators from one seed; their state can be saved as JSON."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np


def generator(seed: int, name: str) -> np.random.Generator:
    """Return the generator named `name` of the family defined by `seed`.

    The name, not the order of calls, selects the stream, so adding a consumer of random numbers
    does not change the draws of any other.

    Parameters
    ----------
    seed : int
        Seed of the run, >= 0.
    name : str
        Name of the consumer, such as ``"replay"``. It determines the numbers: never rename one.
    """
    key = zlib.crc32(name.encode("utf-8"))
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(key,))))


def generator_state(rng: np.random.Generator) -> dict[str, Any]:
    """Return the state of `rng` as a JSON-serializable mapping."""
    return dict(rng.bit_generator.state)


def restore_generator(rng: np.random.Generator, state: dict[str, Any]) -> None:
    """Set `rng` to a state returned by `generator_state`."""
    rng.bit_generator.state = state


@dataclass(frozen=True)
class Seeds:
    """The seed of a run together with a scope: a window, a trial, or an agent.

    Attributes
    ----------
    seed : int
        Seed of the run, >= 0.
    scope : str
        Prefix of every generator's name, so two folds with one seed draw different numbers.
    """

    seed: int
    scope: str = ""

    def generator(self, name: str) -> np.random.Generator:
        """Return the generator named `name` within the scope."""
        return generator(self.seed, self.scope + name)

    def within(self, scope: str) -> Seeds:
        """Return the seeds of a scope nested in this one."""
        return Seeds(self.seed, f"{self.scope}{scope}/")

    def integer(self) -> int:
        """Return a plain integer seed; outside any scope, the seed of the run itself."""
        if not self.scope:
            return self.seed
        return int(self.generator("seed").integers(2**63))
