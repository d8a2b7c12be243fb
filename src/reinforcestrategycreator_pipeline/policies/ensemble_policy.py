"""The policy of an ensemble: it moves where its agents agree that moving pays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from reinforcestrategycreator_pipeline.arrays import F64, Array, Ints
from reinforcestrategycreator_pipeline.checks import require_int, require_number
from reinforcestrategycreator_pipeline.envs.grid import toward
from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError, shorten
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.features.scaling import FittedScaler
from reinforcestrategycreator_pipeline.nn.network import apply
from reinforcestrategycreator_pipeline.nn.policy_network import PolicyNetwork
from reinforcestrategycreator_pipeline.policies.base import (
    Choices,
    Columns,
    Confidence,
    Features,
    Policy,
)
from reinforcestrategycreator_pipeline.policies.baselines import ConstantPolicy
from reinforcestrategycreator_pipeline.replay.store import part

OWNER = "EnsemblePolicy"


@dataclass(frozen=True, eq=False)
class BaselinePolicy(ConstantPolicy):
    """The baseline of an ensemble to whose agents no feature mattered.

    Parameters
    ----------
    target : int
        Index of the baseline in `positions`.
    """

    def describe(self) -> str:
        """Return the exposure, and why it is constant."""
        n = len(self.inputs.names)
        return (
            f"{super().describe()}, the baseline: the agents of the ensemble agree on the effect "
            f"of none of the {n} features"
        )


@dataclass(frozen=True, eq=False)
class EnsemblePolicy(Policy):
    """Chooses the target with the largest mean advantage over staying, less a doubt.

    Network k gives the value U_k(q) of holding each target q after the decision. From the previous
    target h, the advantage of moving to q is A_k(q) = U_k(q) - U_k(h) - cost(h, q), and the policy
    chooses

        argmax_q  mean_k A_k(q) - kappa * doubted(h, q) * sd_k A_k(q)

    where sd is the standard deviation over the agents, with K - 1, and doubted is 0 for moves
    towards the baseline and 1 for others. The lowest index wins ties. Each row is computed
    separately, so results are bit-identical bar by bar and in a table of many bars.

    Parameters
    ----------
    scaler : FittedScaler
        Scaler of the features, fitted on the training bars.
    networks : tuple of PolicyNetwork
        One network per agent, alike: from F scaled features to n values.
    cost : ndarray of float64, shape (n, n)
        Cost of a move from one target to another, in the networks' unit.
    unit_bps : float
        Basis points of reward, which by default is log growth, in one of the networks' units.
    baseline : int
        Index of the baseline in `positions`.
    kappa : float
        Weight of the doubt, >= 0.
    relevance : ndarray of float64, shape (F,)
        How far each feature matters, from 0, not at all, to 1.
    """

    scaler: FittedScaler
    networks: tuple[PolicyNetwork, ...]
    cost: F64
    unit_bps: float
    baseline: int
    kappa: float
    relevance: F64

    def __post_init__(self) -> None:
        super().__post_init__()
        n_features, n = len(self.inputs.names), len(self.positions)
        self._require_fit(self.scaler)
        if len(self.networks) < 2:
            raise ConfigError(
                f"an ensemble needs at least 2 networks. Got {len(self.networks)} instead."
            )
        spec = self.networks[0].spec
        if (spec.n_inputs, spec.n_actions, spec.n_outputs) != (n_features, n, 1):
            raise ConfigError(
                f"an ensemble with {n_features} features and {n} positions needs networks with "
                f"{n_features} inputs and one output for each of {n} actions. "
                f"Got {spec.n_inputs}, {spec.n_outputs}, and {spec.n_actions} instead."
            )
        first = self.networks[0]
        for network in self.networks:
            if network.to_header() != first.to_header() or network.dtype != first.dtype:
                raise ConfigError("the networks of an ensemble must be alike.")
        if first.head_name != "expected" or first.normalization is not None or first.masked:
            raise ConfigError(
                "the networks of an ensemble must have the head 'expected', and neither normalized "
                "observations nor action masks."
            )
        require_int(OWNER, "baseline", self.baseline, 0, n - 1)
        require_number(OWNER, "kappa", self.kappa, low=0.0)
        require_number(OWNER, "unit_bps", self.unit_bps, above=0.0)
        for name, shape in (("cost", (n, n)), ("relevance", (n_features,))):
            object.__setattr__(self, name, _frozen(name, getattr(self, name), shape))
        if self.cost.diagonal().any():
            raise ConfigError("the cost of an ensemble must be 0 for staying.")
        if not ((self.relevance >= 0.0) & (self.relevance <= 1.0)).all():
            raise ConfigError("the relevance of an ensemble must be in [0, 1].")

    @cached_property
    def weights(self) -> dict[str, Array]:
        """Weights (K, fan_in, fan_out) of all networks, and biases (K, 1, fan_out)."""
        stacked = {}
        for name in self.networks[0].weights:
            arrays = np.stack([network.weights[name] for network in self.networks])
            stacked[name] = arrays[:, None, :] if arrays.ndim == 2 else arrays
        return stacked

    def choose(self, features: Features, bars: Columns) -> Choices:
        """Return the decisions; see `Policy.choose`."""
        return self._best(*self.advantages(features))

    def choose_fast(self, features: Features, bars: Columns) -> Choices:
        """Return the decisions, from products over all rows; see `Policy.choose_fast`."""
        return self._best(*self._advantages(self._values(features, together=True)))

    def confidence(self, features: Features, bars: Columns) -> Confidence:
        """Return how sure the agents are of the decisions; see `Policy.confidence`."""
        mean, sd = self.advantages(features)
        best = self._best(mean, sd)[:, :, None]
        chosen = (np.take_along_axis(x, best, axis=2)[:, :, 0] for x in (mean, sd))
        return Confidence(*(x * self.unit_bps for x in chosen))

    def _best(self, mean: F64, sd: F64) -> Choices:
        doubted = ~toward(len(self.positions), self.baseline)
        best: Ints = (mean - self.kappa * (doubted * sd)).argmax(axis=2)
        return best

    def values(self, features: F64) -> Array:
        """Return the value of holding each target, by agent.

        Parameters
        ----------
        features : ndarray of float64, shape (R, F)
            Unscaled features of each bar.

        Returns
        -------
        ndarray, shape (R, K, n)
            Finite values of the networks' dtype.

        Raises
        ------
        NonFiniteError
            If a feature or a value is not finite.
        """
        return self._values(features)

    @np.errstate(over="ignore", invalid="ignore")  # checked
    def _values(self, features: F64, together: bool = False) -> Array:
        network = self.networks[0]
        scaled = self.scaler.transform(self._checked(features), np.float32)
        rows = np.ascontiguousarray(scaled, network.dtype)
        if together:
            u: Array = apply(network.spec, self.weights, rows[None])[..., 0].transpose(1, 0, 2)
        else:
            shape = (len(rows), len(self.networks), 1, rows.shape[1])
            each = np.broadcast_to(rows[:, None, None, :], shape)
            u = apply(network.spec, self.weights, each)[:, :, 0, :, 0]
        _require_finite(u)
        return u

    def advantages(self, features: F64) -> tuple[F64, F64]:
        """Return the mean advantage over staying, net of costs, and its spread over the agents.

        Parameters
        ----------
        features : ndarray of float64, shape (R, F)
            Unscaled features of each bar.

        Returns
        -------
        mean, sd : ndarray of float64, shape (R, n, n)
            In the networks' unit, from each previous target to each target; 0 for staying.

        Raises
        ------
        NonFiniteError
            If a feature, a value or the spread is not finite.
        """
        return self._advantages(self._values(features))

    @np.errstate(over="ignore", invalid="ignore")  # checked
    def _advantages(self, values: Array) -> tuple[F64, F64]:
        u = values.astype(np.float64)
        agents = len(self.networks)
        each = u[:, :, None, :] - u[:, :, :, None]
        # Sums over a leading axis are made in one order, whatever the number of rows.
        mean = sum(each[:, k] for k in range(agents)) / agents
        square = sum(np.square(each[:, k] - mean) for k in range(agents))
        sd: F64 = np.sqrt(square / (agents - 1))
        _require_finite(sd)
        return mean - self.cost, sd

    def describe(self) -> str:
        """Return the size of the ensemble, its rule, and the features that matter to it."""
        order = np.argsort(-self.relevance, kind="stable")
        used = [self.inputs.names[f] for f in order if self.relevance[f] > 0.0]
        names = ", ".join(used[:3]) + (f", and {len(used) - 3} more" if len(used) > 3 else "")
        return (
            f"ensemble of {len(self.networks)} action-value networks: "
            f"{self.networks[0].describe()} each; reads {len(used)} of "
            f"{len(self.inputs.names)} features ({names}); baseline "
            f"{self.positions[self.baseline]:g}, kappa {self.kappa:g}"
        )

    def to_parts(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the tensors of all networks, and a header with everything else."""
        tensors: dict[str, Array] = {"cost": self.cost, "relevance": self.relevance}
        for k, network in enumerate(self.networks):
            tensors |= {f"{k}.{name}": array for name, array in network.to_tensors().items()}
        header = {
            "positions": list(self.positions),
            "inputs": self.inputs.to_json(),
            "scaler": self.scaler.to_dict(),
            "unit_bps": self.unit_bps,
            "baseline": self.baseline,
            "kappa": self.kappa,
            "agents": len(self.networks),
            **self.networks[0].to_header(),
        }
        return tensors, header

    @classmethod
    def from_parts(cls, tensors: Mapping[str, Array], header: Mapping[str, Any]) -> EnsemblePolicy:
        """Rebuild a policy from the result of `to_parts`; further keys are ignored."""
        networks = tuple(_network(k, tensors, header) for k in range(header["agents"]))
        agents = {str(k) for k in range(len(networks))}
        for name in sorted(tensors):
            if name not in ("cost", "relevance") and name.partition(".")[0] not in agents:
                raise ConfigError(
                    f"an ensemble of {len(networks)} agents has no tensor {shorten(repr(name))}."
                )
        return cls(
            positions=tuple(header["positions"]),
            inputs=Inputs.from_json(header["inputs"]),
            scaler=FittedScaler.from_dict(header["scaler"]),
            networks=networks,
            cost=tensors["cost"],
            unit_bps=header["unit_bps"],
            baseline=header["baseline"],
            kappa=header["kappa"],
            relevance=tensors["relevance"],
        )


def _network(k: int, tensors: Mapping[str, Array], header: Mapping[str, Any]) -> PolicyNetwork:
    """Return the network of agent k."""
    try:
        return PolicyNetwork.from_parts(part(tensors, f"{k}."), header)
    except ConfigError as error:
        raise ConfigError(f"agent {k}: {error}") from error


def _frozen(name: str, array: Array, shape: tuple[int, ...]) -> F64:
    """Return a read-only copy, checked for its shape, type and finite values."""
    if array.shape != shape or array.dtype != np.float64 or not np.isfinite(array).all():
        raise ConfigError(
            f"the {name} of this ensemble must be finite float64 of shape {shape}. "
            f"Got {array.dtype} of shape {array.shape}."
        )
    copy: F64 = array.copy()
    copy.flags.writeable = False
    return copy


def _require_finite(values: Array) -> None:
    """Raise unless all values, shape (R, n, n) or (R, K, n), are finite."""
    finite = np.isfinite(values).all(axis=(1, 2))
    if not finite.all():
        raise NonFiniteError(
            f"the values of row {int(finite.argmin())} are not finite, so no order is placed"
        )
