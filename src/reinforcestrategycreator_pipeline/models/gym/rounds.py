"""The rounds of `gym_loop.learn`: train, evaluate, save, step; and the whole of their state."""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reinforcestrategycreator_pipeline.errors import CheckpointError, NonFiniteError, shorten
from reinforcestrategycreator_pipeline.interrupts import StopRequest, deferred_interrupts
from reinforcestrategycreator_pipeline.models.gym.collectors import Collector
from reinforcestrategycreator_pipeline.models.gym.progress import ProgressBar
from reinforcestrategycreator_pipeline.seeding import generator
from reinforcestrategycreator_pipeline.storage.checkpoints import CheckpointStore

Array = NDArray[Any]
Callback = Callable[[int, dict[str, float]], bool | None]

logger = logging.getLogger(__name__)

SEEDS = 2**31  # what every environment takes as a seed


@dataclass(frozen=True)
class LearningResult:
    """What `learn` tells.

    Attributes
    ----------
    returns : list of float
        The undiscounted return of every finished episode, in the order in which they ended.
    lengths : list of int
        Their environment steps.
    ended_at : list of int
        The environment step, over all environments, at which each ended.
    evaluations : list of (int, float)
        Environment step and mean return of each evaluation.
    steps : int
        Environment steps done, over all environments.
    best_step : int or None
        The step of the best evaluation, whose weights the model holds with `keep_best`.
    restarts : list of int
        Environment steps at which training was resumed, but an environment could not be brought
        back to where it was and began a new episode. Empty: all resumes were exact.
    """

    returns: list[float]
    lengths: list[int]
    ended_at: list[int]
    evaluations: list[tuple[int, float]]
    steps: int
    best_step: int | None = None
    restarts: list[int] = field(default_factory=list)


class Evaluation:
    """Greedy episodes on an environment of their own.

    Parameters
    ----------
    model : DQN
        Whose policy it is; a noisy network acts without its noise.
    env : gymnasium.Env
        Not the one of training.
    interval, episodes : int
        Environment steps of training between two evaluations; episodes of each.
    """

    def __init__(self, model: Any, env: Any, interval: int, episodes: int) -> None:
        self.model, self.env, self.interval, self.episodes = model, env, interval, episodes
        self._first_action = int(env.action_space.start)

    def mean_return(self, step: int, stop: StopRequest) -> float | None:
        """Return the mean undiscounted return; None if the user wants to stop."""
        rng = generator(self.model.config.seed, f"learn/evaluation/{step}")
        total = 0.0
        for seed in rng.integers(SEEDS, size=self.episodes).tolist():
            observation, _ = self.env.reset(seed=seed)
            over = False
            while not over:
                if stop:
                    return None
                q = self.model.predict(np.reshape(observation, self.model.input_shape))
                if not np.isfinite(q).all():
                    raise NonFiniteError(f"evaluation at step {step}: Q-values {q.tolist()}")
                action = self._first_action + int(q.argmax())
                observation, reward, terminated, truncated, _ = self.env.step(action)
                total += float(reward)
                over = bool(terminated or truncated)
        if not math.isfinite(total):
            raise NonFiniteError(f"evaluation at step {step}: the sum of rewards is {total}")
        return total / self.episodes


