"""An ensemble of deep Q-networks as a strategy: it acts only where its agents know."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import numpy as np

from reinforcestrategycreator_pipeline.checks import Ge, Le, Strict
from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.span import MarketSpan
from reinforcestrategycreator_pipeline.errors import at
from reinforcestrategycreator_pipeline.execution.costs import BPS
from reinforcestrategycreator_pipeline.features.scaling import ScalerConfig
from reinforcestrategycreator_pipeline.memory import require_memory
from reinforcestrategycreator_pipeline.models.learner.size import require_network_memory
from reinforcestrategycreator_pipeline.nn.network import NetworkSpec, apply
from reinforcestrategycreator_pipeline.nn.policy_network import PolicyNetwork
from reinforcestrategycreator_pipeline.policies.base import STRATEGIES, Policy, Row, Work
from reinforcestrategycreator_pipeline.policies.baselines import best_constant
from reinforcestrategycreator_pipeline.policies.ensemble_policy import (
    BaselinePolicy,
    EnsemblePolicy,
)
from reinforcestrategycreator_pipeline.policies.ensemble_training import (
    EnsembleResult,
    EnsembleTrainer,
    EnsembleTraining,
)
from reinforcestrategycreator_pipeline.storage.checkpoints import CheckpointStore

ENTERED = 1.01
"""Costs of its first trade that a baseline is worth at least: above 1, or it is not made."""
DRAWN_BYTES = 16
"""Of a drawn bar: its row, and where its returns are."""


@STRATEGIES.register("dqn_ensemble")
@dataclass(frozen=True)
class DQNEnsemble(Strict):
    """Many regularized deep Q-networks that act only where they agree; else it holds the baseline.

    The training and the validation span are both learned from, since nothing is selected on either.

    Attributes
    ----------
    training : EnsembleTraining
        Size of the ensemble, and how it is trained.
    kappa : float
        Weight of the agents' disagreement: a move away from the baseline is made if its mean
        advantage exceeds so many standard deviations over the agents, in [0, 1000].
    baseline : {"auto", "flat", "long", "best"}
        The target to hold where nothing is known: flat; long, the largest exposure up to 1; the
        constant target that grew most on the bars learned from; or, by default, flat on a grid
        with shorts, else long.
    scaler : ScalerConfig
        Scaling of the features; fitted on the bars learned from.
    """

    training: EnsembleTraining = field(default_factory=EnsembleTraining)
    kappa: Annotated[float, Ge(0), Le(1_000)] = 0.5
    baseline: Literal["auto", "flat", "long", "best"] = "auto"
    scaler: ScalerConfig = field(default_factory=ScalerConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        with at("training"):
            self._require_memory(1, 2)  # at least so many inputs and actions

    @property
    def label(self) -> str:
        """Display name."""
        return "DQN ensemble"

    def _require_memory(self, n_inputs: int, n_actions: int) -> None:
        """Require memory for the networks, a training step, and the bars drawn by all agents."""
        training = self.training
        drawn = training.agents * training.drawn_at_once * DRAWN_BYTES
        largest = max("batch_size", "value_interval", key=lambda name: getattr(training, name))
        require_memory(drawn, "EnsembleTraining", largest, getattr(training, largest))
        spec = NetworkSpec(n_inputs, training.hidden_layers, n_actions)
        size = training.batch_size
        require_network_memory(spec, np.dtype(np.float32), size, size, training.agents)

    def rehearsal(self) -> DQNEnsemble:
        """Return a copy with minimal training, to check that all parts work together."""
        few = replace(self.training, agents=2, batch_size=4, screening_steps=2, steps=2)
        return replace(self, training=few)

    def quick(self) -> DQNEnsemble:
        """Return a copy that is trained within a second or two, to try things out."""
        t = self.training
        screening, steps = (min(x, 600) for x in (t.screening_steps, t.steps))
        few = replace(t, agents=min(t.agents, 4), screening_steps=screening, steps=steps)
        return replace(self, training=few)

    def fit(self, train: MarketSpan, validation: MarketSpan, work: Work) -> Policy:
        """Train, or resume from the newest valid checkpoint.

        If the agents agree on the effect of no feature, return the baseline.
        """
        assets = [*train.assets, *validation.assets]
        scaler = self.scaler.fit(np.concatenate([a.features for a in assets]))
        rules = train.rules
        market = ExogenousMarket(assets, rules.positions, rules.costs, rules.reward, scaler=scaler)
        self._require_memory(market.n_inputs, market.n_positions)
        total = self.training.total_steps
        trainer = EnsembleTrainer(
            market,
            self.training,
            work.seeds,
            CheckpointStore(work.folder) if work.folder else None,
            lambda row: work.progress(row["step"], total, **_texts(row)),
        )
        work.resume_training(trainer, total)
        result = trainer.run()
        baseline = self.baseline_of(market)
        work.history[:] = result.history
        names = train.inputs.names
        work.facts |= {
            "steps": result.steps,
            "stages": result.stages,
            "agents": self.training.agents,
            "reward_scale": market.reward_scale,
            "loss_floor": trainer.loss_floor(),
            "baseline": rules.positions[baseline],
            "relevance": dict(zip(names, result.relevance.tolist(), strict=True)),
            "agreement": dict(zip(names, result.agreement.tolist(), strict=False)),
            "agreement_needed": result.threshold,
            "unexplained_reward": result.afterstates.residual,
            "unused_columns": scaler.unused(names),
        }
        if not result.networks:
            constant = BaselinePolicy(rules.positions, train.inputs, baseline)
            work.facts["fallback"] = f"The policy is a {constant.describe()}."
            work.say(work.facts["fallback"])
            return constant
        return EnsemblePolicy(
            rules.positions,
            train.inputs,
            scaler,
            leaning(result, market, baseline, self.training.gamma),
            result.afterstates.cost.astype(np.float64),
            1.0 / market.reward_scale / BPS,
            baseline,
            self.kappa,
            result.relevance,
        )

    def baseline_of(self, market: ExogenousMarket) -> int:
        """Return the index of the baseline in the market's grid of targets."""
        grid = market.positions
        if self.baseline == "best":
            return best_constant(market)[0]
        if self.baseline == "flat" or (self.baseline == "auto" and grid[0] < 0.0):
            return market.flat
        return int(np.flatnonzero(grid <= max(1.0, grid[grid >= 0.0][0])).max())


