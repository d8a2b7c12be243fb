"""One seed -> named, independent generators, whose state can be saved as JSON."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np


def generator(seed: int, name: str) -> np.random.Generator:
    """Return the generator called `name` of the family that `seed` defines.

    The name, not the order of calls, selects the stream, so that a new consumer of randomness
    changes no other consumer's draws.

    Parameters
    ----------
    seed : int
        The run's one seed, >= 0.
    name : str
        The consumer, such as ``"replay"``.
    """
    key = zlib.crc32(name.encode("utf-8"))
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(key,))))


def generator_state(rng: np.random.Generator) -> dict[str, Any]:
    """Return the state of `rng` as a JSON-ready mapping."""
    return dict(rng.bit_generator.state)


def restore_generator(rng: np.random.Generator, state: dict[str, Any]) -> None:
    """Set `rng` to a state that `generator_state` returned."""
    rng.bit_generator.state = state


@dataclass(frozen=True)
class Seeds:
    """The run's seed, in a place of its own: a window, a trial, an agent.

    Attributes
    ----------
    seed : int
        The run's one seed, >= 0.
    scope : str
        Goes before every generator's name, so that two folds of one seed draw different numbers.
    """

    seed: int
    scope: str = ""

    def generator(self, name: str) -> np.random.Generator:
        """Return the generator called `name` within the scope."""
        return generator(self.seed, self.scope + name)

    def within(self, scope: str) -> Seeds:
        """Return the seeds of a place inside this one."""
        return Seeds(self.seed, f"{self.scope}{scope}/")

    def integer(self) -> int:
        """Return a seed for what takes a plain integer: the run's own outside any scope."""
        if not self.scope:
            return self.seed
        return int(self.generator("seed").integers(2**63))
