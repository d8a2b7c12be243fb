"""Named tensors that are views into one flat buffer.

With one buffer, the optimizer updates all parameters in a few long passes; users and files see them
by name (``W0, b0, W1, ...``). Assigning to a name writes into the buffer, so the two views cannot
diverge.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.errors import ConfigError, nearest

Layer = tuple[Array, Array]

ALIGNMENT = 64
"""Bytes of a line of the cache. NumPy aligns to 16; products and long passes are slower then."""


V = TypeVar("V")


class _FixedNames(dict[str, V]):
    """A dict with a fixed set of names, where every write goes through ``__setitem__``."""

    def update(self, *others: Any, **values: Any) -> None:
        """Assign the given items, as `dict.update` does."""
        for name, value in dict(*others, **values).items():
            self[name] = value

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc]
        self.update(other)
        return self

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise ConfigError(f"the parts of a network are fixed: {', '.join(self)}")

    __delitem__ = pop = popitem = clear = _refuse
    setdefault = _refuse  # pyright: ignore[reportAssignmentType]


class NamedTensors(_FixedNames[Array]):
    """A dict of arrays that are views into one flat buffer.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Names and shapes, in buffer order.
    dtype : dtype
        Type of all tensors.
    buffer : ndarray, shape (total,), optional
        Existing buffer to use, such as one row of the buffer of several agents; by default a new
        one, filled with zeros.

    Attributes
    ----------
    flat : ndarray, shape (total,)
        The buffer. The dict's values are always views into it: assigning to a name copies the value
        into its view.
    layers : tuple of (W, b)
        The views in pairs, ``(W0, b0), (W1, b1), ...``.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        dtype: DTypeLike,
        buffer: Array | None = None,
    ) -> None:
        counts = [int(np.prod(shape)) for shape in shapes.values()]
        self.flat = np.zeros(sum(counts), dtype=dtype) if buffer is None else buffer
        assert self.flat.shape == (sum(counts),)
        offset = 0
        views = {}
        for (name, shape), count in zip(shapes.items(), counts, strict=True):
            views[name] = self.flat[offset : offset + count].reshape(shape)
            offset += count
        super().__init__(views)
        n_layers = sum(name[0] == "W" for name in shapes)
        self.layers = tuple((self[f"W{i}"], self[f"b{i}"]) for i in range(n_layers))

    def _checked(self, name: str, value: ArrayLike) -> Array:
        if name not in self:
            raise ConfigError(f"the network has no tensor {name!r}.{nearest(name, self)}")
        array = np.asarray(value)
        if array.shape != self[name].shape:
            raise ConfigError(
                f"the tensor {name} must have the shape {self[name].shape}. "
                f"Got {array.shape} instead."
            )
        return array

    def __setitem__(self, name: str, value: ArrayLike) -> None:
        self[name][...] = self._checked(name, value)

    def assign(self, values: Mapping[str, ArrayLike]) -> None:
        """Copy every tensor from `values`, which must have exactly the same names."""
        if values.keys() != self.keys():
            odd = sorted(values.keys() ^ self.keys())
            raise ConfigError(f"the tensors must be {', '.join(self)}; missing or extra: {odd}")
        arrays = {name: self._checked(name, value) for name, value in values.items()}
        for name, array in arrays.items():  # only after all are checked: all or nothing
            self[name][...] = array

    def __reduce_ex__(self, protocol: Any) -> Any:
        # copy and deepcopy give a plain dict of arrays: a snapshot that shares no memory.
        return dict, ({name: array.copy() for name, array in self.items()},)


class NetworkState(_FixedNames[Any]):
    """The dict ``{"weights": ..., "optimizer_state": {"t", "m", "v"}}`` of a network.

    Assigning a mapping to ``"weights"`` or ``"optimizer_state"`` copies its tensors into the
    existing buffers.
    """

    def __setitem__(self, key: str, value: Any) -> None:
        if key not in self:
            raise ConfigError(f"a network has no part {key!r}.{nearest(key, self)}")
        current = self[key]
        if isinstance(current, NamedTensors):
            current.assign(value)
        elif isinstance(current, NetworkState):
            current.replace(value)
        else:
            super().__setitem__(key, value)

    def replace(self, parts: Mapping[str, Any]) -> None:
        """Assign every part in `parts`; others are unchanged."""
        for key, value in parts.items():
            self[key] = value

    def __reduce_ex__(self, protocol: Any) -> Any:
        return dict, (dict(self.items()),)


def aligned_zeros(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Return zeros that start at a multiple of `ALIGNMENT` bytes."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    memory = np.zeros(size + ALIGNMENT, dtype=np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def iter_tensors(prefix: str, tensors: NamedTensors) -> Iterator[tuple[str, Array]]:
    """Yield ``("{prefix}.{name}", array)`` for every tensor."""
    for name, array in tensors.items():
        yield f"{prefix}.{name}", array
