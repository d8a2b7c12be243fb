"""Training of an action-value model on the exogenous market; resumable after any interruption."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import numpy as np

from reinforcestrategycreator_pipeline.checks import Ge, Le, Strict, require
from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.trajectories import MarketTrajectories
from reinforcestrategycreator_pipeline.errors import (
    CheckpointError,
    ConfigError,
    NonFiniteError,
)
from reinforcestrategycreator_pipeline.interrupts import deferred_interrupts
from reinforcestrategycreator_pipeline.limits import MAX_STEPS, Steps, Together
from reinforcestrategycreator_pipeline.models.base import Model
from reinforcestrategycreator_pipeline.models.implementations.dqn_config import DQNHyperparameters
from reinforcestrategycreator_pipeline.models.loops import (
    Best,
    Checkpoints,
    stored_before_training,
    training_steps,
)
from reinforcestrategycreator_pipeline.replay.index import IndexReplay
from reinforcestrategycreator_pipeline.seeding import (
    generator,
    generator_state,
    restore_generator,
)
from reinforcestrategycreator_pipeline.storage.checkpoints import CheckpointStore
from reinforcestrategycreator_pipeline.storage.tensor_files import tensors_sha256

HISTORY_COLUMNS = (
    "step",
    "loss",
    "grad_norm",
    "update_norm",
    "q_mean",
    "q_max",
    "dead_units",
    "learning_rate",
    "exploration_rate",
    "steps_per_second",
    "validation_growth",
)
Row = dict[str, float | None]


@dataclass(frozen=True)
class TrainingConfig(Strict):
    """Settings of training on the market.

    Attributes
    ----------
    steps : int
        Maximum number of training (gradient) steps.
    trajectories : int
        Trajectories through the market that are stepped together to fill the replay.
    counterfactual : bool
        Learn from every action at a sampled bar, since the market determines the outcome of each;
        otherwise only from the action taken.
    validation_interval : int
        Training steps between two validations.
    patience : int
        Number of validations without improvement after which training stops; 0 disables this.
    checkpoint_interval : int
        Training steps between two checkpoints; if the trajectories make as many steps without a
        training step, a checkpoint is written, too.
    fallback : bool
        Hold the best constant target on the validation span instead if no weights grew more there.
    """

    steps: Steps = 8_000
    trajectories: Together = 256
    counterfactual: bool = True
    validation_interval: Steps = 250
    patience: Annotated[int, Ge(0), Le(MAX_STEPS)] = 16
    checkpoint_interval: Steps = 2_000
    fallback: bool = True


@dataclass
class Progress:
    """State of a training besides its model, replay, and trajectories.

    Attributes
    ----------
    step : int
        Training steps done.
    history : list of dict
        Rows logged so far; see `TrainingResult`.
    loss_sum, loss_count : float, int
        Sum and number of the losses since the last row.
    stale : int
        Validations since the best one.
    unlogged : float or None
        Latest validation growth since the last row.
    collected, owed : int
        Steps of the trajectories made in the current round, and training steps of it still to do.
    generators : list of dict
        States of the generators of trajectories and replay; filled only in a checkpoint.
    """

    step: int = 0
    history: list[Row] = field(default_factory=list)
    loss_sum: float = 0.0
    loss_count: int = 0
    stale: int = 0
    unlogged: float | None = None
    collected: int = 0
    owed: int = 0
    generators: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class TrainingResult:
    """Result of a training.

    Attributes
    ----------
    history : list of dict
        One row per logged step, with the keys `HISTORY_COLUMNS` and those of the model; None where
        a row has no such value. The loss is the mean since the previous row, the validation growth
        the latest one since then.
    best_step : int
        Step whose weights the model has now.
    best_validation_growth : float
        Mean log growth of the assets' accounts over the validation split at that step.
    steps : int
        Training steps done.
    stopped_early : bool
        Whether training stopped before the last step because patience ran out.
    """

    history: list[Row]
    best_step: int
    best_validation_growth: float
    steps: int
    stopped_early: bool


class MarketTrainer:
    """Training loop of a model on the exogenous market.

    Trajectories in which the model explores fill an index replay. The model learns from batches of
    the replay, drawn uniformly, or by priority with the hyperparameter `prioritized_replay`. A
    round is `train_frequency` steps of all trajectories, then `gradient_steps` training steps; -1
    means as many as each trajectory has just made.

    Every `validation_interval` training steps, the greedy policy trades the validation split;
    training returns the weights with the best growth there.

    Parameters
    ----------
    model : Model
        The model; not built yet.
    market, validation : ExogenousMarket
        Training and validation split, with the same features and positions.
    config : TrainingConfig
        Settings of the training.
    seed : int
        Seed of trajectories and replay, >= 0; the model explores with its own generator.
    store : CheckpointStore, optional
        Store for checkpoints; by default none are written.
    on_row : callable, optional
        Called with every new row of the history.

    Raises
    ------
    ConfigError
        If the two markets do not match, or the model's `n_step` is above 1.
    """

    def __init__(
        self,
        model: Model,
        market: ExogenousMarket,
        validation: ExogenousMarket,
        config: TrainingConfig,
        seed: int,
        store: CheckpointStore | None = None,
        on_row: Callable[[Row], None] | None = None,
    ) -> None:
        same_grid = np.array_equal(market.positions, validation.positions)
        if market.n_inputs != validation.n_inputs or not same_grid:
            raise ConfigError(
                "the validation market must have the training market's features and positions. "
                f"Got {validation.n_inputs} inputs and positions {validation.positions.tolist()} "
                f"instead of {market.n_inputs} and {market.positions.tolist()}."
            )
        self.model, self.market, self.validation = model, market, validation
        self.config, self.on_row = config, on_row
        self._walk = generator(seed, "training/trajectories")
        self._draw = generator(seed, "training/replay")
        gather = market.gather_all_actions if config.counterfactual else market.gather
        self.replay = IndexReplay(model.hyperparameters.buffer_size, gather, self._draw)
        model.build((market.n_inputs,), (market.n_positions,), self.replay)
        self.trajectories = MarketTrajectories(market, config.trajectories, self._walk)
        data = {"features": market.features, "rewards": market.rewards}
        identity = {
            "data": tensors_sha256(data),
            # These do not affect the weights.
            "training": dataclasses.asdict(replace(config, checkpoint_interval=1, fallback=True)),
            "seed": seed,
        }
        self.checkpoints = (
            None if store is None else Checkpoints(store, model, self.replay, identity)
        )
        self.progress, self.best = Progress(), Best()
        self._clock = (time.perf_counter(), 0)

    @property
    def step(self) -> int:
        """Training steps done."""
        return self.progress.step

    def run(self) -> TrainingResult:
        """Train to the end, and set the model to the best weights.

        Raises
        ------
        NonFiniteError
            If a number in training or validation is not finite.
        DivergenceError
            If the action values diverge, and `on_divergence` is "stop".
        KeyboardInterrupt
            On Ctrl-C or SIGTERM, after writing a checkpoint.
        """
        config, progress, interval = self.config, self.progress, self.config.checkpoint_interval
        with deferred_interrupts() as stop:
            alone = 0  # steps of the trajectories since a training step or a checkpoint
            while not (stop or self._over()):
                if progress.owed:
                    progress.owed -= 1
                    self._learn()
                    alone, due = 0, progress.step % interval == 0
                else:
                    self._collect()
                    alone += 1
                    due = alone >= interval
                if due and self.checkpoints:
                    self.save()
                    alone = 0
            if stop:
                if self.checkpoints:
                    self.save()
                raise KeyboardInterrupt
        stopped_early = progress.step < config.steps
        if self.best.step is None or progress.step % config.validation_interval:
            self._validate()
        self.best.put_into(self.model)
        assert self.best.step is not None
        return TrainingResult(
            progress.history, self.best.step, self.best.value, progress.step, stopped_early
        )

    def _over(self) -> bool:
        """Tell whether all steps are done, or patience ran out before the round that now begins."""
        progress = self.progress
        between = not (progress.owed or progress.collected)
        return progress.step >= self.config.steps or (between and self._out_of_patience())

    def _out_of_patience(self) -> bool:
        return 0 < self.config.patience <= self.progress.stale

    def _collect(self) -> None:
        """Step every trajectory once with exploration, and store the transitions.

        The last of a round's `train_frequency` steps makes its training steps due.
        """
        states = self.trajectories.states()
        self.model.set_progress(self.step / self.config.steps)
        self.model.observe(states)
        actions = self.model.select_actions(states, self.model.exploration_rate)
        self.replay.push_many(*self.trajectories.step(actions), actions)
        progress, settings = self.progress, self.model.hyperparameters
        progress.collected += 1
        if progress.collected >= settings.train_frequency:
            progress.collected = 0
            if len(self.replay) >= stored_before_training(settings):
                progress.owed = training_steps(settings, 1, settings.train_frequency)

    def _learn(self) -> None:
        progress, interval = self.progress, self.model.hyperparameters.log_interval
        progress.loss_sum += self.model.train_step()
        progress.loss_count += 1
        progress.step += 1
        if progress.step % self.config.validation_interval == 0:
            self._validate()
        if interval and progress.step % interval == 0:
            self._log()

    def _validate(self) -> None:
        """Trade the validation split greedily; keep the weights if they are the best so far."""
        progress = self.progress
        paths = self.validation.greedy_paths(self.model.predict)
        value = progress.unlogged = float(self.validation.path_log_growth(paths).mean())
        if not np.isfinite(value):
            raise NonFiniteError(f"step {progress.step}: the validation growth is {value}")
        better = self.best.look(value, progress.step, self.model)
        progress.stale = 0 if better else progress.stale + 1

    def _log(self) -> None:
        progress = self.progress
        now, (then, step) = time.perf_counter(), self._clock
        self._clock = (now, progress.step)
        row: Row = {
            **self.model.diagnostics,
            "step": progress.step,
            "loss": progress.loss_sum / progress.loss_count,
            "exploration_rate": self.model.exploration_rate,
            "steps_per_second": (progress.step - step) / max(now - then, 1e-9),
            "validation_growth": progress.unlogged,
        }
        progress.loss_sum, progress.loss_count, progress.unlogged = 0.0, 0, None
        progress.history.append(row)
        if self.on_row:
            self.on_row(row)

    def loss_floor(self) -> float | None:
        """Return the loss that remains for any forecast because of the market's noise.

        It is the variance of the reward over the training bars, given only (previous target,
        target), averaged over these pairs as frequently as the replay holds them. To the extent
        that next-bar returns are unpredictable, no forecast has a smaller squared error. The loss
        can still end slightly below: by memorizing bars, and because the second part of the target,
        the learned value of the next state, is correlated with the first (-0.2 on the sample).

        Returns
        -------
        float or None
            None if the loss is not the unweighted mean of squared errors, and therefore not
            comparable: with another head or loss, or with prioritized replay.
        """
        if not self.model.squared_error:
            return None
        rewards = self.market.rewards[self.market.decision_rows].astype(np.float64)
        variance = rewards.var(axis=0)
        stored = self.replay.arrays()
        n = self.market.n_positions
        pairs = stored["positions"].astype(np.int64) * n + stored["actions"]
        weight = np.bincount(pairs, minlength=n * n).reshape(n, n) / max(len(pairs), 1)
        if self.config.counterfactual:  # each bar trains every action
            weight = np.repeat(weight.sum(axis=1, keepdims=True) / n, n, axis=1)
        return float((variance * weight).sum())

    def save(self) -> None:
        """Write a checkpoint of the complete state."""
        if self.checkpoints is None:
            raise CheckpointError("this training has no checkpoint store")
        generators = [generator_state(g) for g in (self._walk, self._draw)]
        walks = {"rows": self.trajectories.rows, "held": self.trajectories.held}
        progress = replace(self.progress, generators=generators)
        self.checkpoints.save(self.step, self.best, progress, {"trajectories": walks})

    def resume(self) -> list[str]:
        """Continue from the newest valid checkpoint, if there is one.

        Returns
        -------
        list of str
            One sentence for each damaged checkpoint that was skipped.

        Raises
        ------
        CheckpointError
            If there are checkpoints and none is valid, or they belong to another training.
        """
        if self.checkpoints is None:
            return []
        found, part, skipped = self.checkpoints.resume(self.best)
        if found is not None:
            self.progress = Progress(**found)
            for name, array in part("trajectories").items():
                setattr(self.trajectories, name, array)
            for rng, state in zip((self._walk, self._draw), self.progress.generators, strict=True):
                restore_generator(rng, state)
            self._clock = (time.perf_counter(), self.step)
        return skipped


def require_single_steps(settings: DQNHyperparameters) -> None:
    """Raise `ConfigError` for hyperparameters with `n_step` above 1."""
    rule = (
        "1 on a market, whose replay holds single bars with known outcomes of every action "
        "(n-step returns would need the bars that followed, under the actions taken there)"
    )
    require(settings.n_step == 1, "DQN", "n_step", rule, settings.n_step)
