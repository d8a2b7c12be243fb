"""Trains an action-value model on the exogenous market; can be stopped anywhere and resumed."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.checks import Ge, Strict, require
from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.envs.trajectories import MarketTrajectories
from reinforcestrategycreator_pipeline.errors import (
    CheckpointError,
    ConfigError,
    NonFiniteError,
)
from reinforcestrategycreator_pipeline.interrupts import deferred_interrupts
from reinforcestrategycreator_pipeline.models.base import LearningSettings, Model
from reinforcestrategycreator_pipeline.replay.index import IndexReplay
from reinforcestrategycreator_pipeline.replay.prioritized import PrioritizedSampler
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
    """How long and how to train on the market.

    Attributes
    ----------
    steps : int
        Training (gradient) steps at most.
    trajectories : int
        Walks through the market that are stepped at once to feed the replay.
    counterfactual : bool
        Learn from every action of a sampled bar, since the market tells what each would have
        brought; else from the action taken.
    validation_interval : int
        Training steps between two looks at the validation split.
    patience : int
        Looks without a new best after which training stops; 0: never.
    checkpoint_interval : int
        Training steps between two checkpoints.
    """

    steps: Annotated[int, Ge(1)] = 8_000
    trajectories: Annotated[int, Ge(1)] = 256
    counterfactual: bool = True
    validation_interval: Annotated[int, Ge(1)] = 250
    patience: Annotated[int, Ge(0)] = 16
    checkpoint_interval: Annotated[int, Ge(1)] = 2_000


@dataclass(frozen=True)
class TrainingResult:
    """What training leaves.

    Attributes
    ----------
    history : list of dict
        One row a logged step, keys `HISTORY_COLUMNS`; None where a row has no such value. The loss
        is the mean since the row before, the validation growth the newest since then.
    best_step : int
        The step whose weights the model holds now.
    best_validation_growth : float
        Mean log growth of the assets' accounts over the validation split at that step.
    steps : int
        Training steps done.
    stopped_early : bool
        Whether patience ended it before its last step.
    """

    history: list[Row]
    best_step: int
    best_validation_growth: float
    steps: int
    stopped_early: bool


class MarketTrainer:
    """The training loop.

    Many trajectories, in which the model explores, feed an index replay. The model learns from
    batches of it, drawn uniformly, or by priority if its hyperparameters have `prioritized_replay`.
    A round is `train_frequency` steps of all trajectories at once, then `gradient_steps` training
    steps; -1: as many as each trajectory has just made.

    Every `validation_interval` steps the greedy policy trades the validation split; the weights
    with the best growth there are what training returns.

    Parameters
    ----------
    model : Model
        Not yet built.
    market, validation : ExogenousMarket
        The training and the validation split, one grid of positions.
    config : TrainingConfig
        See there.
    seed : int
        Of trajectories and replay; the model explores with a generator of its own.
    store : CheckpointStore, optional
        Where checkpoints go; without one nothing is written.
    on_row : callable, optional
        Called with every new row of the history.

    Raises
    ------
    ConfigError
        If the markets do not fit each other, or the model wants n-step returns.
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
        require_single_steps(model.hyperparameters)
        self.model, self.market, self.validation = model, market, validation
        self.config, self.store, self.on_row = config, store, on_row
        self._walk = generator(seed, "training/trajectories")
        self._draw = generator(seed, "training/replay")
        gather = market.gather_all_actions if config.counterfactual else market.gather
        self.replay = IndexReplay(
            model.hyperparameters.buffer_size,
            gather,
            self._draw,
            sampler=_sampler(model.hyperparameters),
        )
        model.build((market.n_inputs,), (market.n_positions,), self.replay)
        self.trajectories = MarketTrajectories(market, config.trajectories, self._walk)
        # What a checkpoint must have been made from, to be continued here.
        self._fingerprint = tensors_sha256(
            {"features": market.features, "rewards": market.rewards},
            # How often one saves changes nothing.
            json.dumps([dataclasses.asdict(replace(config, checkpoint_interval=1)), seed]),
        )
        self.step = 0
        self.history: list[Row] = []
        self._loss_sum, self._loss_count = 0.0, 0
        self._best: tuple[dict[str, NDArray[Any]], dict[str, Any]] | None = None
        self._best_value, self._best_step, self._stale = -np.inf, 0, 0
        self._unlogged: float | None = None  # validation growth since the last row
        self._clock = (time.perf_counter(), 0)

    def run(self) -> TrainingResult:
        """Train to the end, and leave the best weights in the model.

        Raises
        ------
        NonFiniteError
            If learning or validation meets a number that is not finite.
        DivergenceError
            If the model notices that its values diverge.
        KeyboardInterrupt
            On Ctrl-C or SIGTERM, after a checkpoint was written.
        """
        settings, config = self.model.hyperparameters, self.config
        starts = min(max(settings.learning_starts, settings.batch_size), self.replay.capacity)
        with deferred_interrupts() as stop:
            while not stop and self.step < config.steps and not self._out_of_patience():
                for _ in range(settings.train_frequency):
                    self._collect()
                if len(self.replay) >= starts:
                    due = self.step // config.checkpoint_interval
                    steps = settings.gradient_steps
                    steps = settings.train_frequency if steps == -1 else steps
                    for _ in range(min(steps, config.steps - self.step)):
                        self._learn()
                    if self.store and self.step // config.checkpoint_interval > due:
                        self.save()
            if stop:
                if self.store:
                    self.save()
                raise KeyboardInterrupt
        stopped_early = self.step < config.steps
        if self._best is None or self.step % config.validation_interval:
            self._validate()
        assert self._best is not None
        self.model.restore(*self._best)
        return TrainingResult(
            self.history, self._best_step, self._best_value, self.step, stopped_early
        )

    def _out_of_patience(self) -> bool:
        return 0 < self.config.patience <= self._stale

    def _collect(self) -> None:
        """Step every trajectory once, as the model explores, and store what happened."""
        states = self.trajectories.states()
        self.model.set_progress(self.step / self.config.steps)
        self.model.observe(states)
        actions = self.model.select_actions(states, self.model.exploration_rate)
        self.replay.push_many(*self.trajectories.step(actions), actions)

    def _learn(self) -> None:
        self._loss_sum += self.model.train_step()
        self._loss_count += 1
        self.step += 1
        interval = self.model.hyperparameters.log_interval
        if self.step % self.config.validation_interval == 0:
            self._validate()
        if interval and self.step % interval == 0:
            self._log()

    def _validate(self) -> None:
        """Trade the validation split greedily; keep the weights if they are the best so far."""
        paths = self.validation.greedy_paths(self.model.predict)
        value = self._unlogged = float(self.validation.path_log_growth(paths).mean())
        if not np.isfinite(value):
            raise NonFiniteError(f"step {self.step}: the validation growth is {value}")
        if value > self._best_value:
            tensors, header = self.model.state()
            self._best = ({name: array.copy() for name, array in tensors.items()}, header)
            self._best_value, self._best_step, self._stale = value, self.step, 0
        else:
            self._stale += 1

    def _log(self) -> None:
        now, (then, step) = time.perf_counter(), self._clock
        self._clock = (now, self.step)
        row: Row = {
            **self.model.diagnostics,
            "step": self.step,
            "loss": self._loss_sum / self._loss_count,
            "exploration_rate": self.model.exploration_rate,
            "steps_per_second": (self.step - step) / max(now - then, 1e-9),
            "validation_growth": self._unlogged,
        }
        self._loss_sum, self._loss_count, self._unlogged = 0.0, 0, None
        self.history.append(row)
        if self.on_row:
            self.on_row(row)

    def loss_floor(self) -> float | None:
        """Return the loss that the market's own noise leaves to any forecast.

        None if the loss is not the plain mean of squared errors, with which it could be compared:
        of another head or loss, or weighted by priority.

        The variance of a bar's reward over the training bars, given (previous target, target) and
        nothing of the bar, averaged as often as the replay holds each pair. As far as next-bar
        returns cannot be forecast, no forecast of them has a smaller squared error. The loss can
        end somewhat below: by learning bars by heart, and because the target's second part, the
        next state's learned value, is correlated with the first (measured on the sample: -0.2).
        """
        settings = self.model.hyperparameters
        kind = getattr(settings, "head", "expected"), getattr(settings, "loss", "squared")
        weighted = getattr(settings, "prioritized_replay", False)
        if kind != ("expected", "squared") or weighted:
            return None
        rewards = self.market.rewards[self.market.decision_rows].astype(np.float64)
        variance = rewards.var(axis=0)
        stored = self.replay.arrays()
        n = self.market.n_positions
        pairs = stored["positions"].astype(np.int64) * n + stored["actions"]
        weight = np.bincount(pairs, minlength=n * n).reshape(n, n) / max(len(pairs), 1)
        if self.config.counterfactual:  # each bar teaches every action
            weight = np.repeat(weight.sum(axis=1, keepdims=True) / n, n, axis=1)
        return float((variance * weight).sum())

    def save(self) -> None:
        """Write a checkpoint of everything that the future depends on."""
        if self.store is None:
            raise CheckpointError("this training has no checkpoint store")
        tensors, header = self.model.state()
        best_tensors, best_header = self._best or ({}, None)
        self.store.save(
            self.step,
            {
                **{f"model.{k}": v for k, v in tensors.items()},
                **{f"best.{k}": v for k, v in best_tensors.items()},
                **{f"replay.{k}": v for k, v in self.replay.arrays().items()},
                "trajectories.rows": self.trajectories.rows,
                "trajectories.held": self.trajectories.held,
            },
            {
                "model": header,
                "best": best_header,
                "fingerprint": self._fingerprint,
                "step": self.step,
                "history": self.history,
                "loss": [self._loss_sum, self._loss_count],
                "best_value": self._best_value if self._best else None,
                "best_step": self._best_step,
                "stale": self._stale,
                "unlogged": self._unlogged,
                "generators": [generator_state(g) for g in (self._walk, self._draw)],
            },
        )

    def resume(self) -> list[str]:
        """Continue from the newest sound checkpoint, if there is one.

        Raises
        ------
        CheckpointError
            If no checkpoint is sound, or they belong to another training.

        Returns
        -------
        list of str
            A sentence for each checkpoint that had to be skipped.
        """
        if self.store is None:
            return []
        found, skipped = self.store.load_newest()
        if found is None:
            return skipped
        tensors, header = found
        if header.get("fingerprint") != self._fingerprint:
            raise CheckpointError(
                f"{self.store.folder}: its checkpoints are of other data, another configuration or "
                f"another seed; they cannot be continued here"
            )

        def part(prefix: str) -> dict[str, NDArray[Any]]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        self.model.restore(part("model."), header["model"])
        self.replay.restore(part("replay."))
        self.trajectories.rows = tensors["trajectories.rows"]
        self.trajectories.held = tensors["trajectories.held"]
        self._best = (part("best."), header["best"]) if header["best"] else None
        self._best_value = header["best_value"] if self._best else -np.inf
        self._best_step, self._stale = header["best_step"], header["stale"]
        self._unlogged = header["unlogged"]
        self.step, self.history = header["step"], header["history"]
        self._loss_sum, self._loss_count = header["loss"]
        for rng, state in zip((self._walk, self._draw), header["generators"], strict=True):
            restore_generator(rng, state)
        self._clock = (time.perf_counter(), self.step)
        return skipped


def require_single_steps(settings: object) -> None:
    """Raise `ConfigError` for hyperparameters with `n_step` above 1."""
    rule = (
        "1 on a market, whose replay holds single bars, of which every action's outcome is known "
        "(n-step returns would need the bars that followed, under the actions taken there)"
    )
    n_step = getattr(settings, "n_step", 1)
    require(n_step == 1, "DQN", "n_step", rule, n_step)


def _sampler(settings: LearningSettings) -> PrioritizedSampler | None:
    """Return what draws by priority, if `settings` know of it and want it."""
    if not getattr(settings, "prioritized_replay", False):
        return None
    wanted: Any = settings
    return PrioritizedSampler(wanted.buffer_size, wanted.priority_alpha, wanted.priority_epsilon)