def leaning(
    result: EnsembleResult, market: ExogenousMarket, baseline: int, gamma: float
) -> tuple[PolicyNetwork, ...]:
    """Return the networks of a training, with the baseline worth the trade that enters it.

    On average over the training bars, holding the baseline is worth at least so much more than
    holding nothing, plus what the drift on which the agents agree adds or takes. Nothing changes if
    the baseline is to hold nothing.
    """
    rows, flat = market.features[market.decision_rows], market.flat
    if baseline == flat:
        return result.networks
    means = np.mean(
        [
            apply(n.spec, n.weights, rows)[..., 0].mean(axis=0, dtype=np.float64)
            for n in result.networks
        ],
        axis=0,
    )
    drift = result.drift[baseline] / (1.0 - gamma) if gamma < 1.0 else result.drift[baseline]
    least = ENTERED * result.afterstates.cost[flat, baseline] + drift
    last = f"b{len(result.networks[0].spec.hidden_layers)}"
    shift = np.zeros_like(result.networks[0].weights[last])
    shift[baseline] = max(0.0, least - (means[baseline] - means[flat]))
    return tuple(
        replace(n, weights={**n.weights, last: n.weights[last] + shift}) for n in result.networks
    )


def _texts(row: Row) -> dict[str, str]:
    """Return the texts beside the progress bar for a row of the history."""
    return {"loss": f"{row['loss']:.4g}", "speed": f"{row['steps_per_second']:,.0f} steps/s"}
