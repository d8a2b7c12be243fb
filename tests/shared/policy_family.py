"""Every member of the DQN family with random numbers in it, and its values by slow loops."""

from __future__ import annotations

import itertools
import math

import numpy as np

from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN

HEADS = {
    "expected": {"head": "expected"},
    "c51": {"head": "c51", "n_atoms": 11, "v_min": -3.0, "v_max": 5.0},
    "qr": {"head": "qr", "n_atoms": 7},
}
SWITCHES = ("dueling", "layer_norm", "noisy", "normalize_observations")

# One at a time, and all together.
MEMBERS = {
    "plain": {},
    **{name: {name: True} for name in SWITCHES},
    "c51": HEADS["c51"],
    "qr": HEADS["qr"],
    "all with expected": dict.fromkeys(SWITCHES, True),
    "all with c51": {**dict.fromkeys(SWITCHES, True), **HEADS["c51"]},
    "all with qr": {**dict.fromkeys(SWITCHES, True), **HEADS["qr"]},
}

# Every combination of heads and switches.
COMBINATIONS = {
    "-".join([head, *(n for n, on in zip(SWITCHES, switches, strict=True) if on)]): {
        **HEADS[head],
        **dict(zip(SWITCHES, switches, strict=True)),
    }
    for head in HEADS
    for switches in itertools.product((False, True), repeat=len(SWITCHES))
}


def random_dqn(settings, n_inputs=6, n_actions=3, dtype="float32", seed=0, hidden=(9, 8)):
    """A DQN in which every parameter is random, and whose best action differs by state."""
    rng = np.random.default_rng(seed)
    hyperparameters = {"hidden_layers": list(hidden), "observation_clip": 2.5, **settings}
    dqn = DQN({"hyperparameters": hyperparameters, "dtype": dtype, "seed": seed})
    dqn.build((n_inputs,), (n_actions,))
    states = states_for(settings, rng, 50, n_inputs)
    dqn.observe(states)
    for _ in range(100):
        for name, array in dqn.q_network["weights"].items():
            middle = 1.0 if name.startswith("gain") else 0.0
            array[...] = rng.normal(middle, 0.7, array.shape)
        if np.bincount(dqn.predict(states).argmax(1), minlength=n_actions).max() <= 35:
            return dqn
    raise AssertionError("no draw makes the best action differ")


def price_like(rng, rows, n_inputs):
    """Observations of very different levels, 60,000 the largest."""
    return rng.normal(size=(rows, n_inputs)) + np.resize([60_000.0, 0.0, -3.0], n_inputs)


def states_for(settings, rng, rows, n_inputs=6):
    """Observations that a member of the family takes."""
    if settings.get("normalize_observations"):
        return price_like(rng, rows, n_inputs)
    return rng.normal(size=(rows, n_inputs))


def slow_values(dqn, state):
    """The action values of one state in float64, number by number, from the papers."""
    hp, weights = dqn.hyperparameters, dqn.q_network["weights"]
    x = [float(v) for v in np.asarray(state, dtype=dqn.dtype)]
    if dqn.normalizer is not None:
        mean, scale = dqn.normalizer.fold()
        clip = hp.observation_clip
        x = [max(-clip, min(clip, (v - m) / s)) for v, m, s in zip(x, mean, scale, strict=True)]
        x = [float(dqn.dtype.type(v)) for v in x]

    def dense(values, i):
        w, b = weights[f"W{i}"], weights[f"b{i}"]
        return [
            float(b[k]) + math.fsum(v * float(w[j, k]) for j, v in enumerate(values))
            for k in range(len(b))
        ]

    def normal(values):
        mean = math.fsum(values) / len(values)
        variance = math.fsum((v - mean) ** 2 for v in values) / len(values)
        return [(v - mean) / math.sqrt(variance + 1e-5) for v in values]

    top = len(hp.hidden_layers)
    for i in range(top):
        z = dense(x, i)
        if hp.layer_norm:
            half = len(z) // 2
            both = hp.dueling and i == top - 1
            z = normal(z[:half]) + normal(z[half:]) if both else normal(z)
            gain, offset = weights[f"gain{i}"], weights[f"offset{i}"]
            z = [v * float(g) + float(o) for v, g, o in zip(z, gain, offset, strict=True)]
        x = [max(v, 0.0) for v in z]
    n = 1 if hp.head == "expected" else hp.n_atoms
    if hp.dueling:
        half = hp.hidden_layers[-1]
        value, advantage = dense(x[:half], top), dense(x[half:], top + 1)
        mean = [math.fsum(advantage[j::n]) / dqn.n_actions for j in range(n)]
        z = [value[j % n] + a - mean[j % n] for j, a in enumerate(advantage)]
    else:
        z = dense(x, top)
    return [_head_value(hp, z[a * n : (a + 1) * n]) for a in range(dqn.n_actions)]


def _head_value(hp, outputs):
    if hp.head == "expected":
        return outputs[0]
    if hp.head == "qr":
        return math.fsum(outputs) / len(outputs)
    e = [math.exp(v - max(outputs)) for v in outputs]
    step = (hp.v_max - hp.v_min) / (hp.n_atoms - 1)
    return math.fsum((hp.v_min + i * step) * p for i, p in enumerate(e)) / math.fsum(e)
