"""Copies of models whose networks are views into one buffer: deep and working, or none.

A shallow copy would train the networks of the original, and a pickle would load as arrays that no
training step reads.
"""

from __future__ import annotations

from typing import Any, Never

from reinforcestrategycreator_pipeline.errors import ConfigError


class DeepCopiesOnly:
    """Base class that rejects `copy.copy` and pickling; a subclass defines ``__deepcopy__``."""

    _instead = "save(path, replay=True) and load(path)"

    def __copy__(self) -> Never:
        raise ConfigError(
            f"copy.copy of a {type(self).__name__} would share its networks with the original: "
            f"use copy.deepcopy, or {self._instead}"
        )

    def __reduce_ex__(self, protocol: Any) -> Never:
        raise ConfigError(
            f"a {type(self).__name__} cannot be pickled, nor sent to another process as it is: "
            f"use {self._instead}"
        )


class NoCopies(DeepCopiesOnly):
    """Base class of a part of a model, which rejects `copy.deepcopy`, too."""

    _instead = "copy.deepcopy of the whole DQN, or its save(path, replay=True) and load(path)"

    def __copy__(self) -> Never:
        raise self._refusal()

    def __deepcopy__(self, memo: dict[int, Any]) -> Never:
        raise self._refusal()

    def _refusal(self) -> ConfigError:
        kind = type(self).__name__
        return ConfigError(f"a {kind} cannot be copied without its DQN: use {self._instead}")
