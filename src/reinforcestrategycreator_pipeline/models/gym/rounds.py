"""The rounds of `loop.learn` (train, evaluate, save, step), and their complete state."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from reinforcestrategycreator_pipeline.action_masks import masked
from reinforcestrategycreator_pipeline.arrays import Array
from reinforcestrategycreator_pipeline.errors import NonFiniteError
from reinforcestrategycreator_pipeline.interrupts import StopRequest, deferred_interrupts
from reinforcestrategycreator_pipeline.models.gym.collectors import Collector, TaskModel
from reinforcestrategycreator_pipeline.models.gym.masks import KEY, ActionMasking, MaskReader
from reinforcestrategycreator_pipeline.models.gym.paused import PausedTraining, Progress
from reinforcestrategycreator_pipeline.models.gym.progress import ProgressBar
from reinforcestrategycreator_pipeline.models.gym.returned import Returned
from reinforcestrategycreator_pipeline.models.learner.state import config_record
from reinforcestrategycreator_pipeline.models.loops import (
    Best,
    Checkpoints,
    Part,
    stored_before_training,
    training_steps,
)
from reinforcestrategycreator_pipeline.seeding import generator
from reinforcestrategycreator_pipeline.storage.checkpoints import CheckpointStore

logger = logging.getLogger(__name__)

SEEDS = 2**31  # seeds below this are valid for every environment
LONGEST_EPISODE = 10_000


class Callback(Protocol):
    """Function that `learn` calls at every logged training step and after every evaluation."""

    def __call__(self, env_step: int, row: dict[str, float], /) -> bool | None:
        """Receive a row of the history; return False, Python's or NumPy's, to end training.

        Parameters
        ----------
        env_step : int
            Environment steps done.
        row : dict
            `DQN.diagnostics`, ``exploration_rate``, and environment ``steps_per_second``; or
            ``{"evaluation_return": mean}``.
        """
        ...


@dataclass(frozen=True)
class LearningResult:
    """Result of `learn`.

    Attributes
    ----------
    returns : list of float
        Undiscounted return of each finished episode, in the order in which they ended.
    lengths : list of int
        Environment steps of each finished episode.
    ended_at : list of int
        Environment step, over all environments, at which each finished episode ended.
    evaluations : list of (int, float)
        Environment step and mean return of each evaluation.
    steps : int
        Environment steps done, over all environments.
    best_step : int or None
        Environment step of the best evaluation, whose weights the model has with `keep_best`; None
        without evaluations.
    restarts : list of int
        Environment steps at which training was resumed, but an environment could not be restored
        and began a new episode. If empty, all resumes were exact.
    alarm : str or None
        Why a `Population` stopped this agent before the end; None if it did not.
    """

    returns: list[float]
    lengths: list[int]
    ended_at: list[int]
    evaluations: list[tuple[int, float]]
    steps: int
    best_step: int | None = None
    restarts: list[int] = field(default_factory=list)
    alarm: str | None = None


class Evaluation:
    """Evaluation of the greedy policy on a separate environment.

    Parameters
    ----------
    model : DQN
        Model to evaluate; a noisy network acts without its noise.
    env : gymnasium.Env
        Environment, different from that of training.
    interval, episodes : int
        Environment steps of training between two evaluations, and episodes per evaluation.
    max_steps : int, optional
        Steps after which an episode is cut off; by default the environment's own time limit, or
        `LONGEST_EPISODE` if it has none: a greedy policy may walk in circles.
    action_masking : {"auto", "on", "off"}
        The setting of the training; see `DQN.learn`.
    """

    def __init__(
        self,
        model: TaskModel,
        env: Any,
        interval: int,
        episodes: int,
        max_steps: int | None = None,
        action_masking: ActionMasking = "auto",
    ) -> None:
        self.model, self.env, self.interval, self.episodes = model, env, interval, episodes
        self.max_steps = max_steps or time_limit(env) or LONGEST_EPISODE
        self._first_action = int(env.action_space.start)
        self._returned = Returned(f"eval_env {env}", env.observation_space.shape, model.dtype)
        self._warned = False
        place, n_actions = "evaluation at step", int(env.action_space.n)
        self._reader = MaskReader(env, None, n_actions, action_masking, place)

    def mean_return(self, step: int, stop: StopRequest) -> float | None:
        """Return the mean undiscounted return, or None if the user has asked to stop."""
        rng = generator(self.model.config.seed, f"learn/evaluation/{step}")
        total = 0.0
        for seed in rng.integers(SEEDS, size=self.episodes).tolist():
            observation, info = self._returned.first(self.env.reset(seed=seed))
            for _ in range(self.max_steps):
                if stop:
                    return None
                q = self.model.predict(np.reshape(observation, self.model.input_shape))
                if not np.isfinite(q).all():
                    raise NonFiniteError(f"evaluation at step {step}: Q-values {q.tolist()}")
                if self.model.masked:
                    mask = self._reader.one(info, step)
                    assert mask is not None
                    q = masked(q, mask)
                elif self._reader.watches and KEY in info:
                    raise self._reader.appeared(step)
                answer = self.env.step(self._first_action + int(q.argmax()))
                observation, reward, over, info = self._returned.evaluated(answer, step)
                total += reward
                if over:
                    break
            else:
                self._warn(step)
        if not math.isfinite(total):
            raise NonFiniteError(f"evaluation at step {step}: the sum of rewards is {total}")
        return total / self.episodes

    def _warn(self, step: int) -> None:
        if not self._warned:
            self._warned = True
            logger.warning(
                "evaluation at step %d: an episode was cut off after %d steps, and its return "
                "counts up to there; eval_max_steps sets another limit",
                step,
                self.max_steps,
            )


def time_limit(env: Any) -> int | None:
    """Return the steps after which an environment truncates an episode, if a wrapper says so."""
    while True:
        steps = vars(env).get("_max_episode_steps")  # of gymnasium.wrappers.TimeLimit
        if steps is not None:
            return int(steps)
        if env is env.unwrapped or not hasattr(env, "env"):
            return None
        env = env.env


class Loop:
    """State of one training, and its rounds.

    Parameters
    ----------
    model : DQN
        Model to train.
    collector : Collector
        Collector that steps the environment.
    total_steps : int
        Environment steps at which training ends.
    callbacks : sequence of Callback
        Functions called with each row of the history.
    evaluation : Evaluation, optional
        Evaluation of the greedy policy; by default none.
    keep_best : bool
        Restore the model of the best evaluation at the end.
    store : CheckpointStore, optional
        Store for checkpoints; by default none are written.
    checkpoint_interval : int
        Environment steps between two checkpoints, >= 1; within a round of training, training steps.

    Attributes
    ----------
    whole : bool
        False if an error ended it in the middle of an environment step: then the episode is lost.
    """

    def __init__(
        self,
        model: TaskModel,
        collector: Collector,
        total_steps: int,
        callbacks: Sequence[Callback] = (),
        evaluation: Evaluation | None = None,
        keep_best: bool = False,
        store: CheckpointStore | None = None,
        checkpoint_interval: int = 1,
    ) -> None:
        self.model, self.collector, self.total_steps = model, collector, total_steps
        self.callbacks, self.evaluation, self.keep_best = callbacks, evaluation, keep_best
        self.checkpoint_interval = checkpoint_interval
        self.replay = model.replay_buffer
        self.progress, self.best = Progress(), Best()
        self.checkpoints = (
            None
            if store is None
            else Checkpoints(store, model, self.replay, self._identity(), grows="total_steps")
        )
        self.whole = True
        self._last: tuple[dict[str, Array], dict[str, Any]] | None = None
        self._learning_starts = stored_before_training(model.hyperparameters)
        self._ended_by_callback = False
        self._clock = (time.perf_counter(), 0)

    # -- rounds -----------------------------------------------------------------------------

    def run(self, bar: ProgressBar | None) -> LearningResult:
        """Train to the end, or until a callback or the user stops it."""
        collector, total = self.collector, self.total_steps
        self._clock = (time.perf_counter(), collector.steps)
        interval = self.checkpoint_interval if self.checkpoints else 0
        next_checkpoint = _next_multiple(interval, collector.steps)
        with deferred_interrupts() as stop:
            while True:
                self._train(stop)
                if self.evaluation is not None and collector.steps >= self._next_evaluation:
                    self._evaluate(stop)
                if stop or self._ended_by_callback or collector.steps >= total:
                    break
                if collector.steps >= next_checkpoint:
                    self.save()
                    next_checkpoint = _next_multiple(interval, collector.steps)
                self.collect()
                if bar is not None:
                    self._show(bar)
            if self.progress.evaluated_at < collector.steps:
                self._evaluate(stop)
            if self.checkpoints:
                self.save()
            if stop:
                raise KeyboardInterrupt
        if bar is not None:
            self._show(bar, at_once=True)
        if self.keep_best and self.best.header is not None:
            tensors, header = self.model.state()
            self._last = {name: array.copy() for name, array in tensors.items()}, header
            self.best.put_into(self.model)
        return self.result()

    def collect(self) -> None:
        """Set the schedules and step every environment once."""
        collector = self.collector
        share = (collector.steps + collector.n_envs) / self.total_steps
        self.model.set_progress(min(share, 1.0))
        self.whole = False
        collector.collect()
        self.whole = True

    @property
    def steps(self) -> int:
        """Environment steps done."""
        return self.collector.steps

    def take(self, before: Loop | PausedTraining) -> None:
        """Go on where another training of the same model ended.

        Its best evaluation is known if it was in this process; with `keep_best` the model then goes
        on from its last weights, not from the best ones.
        """
        if isinstance(before, Loop):
            self.progress, self.best = before.progress, before.best
            if before._last is not None:
                self.model.restore(*before._last)
            episodes = before.collector.episodes
        else:
            before = before.paused()
            self.progress, episodes = before.progress, before.episodes
        self.collector.steps, self.collector.episodes = before.steps, episodes

    def paused(self) -> PausedTraining:
        """Return the training without its environment, as a copy."""
        progress = replace(self.progress, steps=self.steps, environments=[])
        return PausedTraining(progress, self.collector.episodes, self.total_steps).paused()

    def result(self) -> LearningResult:
        """Return the result of the training so far."""
        collector, episodes = self.collector, self.collector.episodes
        return LearningResult(
            list(episodes.returns),
            list(episodes.lengths),
            list(episodes.ended_at),
            list(self.progress.evaluations),
            collector.steps,
            self.best.step,
            list(self.progress.restarts),
        )

    def due(self) -> int:
        """Return the number of training steps due, including those left by an interrupted one."""
        steps, settings, progress = self.collector.steps, self.model.hyperparameters, self.progress
        last, frequency = progress.last_round, settings.train_frequency
        if steps >= last + frequency - last % frequency:
            if len(self.replay) >= self._learning_starts:
                rounds = steps // frequency - last // frequency
                progress.owed += training_steps(settings, rounds, steps - last)
            progress.last_round = steps
        return progress.owed

    def done(self, steps: int) -> None:
        """Record that training steps were done."""
        self.progress.owed -= steps

    def _train(self, stop: StopRequest) -> None:
        """Make the training steps that are due; save within a round that is long."""
        model, steps = self.model, self.collector.steps
        interval = self.checkpoint_interval if self.checkpoints else 0
        unsaved = 0
        self.due()
        while self.progress.owed and not (stop or self._ended_by_callback):
            if interval and unsaved >= interval:
                self.save()
                unsaved = 0
            unsaved += 1
            self.done(1)
            logged = model.diagnostics
            model.train_step()
            if self.callbacks and model.diagnostics is not logged:
                then, steps_then = self._clock
                seconds = max(time.perf_counter() - then, 1e-9)
                row = {**model.diagnostics, "exploration_rate": model.exploration_rate}
                self._call({**row, "steps_per_second": (steps - steps_then) / seconds})

    def _call(self, row: dict[str, float]) -> None:
        answers = [callback(self.collector.steps, row) for callback in self.callbacks]
        if any(isinstance(answer, (bool, np.bool_)) and not answer for answer in answers):
            self._ended_by_callback = True  # None, which a function without return gives, is not

    def _evaluate(self, stop: StopRequest) -> None:
        """Evaluate the greedy policy, and record the result unless training was stopped."""
        if self.evaluation is None or stop or self._ended_by_callback:
            return
        step = self.collector.steps
        value = self.evaluation.mean_return(step, stop)
        if value is None:
            return
        self.progress.evaluated_at = step
        self.progress.evaluations.append((step, value))
        self.best.look(value, step, self.model if self.keep_best else None)
        self._call({"evaluation_return": value})

    @property
    def _next_evaluation(self) -> float:
        interval = self.evaluation.interval if self.evaluation else 0
        return _next_multiple(interval, self.progress.evaluated_at)

    def _show(self, bar: ProgressBar, at_once: bool = False) -> None:
        collector = self.collector
        bar.update(
            collector.steps, collector.episodes.returns, self.model.exploration_rate, at_once
        )

    # -- checkpoints ------------------------------------------------------------------------

    def _identity(self) -> dict[str, Any]:
        """Return the properties that must be equal in a checkpoint to resume from it."""
        collector = self.collector
        envs = [recorder.env for recorder in collector.recorders]
        kwargs = [e.spec.kwargs if e.spec is not None else {} for e in envs]
        identity = {
            "config": config_record(self.model.config, strict=True),
            "environments": [
                f"{e} {k}" if k else str(e) for e, k in zip(envs, kwargs, strict=True)
            ],
            "autoreset_mode": getattr(collector, "mode", None),
            "total_steps": self.total_steps,
        }
        if collector.action_masking != "auto":
            identity["action_masking"] = collector.action_masking
        found: dict[str, Any] = json.loads(json.dumps(identity))  # in the form read from a file
        return found

    def save(self) -> None:
        """Write a checkpoint of the complete state."""
        assert self.checkpoints is not None
        collector = self.collector
        snapshots = [recorder.snapshot() for recorder in collector.recorders]
        headers = [header for _, header in snapshots]
        self.checkpoints.save(
            collector.steps,
            self.best,
            replace(self.progress, steps=collector.steps, environments=headers),
            {
                **{f"env.{i}": tensors for i, (tensors, _) in enumerate(snapshots)},
                "running": self._running(),
                "episodes": {k: np.array(v) for k, v in vars(collector.episodes).items()},
            },
        )

    def _running(self) -> dict[str, Array]:
        collector = self.collector
        running = {
            "states": collector.states,
            "returns": collector.running_returns,
            "lengths": collector.running_lengths,
            "ended": collector.ended,
        }
        return running if collector.masks is None else running | {"masks": collector.masks}

    def resume(self) -> bool:
        """Continue from the newest valid checkpoint, and tell whether there is one.

        Raises
        ------
        CheckpointError
            If there are checkpoints and none is valid, or they belong to another training.
        """
        assert self.checkpoints is not None
        found, part, skipped = self.checkpoints.resume(self.best)
        for sentence in skipped:
            logger.warning("skipped a damaged checkpoint: %s", sentence)
        if found is None:
            return False
        self.progress = progress = Progress(**found)
        collector = self.collector
        collector.steps = progress.steps
        for name, column in part("episodes").items():
            getattr(collector.episodes, name)[:] = column.tolist()
        running = part("running")
        if "masks" in running:
            collector.masks = np.empty_like(running["masks"])
        for name, array in running.items():
            self._running()[name][...] = array
        self._restore_environments(part)
        return True

    def _restore_environments(self, part: Part) -> None:
        collector, headers = self.collector, self.progress.environments
        rng = generator(self.model.config.seed, f"learn/restart/{collector.steps}")
        for i, (recorder, header) in enumerate(zip(collector.recorders, headers, strict=True)):
            seed = int(rng.integers(SEEDS))
            if recorder.restore(part(f"env.{i}"), header):
                continue
            collector.restart(i, seed)
            if collector.steps not in self.progress.restarts:
                self.progress.restarts.append(collector.steps)
            logger.warning(
                "resumed at environment step %d, but %s could not be restored: a new episode "
                "begins, and training differs from one that was not interrupted. Implement "
                "get_state() and set_state(state) in the environment to resume exactly",
                collector.steps,
                recorder.env,
            )
        collector.after_restore()


def _next_multiple(interval: int, step: int) -> float:
    """Return the first multiple of `interval` after `step`; infinity if the interval is 0."""
    return (step // interval + 1) * interval if interval else math.inf