class Loop:
    """The state of one training, and its rounds.

    Parameters
    ----------
    model : DQN
        What learns.
    collector : Collector
        What steps its environment.
    total_steps : int
        Environment steps at which training ends.
    callbacks, keep_best, checkpoint_interval
        See `gym_loop.learn`.
    evaluation : Evaluation, optional
        Greedy episodes in between.
    store : CheckpointStore, optional
        Where checkpoints go.
    """

    def __init__(
        self,
        model: Any,
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
        self.store, self.checkpoint_interval = store, checkpoint_interval
        self.replay = model.replay_buffer
        hp = model.hyperparameters
        # A ring that is smaller than `learning_starts` never holds so many.
        self._learning_starts = min(max(hp.learning_starts, hp.batch_size), hp.buffer_size)
        self._frequency, self._gradient_steps = hp.train_frequency, hp.gradient_steps
        self._last_round = 0  # environment step of the last round of training
        self._owed = 0  # training steps of that round still to be done
        self._evaluations: list[tuple[int, float]] = []
        self._evaluated(0)
        self._best: tuple[dict[str, Array], dict[str, Any]] | None = None
        self._best_step: int | None = None
        self._best_value = -math.inf
        self._restarts: list[int] = []
        self._ended_by_callback = False
        self._clock = (time.perf_counter(), 0)

    # -- rounds -----------------------------------------------------------------------------

    def run(self, bar: ProgressBar | None) -> LearningResult:
        """Train to the end, or until a callback or the user stops it."""
        model, collector, total = self.model, self.collector, self.total_steps
        self._clock = (time.perf_counter(), collector.steps)
        next_checkpoint = self._next_checkpoint()
        with deferred_interrupts() as stop:
            while True:
                self._train(stop)
                if collector.steps >= self._next_evaluation:
                    self._evaluate(stop)
                if stop or self._ended_by_callback or collector.steps >= total:
                    break
                if collector.steps >= next_checkpoint:
                    self.save()
                    next_checkpoint = self._next_checkpoint()
                self.collect()
                if bar is not None:
                    self._show(bar)
            if self._evaluated_at < collector.steps:
                self._evaluate(stop)
            if self.store:
                self.save()
            if stop:
                raise KeyboardInterrupt
        if bar is not None:
            self._show(bar, at_once=True)
        if self.keep_best and self._best is not None:
            model.restore(*self._best)
        return self.result()

    def collect(self) -> None:
        """Set the schedules and step every environment once."""
        collector = self.collector
        share = (collector.steps + collector.n_envs) / self.total_steps
        self.model.set_progress(min(share, 1.0))
        collector.collect()

    def result(self) -> LearningResult:
        """Return what is known of the training until now."""
        collector, episodes = self.collector, self.collector.episodes
        return LearningResult(
            episodes.returns,
            episodes.lengths,
            episodes.ended_at,
            self._evaluations,
            collector.steps,
            self._best_step,
            self._restarts,
        )

    def due(self) -> int:
        """Count the training steps that are due, those that a stopped training left included."""
        steps, frequency = self.collector.steps, self._frequency
        if steps >= self._last_round + frequency - self._last_round % frequency:
            if len(self.replay) >= self._learning_starts:
                rounds = steps // frequency - self._last_round // frequency
                every = self._gradient_steps
                self._owed += steps - self._last_round if every == -1 else rounds * every
            self._last_round = steps
        return self._owed

    def done(self, steps: int) -> None:
        """Take note of training steps that were done."""
        self._owed -= steps

    def _train(self, stop: StopRequest) -> None:
        """Do the training steps that are due."""
        model, steps = self.model, self.collector.steps
        self.due()
        while self._owed and not (stop or self._ended_by_callback):
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
        if any(answer is False for answer in answers):
            self._ended_by_callback = True

    def _evaluate(self, stop: StopRequest) -> None:
        """Play greedy episodes elsewhere; unless something stops it, take note of their mean."""
        if self.evaluation is None or stop or self._ended_by_callback:
            return
        step = self.collector.steps
        value = self.evaluation.mean_return(step, stop)
        if value is None:
            return
        self._evaluated(step)
        self._evaluations.append((step, value))
        if value > self._best_value:
            self._best_value, self._best_step = value, step
            if self.keep_best:
                tensors, header = self.model.state()
                self._best = ({k: v.copy() for k, v in tensors.items()}, header)
        self._call({"evaluation_return": value})

    def _evaluated(self, step: int) -> None:
        interval = self.evaluation.interval if self.evaluation else 0
        self._evaluated_at = step
        self._next_evaluation = (step // interval + 1) * interval if interval else math.inf

    def _next_checkpoint(self) -> float:
        interval = self.checkpoint_interval
        return (self.collector.steps // interval + 1) * interval if self.store else math.inf

    def _show(self, bar: ProgressBar, at_once: bool = False) -> None:
        collector = self.collector
        bar.update(
            collector.steps, collector.episodes.returns, self.model.exploration_rate, at_once
        )

    # -- checkpoints ------------------------------------------------------------------------

    def _identity(self) -> dict[str, Any]:
        """Return what a checkpoint must have been made from, to be continued here."""
        collector = self.collector
        envs = [recorder.env for recorder in collector.recorders]
        kwargs = [e.spec.kwargs if e.spec is not None else {} for e in envs]
        identity = {
            "config": dataclasses.asdict(self.model.config),
            "environments": [
                f"{e} {k}" if k else str(e) for e, k in zip(envs, kwargs, strict=True)
            ],
            "autoreset_mode": getattr(collector, "mode", None),
            "total_steps": self.total_steps,
        }
        found: dict[str, Any] = json.loads(json.dumps(identity))  # as it will be read
        return found

    def save(self) -> None:
        """Write a checkpoint of everything that the future depends on."""
        assert self.store is not None
        collector = self.collector
        tensors, header = self.model.state()
        best_tensors, best_header = self._best or ({}, None)
        snapshots = [recorder.snapshot() for recorder in collector.recorders]
        episodes = collector.episodes
        self.store.save(
            collector.steps,
            {
                **{f"model.{k}": v for k, v in tensors.items()},
                **{f"best.{k}": v for k, v in best_tensors.items()},
                **{f"replay.{k}": v for k, v in self.replay.arrays().items()},
                **{f"env.{i}.{k}": v for i, (t, _) in enumerate(snapshots) for k, v in t.items()},
                **{f"running.{k}": v for k, v in self._running().items()},
                "episodes.returns": np.array(episodes.returns, dtype=np.float64),
                "episodes.lengths": np.array(episodes.lengths, dtype=np.int64),
                "episodes.ended_at": np.array(episodes.ended_at, dtype=np.int64),
            },
            {
                "format": "learn/1",
                "identity": self._identity(),
                "model": header,
                "best": best_header,
                "environments": [h for _, h in snapshots],
                "steps": collector.steps,
                "last_round": self._last_round,
                "owed": self._owed,
                "evaluations": self._evaluations,
                "evaluated_at": self._evaluated_at,
                "best_step": self._best_step,
                "restarts": self._restarts,
            },
        )

    def _running(self) -> dict[str, Array]:
        collector = self.collector
        return {
            "states": collector.states,
            "returns": collector.running_returns,
            "lengths": collector.running_lengths,
            "ended": collector.ended,
        }

    def resume(self) -> bool:
        """Continue from the newest sound checkpoint, and tell whether there is one.

        Raises
        ------
        CheckpointError
            If no checkpoint is sound, or they belong to another training.
        """
        assert self.store is not None
        found, skipped = self.store.load_newest()
        for sentence in skipped:
            logger.warning("skipped a damaged checkpoint: %s", sentence)
        if found is None:
            return False
        tensors, header = found
        self._require_same(header.get("identity"))

        def part(prefix: str) -> dict[str, Array]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        collector, episodes = self.collector, self.collector.episodes
        self.model.restore(part("model."), header["model"])
        self.replay.restore(part("replay."))
        self._best = (part("best."), header["best"]) if header["best"] else None
        self._evaluations = [(step, value) for step, value in header["evaluations"]]
        self._best_step, self._restarts = header["best_step"], header["restarts"]
        if self._best_step is not None:
            self._best_value = dict(self._evaluations)[self._best_step]
        self._evaluated(header["evaluated_at"])
        self._last_round, self._owed = header["last_round"], header["owed"]
        collector.steps = header["steps"]
        for name, column in vars(episodes).items():
            column[:] = tensors[f"episodes.{name}"].tolist()
        for name, array in self._running().items():
            array[...] = tensors[f"running.{name}"]
        self._restore_environments(part, header["environments"])
        return True

    def _restore_environments(
        self, part: Callable[[str], dict[str, Array]], headers: list[dict[str, Any]]
    ) -> None:
        collector = self.collector
        rng = generator(self.model.config.seed, f"learn/restart/{collector.steps}")
        for i, (recorder, header) in enumerate(zip(collector.recorders, headers, strict=True)):
            seed = int(rng.integers(SEEDS))
            if recorder.restore(part(f"env.{i}."), header):
                continue
            collector.restart(i, seed)
            if collector.steps not in self._restarts:
                self._restarts.append(collector.steps)
            logger.warning(
                "resumed at environment step %d, but %s did not come back to where it was: a new "
                "episode begins, and training goes on otherwise than if it had not been stopped. "
                "get_state() and set_state(state) of the environment would make it exact",
                collector.steps,
                recorder.env,
            )
        collector.after_restore()

    def _require_same(self, identity: Any) -> None:
        assert self.store is not None
        own = self._identity()
        if identity == own:
            return
        what = _differences(identity, own)
        raise CheckpointError(
            f"{self.store.folder}: its checkpoints are of another training and cannot be "
            f"continued: {what}. Use another checkpoint_folder, or resume=False to begin anew."
        )


def _differences(saved: Any, own: Any) -> str:
    """Name what two nested mappings differ in, three at most."""
    found: list[str] = []

    def compare(a: Any, b: Any, path: str) -> None:
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            for key in [*b, *(k for k in a if k not in b)]:
                compare(a.get(key), b.get(key), f"{path}.{key}" if path else str(key))
        elif a != b:
            found.append(f"{path} was {shorten(repr(a), 100)}, not {shorten(repr(b), 100)}")

    compare(saved, own, "")
    return "; ".join(found[:3])
