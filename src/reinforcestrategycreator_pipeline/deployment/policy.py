"""The trained policy: raw features in, target exposure out. Needs NumPy and safetensors alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.checks import is_int
from reinforcestrategycreator_pipeline.deployment.package_files import (
    FEATURES,
    WEIGHTS,
    read_json,
    verify_package,
)
from reinforcestrategycreator_pipeline.envs.grid import check_positions
from reinforcestrategycreator_pipeline.errors import CheckpointError, ConfigError, NonFiniteError
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.nn.policy_network import PolicyNetwork
from reinforcestrategycreator_pipeline.storage.tensor_files import read_tensors

POLICY_FORMAT = "policy/2"
_CHUNK = 2048  # bars at once: bounds the memory of a long table

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Policy:
    """A greedy policy over a grid of target exposures.

    The state is what training saw: the features of the bar that just closed, scaled and cast to
    float32, then the previous target as a one-hot vector. Each row is propagated by itself, so
    that a decision has the same bits bar by bar and in a table of many bars.

    Parameters
    ----------
    network : PolicyNetwork
        Its inputs are the features and the one-hot vector, its actions the positions.
    positions : tuple of float
        The grid of target exposures (fractions of equity), increasing, with 0.
    feature_names : tuple of str
        The F raw features, in order.
    lookback : int
        Bars before the first one that has all its features.
    scaler : FittedScaler
        As fitted on the training rows.
    feature_specs : tuple of mapping
        How the features are computed, in the configuration's form.

    Raises
    ------
    ConfigError
        If the parts do not fit together.
    """

    network: PolicyNetwork
    positions: tuple[float, ...]
    feature_names: tuple[str, ...]
    lookback: int
    scaler: FittedScaler
    feature_specs: tuple[Mapping[str, Any], ...] = ()
    _one_hot: NDArray[np.float32] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "positions", check_positions(self.positions, "Policy"))
        object.__setattr__(self, "feature_names", tuple(self.feature_names))
        object.__setattr__(self, "feature_specs", tuple(self.feature_specs))
        names = self.feature_names
        if not names or len(set(names)) != len(names) or not all(isinstance(n, str) for n in names):
            raise ConfigError(f"a policy's feature names must all be different. Got {names!r}.")
        if not is_int(self.lookback) or self.lookback < 0:
            raise ConfigError(f"a policy's lookback must be an integer >= 0. Got {self.lookback!r}")
        if len(self.scaler.center) != len(names):
            raise ConfigError(
                f"a policy of {len(names)} features needs a scaler of as many. "
                f"Got {len(self.scaler.center)} instead."
            )
        spec, needed = self.network.spec, (len(names) + self.n_positions, self.n_positions)
        if (spec.n_inputs, spec.n_actions) != needed:
            raise ConfigError(
                f"a policy of {len(names)} features and {self.n_positions} positions needs a "
                f"network of {needed[0]} inputs and {needed[1]} actions. "
                f"Got {spec.n_inputs} and {spec.n_actions} instead."
            )
        object.__setattr__(self, "_one_hot", np.eye(self.n_positions, dtype=np.float32))

    @property
    def n_positions(self) -> int:
        """Number of target exposures."""
        return len(self.positions)

    @property
    def flat(self) -> int:
        """Index of the exposure 0, the previous target of an account that starts."""
        return self.positions.index(0.0)

    @classmethod
    def load(cls, folder: str | Path, verify: bool = True) -> Policy:
        """Read a package.

        Parameters
        ----------
        folder : path
            The package.
        verify : bool
            Check every file of it against the manifest first. The weights' own seal is always
            checked.

        Raises
        ------
        CheckpointError
            If the package is missing, damaged, or of another kind.
        """
        folder = Path(folder)
        if verify:
            verify_package(folder)
        tensors, header = read_tensors(folder / WEIGHTS)
        if header.get("format") != POLICY_FORMAT:
            raise CheckpointError(
                f"{folder / WEIGHTS}: not a policy of this version (format "
                f"{header.get('format')!r}, needed {POLICY_FORMAT!r})"
            )
        features = read_json(folder / FEATURES)
        try:
            return cls(
                network=PolicyNetwork.from_parts(tensors, header),
                positions=tuple(header["positions"]),
                feature_names=tuple(features["names"]),
                lookback=features["lookback"],
                scaler=FittedScaler.from_dict(features["scaler"]),
                feature_specs=tuple(features["specs"]),
            )
        except KeyError as error:
            raise CheckpointError(f"{folder}: the package lacks {error}") from error
        except (ConfigError, TypeError, ValueError) as error:
            raise CheckpointError(f"{folder}: {error}") from error

    def q_values(self, raw_features: F64, position_index: int) -> NDArray[Any]:
        """Return the action values of one state.

        Parameters
        ----------
        raw_features : ndarray of float64, shape (F,)
            Unscaled features of the bar that just closed.
        position_index : int
            Index in `positions` of the previous target.

        Returns
        -------
        ndarray, shape (n,)
            Of the network's dtype; finite.

        Raises
        ------
        NonFiniteError
            If a feature or a value is not finite: no order comes from a NaN.
        ConfigError
            If the shape or the index is wrong.
        """
        raw = np.asarray(raw_features, dtype=np.float64)
        if raw.shape != (len(self.feature_names),):
            raise ConfigError(
                f"the policy needs features of shape ({len(self.feature_names)},). "
                f"Got {raw.shape} instead."
            )
        i = position_index
        integer = isinstance(i, (int, np.integer)) and not isinstance(i, bool)
        if not integer or not 0 <= i < self.n_positions:
            raise ConfigError(
                f"a position index must be an integer from 0 to {self.n_positions - 1}. "
                f"Got {i!r} instead."
            )
        q: NDArray[Any] = self._values(raw[None], self._one_hot[i : i + 1])[0, 0]
        return q

    def decide(self, raw_features: F64, position_index: int) -> int:
        """Return the index in `positions` of the best target; see `q_values`."""
        return int(self.q_values(raw_features, position_index).argmax())

    def decision_table(self, raw_features: F64) -> NDArray[np.int64]:
        """Return what `decide` returns for every bar and every previous target.

        Parameters
        ----------
        raw_features : ndarray of float64, shape (T, F)
            Unscaled.

        Returns
        -------
        ndarray of int, shape (T, n)
            Element (t, i): the decision at bar t with the previous target i.
        """
        raw = np.asarray(raw_features, dtype=np.float64)
        if raw.ndim != 2 or raw.shape[1] != len(self.feature_names):
            raise ConfigError(
                f"the policy needs features of shape (T, {len(self.feature_names)}). "
                f"Got {raw.shape} instead."
            )
        table = np.empty((len(raw), self.n_positions), dtype=np.int64)
        for start in range(0, len(raw), _CHUNK):
            rows = slice(start, start + _CHUNK)
            table[rows] = self._values(raw[rows], self._one_hot, start).argmax(axis=2)
        return table

    def _values(self, raw: F64, previous: NDArray[np.float32], first_row: int = 0) -> NDArray[Any]:
        """Return Q of (T, F) raw features under each of k previous targets, shape (T, k, n)."""
        finite = np.isfinite(raw)
        if not finite.all():
            t, f = (int(i) for i in np.argwhere(~finite)[0])
            raise NonFiniteError(
                f"the feature {self.feature_names[f]!r} of row {first_row + t} is {raw[t, f]}; "
                "no order is made of it"
            )
        rows, k = len(raw), len(previous)
        states = np.empty((rows, k, raw.shape[1] + self.n_positions), dtype=np.float32)
        states[:, :, : raw.shape[1]] = self.scaler.transform(raw, np.float32)[:, None, :]
        states[:, :, raw.shape[1] :] = previous
        q = self.network.values(states.reshape(rows * k, -1)).reshape(rows, k, -1)
        if not np.isfinite(q).all():
            t = int(np.argmin(np.isfinite(q).all(axis=(1, 2))))
            raise NonFiniteError(
                f"the action values of row {first_row + t} are not finite; no order is made of them"
            )
        return q
