"""Gymnasium tasks whose every step is known, and small learners for them."""

from __future__ import annotations

import gymnasium as gym
import numpy as np

from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.storage.tensor_files import tensors_sha256

GAMMA = 0.5
# Length and end of each episode of each environment, over and over.
SCRIPTS = (
    ((3, "terminated"), (1, "truncated"), (4, "truncated")),
    ((2, "truncated"), (5, "terminated")),
    ((1, "terminated"), (6, "truncated"), (1, "terminated")),
)


def reward_of(env, episode, t):
    return 1.0 + env + 0.25 * episode + 2.0 ** -(t + 3)


class Scripted(gym.Env):
    """Shows (environment, episode, steps made, last action), whatever one does."""

    def __init__(self, number=0, start=0, dtype=np.float32, shape=(4,)):
        self.observation_space = gym.spaces.Box(-100, 100, shape, dtype)
        self.action_space = gym.spaces.Discrete(3, start=start)
        self.number, self.episode = number, -1
        self.actions, self.seeds = [], []

    def _observe(self):
        values = (self.number, self.episode, self.t, self.last)
        return np.reshape(values, self.observation_space.shape).astype(self.observation_space.dtype)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.episode += 1
        self.t, self.last = 0, -1
        script = SCRIPTS[self.number]
        self.length, self.end = script[self.episode % len(script)]
        return self._observe(), {}

    def step(self, action):
        assert self.t < self.length, "stepped beyond the end"
        assert self.action_space.contains(action)
        self.last = int(action - self.action_space.start)
        self.actions.append(self.last)
        reward = reward_of(self.number, self.episode, self.t)
        self.t += 1
        over = self.t == self.length
        ended = over and self.end == "terminated"
        return self._observe(), reward, ended, over and not ended, {}


def scripted_run(n_envs, total, mode):
    """Walk the scripts by hand: episodes by environment, [(length, end)], and steps by episode.

    Returns the list of (environment, episode, steps made of it, how it ended or "running"), the
    finished ones in the order of their ends as (environment, episode, step), and all steps.
    """
    where = [[0, 0] for _ in range(n_envs)]
    resting = [False] * n_envs
    walked, finished, steps = {}, [], 0
    while steps < total:
        ends = []
        for e in range(n_envs):
            if resting[e]:  # this step is a reset
                resting[e] = False
                where[e] = [where[e][0] + 1, 0]
                continue
            k, t = where[e]
            length, end = SCRIPTS[e][k % len(SCRIPTS[e])]
            steps += 1
            t += 1
            walked[e, k] = (t, end if t == length else "running")
            where[e][1] = t
            if t == length:
                ends.append((e, k))
                if mode == "NextStep":
                    resting[e] = True
                else:
                    where[e] = [k + 1, 0]
        finished += [(e, k, steps) for e, k in ends]
    return walked, finished, steps


def expected_transitions(walked, n_step):
    """Every (state, return, state that followed, terminated, steps), by a slow loop."""
    found = []
    for (e, k), (made, end) in walked.items():
        for t in range(made):
            m = min(n_step, made - t)
            total = sum(GAMMA**i * reward_of(e, k, t + i) for i in range(m))
            terminated = end == "terminated" and t + m == made
            found.append(((e, k, t), round(total, 5), (e, k, t + m), terminated, m))
    return sorted(found)


def stored_transitions(dqn):
    arrays = dqn.replay_buffer.arrays()
    steps = arrays.get("steps", np.ones(len(dqn.replay_buffer), dtype=int))
    return sorted(
        (
            tuple(s[:3].astype(int).tolist()),
            round(float(r), 5),
            tuple(f[:3].astype(int).tolist()),
            bool(over),
            int(m),
        )
        for s, r, f, over, m in zip(
            arrays["s_tm1"], arrays["r_t"], arrays["s_t"], arrays["terminated"], steps, strict=True
        )
    )


def dqn_of(seed=1, **hyperparameters):
    settings = {
        "hidden_layers": [8],
        "gamma": GAMMA,
        "batch_size": 8,
        "buffer_size": 1000,
        "learning_starts": 20,
        "train_frequency": 1,
        "target_update_interval": 7,
        "log_interval": 5,
        "on_divergence": "ignore",
    }
    return DQN({"hyperparameters": {**settings, **hyperparameters}, "seed": seed})


def learning_hash(dqn, result):
    """The SHA-256 of all that a finished training leaves: model, replay, generators, episodes."""
    tensors, header = dqn.state()
    header = {k: header[k] for k in ("t", "generators", "schedules", "adam")}
    said = (result.returns, result.lengths, result.ended_at, result.evaluations, result.steps)
    everything = {
        **{f"model.{k}": v for k, v in tensors.items()},
        **{f"replay.{k}": v for k, v in dqn.replay_buffer.arrays().items()},
    }
    return tensors_sha256(everything, repr((header, said)))
