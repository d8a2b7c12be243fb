"""The greedy policy of an action-value network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Array, Ints
from reinforcestrategycreator_pipeline.envs.state import StateLayout
from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.nn.policy_network import PolicyNetwork
from reinforcestrategycreator_pipeline.policies.base import Choices, Columns, Features, Policy


@dataclass(frozen=True, eq=False)
class QPolicy(Policy):
    """Chooses the target with the largest action value; the lowest index wins ties.

    The state is the same as in training: the features of the bar that just closed, scaled and cast
    to float32, then the previous target as a one-hot vector. Each row is computed separately, so
    results are bit-identical bar by bar and in a table of many bars.

    Parameters
    ----------
    scaler : FittedScaler
        Scaler of the features, fitted on the training span.
    network : PolicyNetwork
        Network with the features and the one-hot vector as inputs, and one action per position.
    """

    scaler: FittedScaler
    network: PolicyNetwork

    def __post_init__(self) -> None:
        super().__post_init__()
        n_features, n = len(self.inputs.names), len(self.positions)
        self._require_fit(self.scaler)
        spec, needed = self.network.spec, (n_features + n, n)
        if (spec.n_inputs, spec.n_actions) != needed:
            raise ConfigError(
                f"a policy with {n_features} features and {n} positions needs a network with "
                f"{needed[0]} inputs and {needed[1]} actions. "
                f"Got {spec.n_inputs} and {spec.n_actions} instead."
            )
        object.__setattr__(self, "_layout", StateLayout(n_features, n))

    def choose(self, features: Features, bars: Columns) -> Choices:
        """Return the greedy decisions; see `Policy.choose`."""
        best: Ints = self.values(features).argmax(axis=2)
        return best

    def values(self, features: F64) -> Array:
        """Return the action values for each previous target.

        Parameters
        ----------
        features : ndarray of float64, shape (R, F)
            Unscaled features of each bar.

        Returns
        -------
        ndarray, shape (R, n, n)
            Finite values of the network's dtype. Element (r, i, q) is the value of moving from
            target i to target q at row r.

        Raises
        ------
        NonFiniteError
            If a feature or a value is not finite.
        """
        n = len(self.positions)
        layout: StateLayout = self._layout  # type: ignore[attr-defined]
        scaled = self.scaler.transform(self._checked(features), np.float32)
        states = layout.compose(scaled[:, None, :], np.arange(n))
        q = self.network.values(states.reshape(-1, layout.n_inputs)).reshape(-1, n, n)
        finite = np.isfinite(q).all(axis=(1, 2))
        if not finite.all():
            raise NonFiniteError(
                f"the action values of row {int(finite.argmin())} are not finite, so no order is "
                f"placed"
            )
        return q

    def describe(self) -> str:
        """Return a one-line description of the network."""
        return f"action-value network: {self.network.describe()}"

    def to_parts(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the tensors of the network, and a header with everything else."""
        header = {
            "positions": list(self.positions),
            "inputs": self.inputs.to_json(),
            "scaler": self.scaler.to_dict(),
            **self.network.to_header(),
        }
        return self.network.to_tensors(), header

    @classmethod
    def from_parts(cls, tensors: Mapping[str, Array], header: Mapping[str, Any]) -> QPolicy:
        """Rebuild a policy from the result of `to_parts`; further keys are ignored."""
        return cls(
            positions=tuple(header["positions"]),
            inputs=Inputs.from_json(header["inputs"]),
            scaler=FittedScaler.from_dict(header["scaler"]),
            network=PolicyNetwork.from_parts(tensors, header),
        )
