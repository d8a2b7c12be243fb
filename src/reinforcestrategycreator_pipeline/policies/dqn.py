"""The deep Q-network as a strategy, trained on the exogenous market of the training span."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

import numpy as np

from reinforcestrategycreator_pipeline.checks import Strict
from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.span import MarketSpan
from reinforcestrategycreator_pipeline.errors import at
from reinforcestrategycreator_pipeline.features.scaling import ScalerConfig
from reinforcestrategycreator_pipeline.memory import require_memory
from reinforcestrategycreator_pipeline.models.base import MODELS, Model
from reinforcestrategycreator_pipeline.models.implementations.dqn import (
    DQNConfig,
    DQNHyperparameters,
)
from reinforcestrategycreator_pipeline.models.learner.size import require_network_memory
from reinforcestrategycreator_pipeline.nn.heads.catalog import build_head
from reinforcestrategycreator_pipeline.nn.losses import require_slope
from reinforcestrategycreator_pipeline.nn.network import NetworkSpec
from reinforcestrategycreator_pipeline.policies.base import STRATEGIES, Policy, Row, Work
from reinforcestrategycreator_pipeline.policies.baselines import FallbackPolicy, best_constant
from reinforcestrategycreator_pipeline.policies.dqn_training import (
    MarketTrainer,
    TrainingConfig,
    require_single_steps,
)
from reinforcestrategycreator_pipeline.policies.q_policy import QPolicy
from reinforcestrategycreator_pipeline.registry import NameOf
from reinforcestrategycreator_pipeline.storage.checkpoints import CheckpointStore

# Chosen on the training and validation splits of the sample, never on a test split. Larger networks
# memorize the training bars within seconds. A training step sees all actions of 128 bars.
MARKET_HYPERPARAMETERS = DQNHyperparameters(
    hidden_layers=(32, 32),
    learning_rate=3e-4,
    gamma=0.9,
    batch_size=128,
    buffer_size=100_000,
    target_update_interval=200,
    exploration_final=0.1,
    exploration_fraction=0.5,
    learning_starts=4_096,
    train_frequency=1,
    gradient_steps=4,
)


@STRATEGIES.register("dqn")
@dataclass(frozen=True)
class DQNStrategy(Strict):
    """The greedy policy of a deep Q-network, learned from every action of every training bar.

    Attributes
    ----------
    model : str
        A registered model, or ``"module:Class"`` for a variant of the DQN.
    hyperparameters : DQNHyperparameters
        Hyperparameters of the network and its training; these defaults suit markets.
    scaler : ScalerConfig
        Scaling of the features; fitted on the training span.
    dtype : {"float32", "float64"}
        Number type of the network.
    training : TrainingConfig
        Length of training, and selection of the best weights.
    """

    model: Annotated[str, NameOf(MODELS)] = "dqn"
    hyperparameters: DQNHyperparameters = MARKET_HYPERPARAMETERS
    scaler: ScalerConfig = field(default_factory=ScalerConfig)
    dtype: Literal["float32", "float64"] = "float32"
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        with at("hyperparameters"):
            require_single_steps(self.hyperparameters)
        with at("model"):
            MODELS.get(self.model)
        with at("hyperparameters"):
            build_head(self.hyperparameters)  # raises for invalid hyperparameters of the head
            self._require_memory(1, 2)  # at least so many inputs and actions

    @property
    def label(self) -> str:
        """Display name: "DQN", or the name of the user's model class."""
        return "DQN" if self.model == "dqn" else self.model.rpartition(":")[2]

    def _require_memory(self, n_inputs: int, n_actions: int, held_out: int = 0) -> None:
        """Require memory for the replay, a training step, and the `held_out` states."""
        hp = self.hyperparameters
        require_memory(hp.buffer_size * 8, "DQN", "buffer_size", hp.buffer_size)
        outputs = build_head(hp).n_outputs
        options = hp.dueling, hp.layer_norm, hp.noisy
        spec = NetworkSpec(n_inputs, hp.hidden_layers, n_actions, outputs, *options)
        rows = hp.batch_size * (n_actions if self.training.counterfactual else 1)
        dtype = np.dtype(self.dtype)
        require_network_memory(spec, dtype, rows, hp.batch_size)
        widest = max(n_inputs, *spec.hidden, n_actions * outputs)
        acting = max(self.training.trajectories, held_out) * 3 * widest * dtype.itemsize
        if self.training.trajectories > held_out:
            require_memory(acting, "TrainingConfig", "trajectories", self.training.trajectories)
        else:
            require_memory(acting, "DQN", "hidden_layers", list(hp.hidden_layers))

    def rehearsal(self) -> DQNStrategy:
        """Return a copy with minimal training, to check that all parts work together.

        Raises
        ------
        ConfigError
            If the derivative of the loss is wrong.
        """
        if self.hyperparameters.head == "expected":
            require_slope(self.hyperparameters.loss, self.hyperparameters.huber_delta)
        few: dict[str, Any] = {
            "batch_size": 4,
            "buffer_size": 64,
            "learning_starts": 0,
            "train_frequency": 1,
            "gradient_steps": 1,
        }
        return replace(
            self,
            hyperparameters=replace(self.hyperparameters, **few),
            training=replace(self.training, steps=2, trajectories=2, validation_interval=1),
        )

    def quick(self) -> DQNStrategy:
        """Return a copy that is trained within a second or two, to try things out."""
        few = replace(self.training, steps=min(self.training.steps, 1_000))
        return replace(self, training=few)

    def fit(self, train: MarketSpan, validation: MarketSpan, work: Work) -> Policy:
        """Train, or resume from the newest valid checkpoint; return the best validated policy.

        If it grew no more on the validation span than a constant target, return that.
        """
        scaler = self.scaler.fit(np.concatenate([a.features for a in train.assets]))
        rules = train.rules
        grid = rules.positions, rules.costs, rules.reward
        market = ExogenousMarket(train.assets, *grid, scaler=scaler)
        held_out = ExogenousMarket(validation.assets, *grid, market.reward_scale, scaler)
        self._require_memory(market.n_inputs, market.n_positions, len(held_out.features))
        make: Any = MODELS.get(self.model)
        config = DQNConfig(self.hyperparameters, work.seeds.integer(), self.dtype)
        model: Model = make(config)
        total = self.training.steps
        trainer = MarketTrainer(
            model,
            market,
            held_out,
            self.training,
            work.seeds.integer(),
            CheckpointStore(work.folder) if work.folder else None,
            lambda row: work.progress(row["step"], total, **_texts(row)),
        )
        work.resume_training(trainer, total)
        result = trainer.run()
        constant, growth = best_constant(held_out)
        work.history[:] = [{**row, "constant_growth": growth} for row in result.history]
        work.facts |= {
            "unused_columns": scaler.unused(train.inputs.names),
            "steps": result.steps,
            "stopped_early": result.stopped_early,
            "best_step": result.best_step,
            "best_validation_growth": result.best_validation_growth,
            "reward_scale": market.reward_scale,
            "loss_floor": trainer.loss_floor(),
            "constant_validation_growth": growth,
        }
        if self.training.fallback and not result.best_validation_growth > growth:
            learned = result.best_validation_growth
            policy = FallbackPolicy(rules.positions, train.inputs, constant, growth, learned)
            work.facts["fallback"] = f"The policy is a {policy.describe()}."
            work.say(work.facts["fallback"])
            return policy
        return QPolicy(rules.positions, train.inputs, scaler, model.policy_network())


def _texts(row: Row) -> dict[str, str]:
    """Return the texts beside the progress bar for a row of the history."""
    texts = {"loss": f"{row['loss']:.4g}", "speed": f"{row['steps_per_second']:,.0f} steps/s"}
    if row["validation_growth"] is not None:
        texts["validation"] = f"{row['validation_growth']:+.1%}"
    return texts
