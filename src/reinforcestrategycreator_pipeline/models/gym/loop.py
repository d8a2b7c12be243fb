"""Training of a deep Q-network on a Gymnasium environment; exactly resumable.

One round of the loop, with E environments (E = 1 without a vector):

    progress     set exploration, learning rate, and beta from the fraction of steps done
    collect      observe the states, choose E actions, step, store E transitions
    train        every `train_frequency` environment steps, `gradient_steps` training steps
    evaluate     every `eval_interval` environment steps, greedily, on a separate environment
    checkpoint   every `checkpoint_interval` environment steps, the state of all of the above
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reinforcestrategycreator_pipeline.checks import require, require_bool, require_int
from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.kernels import one_thread
from reinforcestrategycreator_pipeline.models.gym.collectors import (
    OWNER,
    Collector,
    Environment,
    SingleCollector,
    Task,
    TaskModel,
    VectorCollector,
    is_vector,
    task_of,
)
from reinforcestrategycreator_pipeline.models.gym.masks import SETTINGS, ActionMasking
from reinforcestrategycreator_pipeline.models.gym.paused import PausedTraining
from reinforcestrategycreator_pipeline.models.gym.progress import ProgressBar
from reinforcestrategycreator_pipeline.models.gym.rounds import (
    SEEDS,
    Callback,
    Evaluation,
    LearningResult,
    Loop,
)
from reinforcestrategycreator_pipeline.seeding import generator
from reinforcestrategycreator_pipeline.storage.checkpoints import CheckpointStore

__all__ = ["LearningResult", "learn", "make_collector"]


def learn(
    model: TaskModel,
    env: Environment,
    total_steps: int,
    callback: Callback | Sequence[Callback] | None = None,
    *,
    eval_env: Environment | None = None,
    eval_interval: int = 10_000,
    eval_episodes: int = 10,
    eval_max_steps: int | None = None,
    keep_best: bool = False,
    checkpoint_folder: str | Path | None = None,
    checkpoint_interval: int = 10_000,
    resume: bool = False,
    progress_bar: bool = False,
    action_masking: ActionMasking = "auto",
    continue_training: bool = False,
) -> LearningResult:
    """Train `model` on `env`; implements `DQN.learn`, which documents the parameters."""
    require_int(OWNER, "total_steps", total_steps, 0)
    for name, value in (
        ("eval_interval", eval_interval),
        ("eval_episodes", eval_episodes),
        ("eval_max_steps", 1 if eval_max_steps is None else eval_max_steps),
        ("checkpoint_interval", checkpoint_interval),
    ):
        require_int(OWNER, name, value, 1)
    for name, flag in (
        ("keep_best", keep_best),
        ("resume", resume),
        ("progress_bar", progress_bar),
        ("continue_training", continue_training),
    ):
        require_bool(OWNER, name, flag)
    for name, needed, other in (
        ("checkpoint_folder", resume, "with resume"),
        ("eval_env", keep_best, "with keep_best"),
    ):
        given = checkpoint_folder if name == "checkpoint_folder" else eval_env
        require(given is not None or not needed, OWNER, name, f"given {other}", given)
    rule = "false with resume, which goes on from the checkpoint"
    require(not (continue_training and resume), OWNER, "continue_training", rule, True)
    task = task_of(env)
    if eval_env is not None:
        _require_evaluable(env, eval_env, task)
    before = training_before(model, total_steps) if continue_training else None
    recording = checkpoint_folder is not None
    collector, fresh = collector_for(model, env, total_steps, before, recording, action_masking)
    loop = Loop(
        model,
        collector,
        total_steps,
        _callbacks(callback),
        None
        if eval_env is None
        else Evaluation(
            model, eval_env, eval_interval, eval_episodes, eval_max_steps, action_masking
        ),
        keep_best,
        None if checkpoint_folder is None else CheckpointStore(Path(checkpoint_folder)),
        checkpoint_interval,
    )
    try:
        if not (resume and loop.resume()):
            begin(loop, before, fresh)
        model.last_training = loop
        with one_thread(), contextlib.ExitStack() as stack:
            bar = ProgressBar(total_steps, collector.steps) if progress_bar else None
            if bar is not None:
                stack.enter_context(bar)
            return loop.run(bar)
    finally:
        collector.release()


def training_before(model: TaskModel, total_steps: int) -> Loop | PausedTraining:
    """Return the last training of `model`, which is to go on until `total_steps`.

    Raises
    ------
    ConfigError
        If there is none, or it was to take more steps.
    """
    before: Loop | PausedTraining | None = getattr(model, "last_training", None)
    if before is None:
        raise ConfigError(
            f"The continue_training parameter of {OWNER} must be false for a DQN that was not "
            f"trained by it, nor loaded from a file of save(path, replay=True)."
        )
    rule = f"at least {before.total_steps}, as in the training that goes on"
    require(total_steps >= before.total_steps, OWNER, "total_steps", rule, total_steps)
    return before


def collector_for(
    model: TaskModel,
    env: Any,
    total_steps: int,
    before: Loop | PausedTraining | None,
    recording: bool = False,
    action_masking: ActionMasking = "auto",
) -> tuple[Collector, bool]:
    """Return the collector of a training, and whether its environment must be reset.

    Raises
    ------
    ConfigError
        If the model does not fit the task, or the settings do not fit a training that goes on.
    """
    if not (isinstance(before, Loop) and before.whole and before.collector.env is env):
        return make_collector(
            model, env, task_of(env), total_steps, recording, action_masking
        ), True
    collector = before.collector
    rule = "None: the training that goes on had none, and its running episode was not recorded"
    require(not recording or bool(collector.recorders), OWNER, "checkpoint_folder", rule, "one")
    rule = f"{collector.action_masking!r}, as in the training that goes on"
    same = action_masking == collector.action_masking
    require(same, OWNER, "action_masking", rule, action_masking)
    collector.last_step = total_steps
    collector.attach()
    return collector, False


def begin(loop: Loop, before: Loop | PausedTraining | None, fresh: bool) -> None:
    """Take over the training `before`, if any, and reset the environment if it is `fresh`."""
    model, collector = loop.model, loop.collector
    if before is not None:
        loop.take(before)
    if not fresh:
        return
    seed, t, rows = model.config.seed, model.learner.networks.t, len(model.replay_buffer)
    if t or rows:  # not the same first episodes once more
        seed = int(generator(seed, f"learn/again/{t}/{rows}").integers(SEEDS))
    collector.start(seed)


def _callbacks(callback: Callback | Sequence[Callback] | None) -> list[Callback]:
    found = [] if callback is None else [callback] if callable(callback) else callback
    ok = isinstance(found, Sequence) and all(callable(c) for c in found)
    require(ok, OWNER, "callback", "a callable or a sequence of callables", callback)
    return list(found)


def _require_evaluable(env: Any, eval_env: Any, task: Task) -> None:
    other = task_of(eval_env, "eval_env")
    if eval_env is env or eval_env.unwrapped is env.unwrapped:
        raise ConfigError(
            f"The eval_env parameter of {OWNER} must be a different environment from env, whose "
            f"running episode an evaluation would end. Got the same one instead."
        )
    require(not is_vector(eval_env), OWNER, "eval_env", "a single gymnasium.Env", eval_env)
    if other != task:
        raise ConfigError(
            f"The eval_env parameter of {OWNER} must have the spaces of env, {task}. "
            f"Got {other} instead."
        )


def make_collector(
    model: TaskModel,
    env: Any,
    task: Task,
    last_step: int,
    recording: bool = False,
    action_masking: ActionMasking = "auto",
) -> Collector:
    """Return a collector for `env` and `model`; build the model if it is not built yet.

    Raises
    ------
    ConfigError
        If the model does not fit the task, or `action_masking` is unknown.
    """
    known = action_masking in SETTINGS
    require(known, OWNER, "action_masking", f"one of {', '.join(SETTINGS)}", action_masking)
    if not hasattr(model, "learner"):
        model.build(task.shape, (task.n_actions,))
    fits = (model.n_inputs, model.n_actions) == (math.prod(task.shape), task.n_actions)
    require(
        fits,
        OWNER,
        "env",
        f"one with {model.n_inputs} inputs and {model.n_actions} actions, like the model",
        task,
    )
    replay = model.replay_buffer
    rule = "a RingReplay (the default if the model is not built yet)"
    require(hasattr(replay, "push_many"), OWNER, "model's replay", rule, type(replay).__name__)
    replay.drop_pending()  # steps of a previous task
    kind = VectorCollector if is_vector(env) else SingleCollector
    return kind(model, env, task, last_step, recording, action_masking)
