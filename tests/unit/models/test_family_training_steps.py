"""Whole training steps of the family, all switches on, against slow ones written from the papers.

Per step: new noise, loss and gradients (`reference_dqn`), clipping by the global norm, AdamW
(Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2) number by number, the soft target, the
learning-rate schedule, and the priorities that go back to the replay.
"""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import reference_dqn as ref
from autograd import value_and_grad
from family_cases import doubles, family_case

STEPS = 5
RAINBOW = {
    "double_dqn": True,
    "dueling": True,
    "layer_norm": True,
    "noisy": True,
    "head": "c51",
    "prioritized_replay": True,
    "n_step": 3,
    "normalize_observations": True,
    "observation_clip": 1.5,
    "weight_decay": 0.1,
    "max_grad_norm": 0.8,
    "tau": 0.3,
    "target_update_interval": 2,
    "learning_rate": 0.05,
    "learning_rate_schedule": "linear",
    "learning_rate_final": 0.01,
    "adam_beta1": 0.8,
    "adam_beta2": 0.9,
    # As Rainbow has it; with 1e-8, gradients that are roundings of zero would be steps, too.
    "adam_epsilon": 1.5e-4,
    "gamma": 0.9,
    "on_divergence": "ignore",
}
SCHEDULES = {
    "constant": lambda share: 0.05,
    "linear": lambda share: 0.05 - 0.04 * share,
    "cosine": lambda share: 0.01 + 0.04 * (1 + math.cos(math.pi * share)) / 2,
    "exponential": lambda share: 0.05 * 0.2**share,
}


class Batches:
    """A replay that gives one batch after the other and keeps the priorities it is told."""

    def __init__(self, batches):
        self.batches = list(batches)
        self.sampler = SimpleNamespace(beta=None)
        self.told = []
        self.given = 0

    def __len__(self):
        return 1000

    def sample(self, batch_size):
        self.given += 1
        return self.batches[self.given - 1]

    def update_priorities(self, indices, priorities):
        self.told.append((np.array(indices), np.array(priorities)))


class SlowLearner:
    """Training steps, number by number, with everything as Python floats in dicts of arrays."""

    def __init__(self, h, online, target):
        self.h, self.online, self.target = h, online, target
        self.t = 0
        self.m = {name: np.zeros_like(w) for name, w in online.items()}
        self.v = {name: np.zeros_like(w) for name, w in online.items()}
        self.clipped = []

    def step(self, batch, noise, target_noise, learning_rate):
        """One step; returns the loss and the rows' priorities."""
        h = self.h
        rows = ref.make_rows(h, self.online, self.target, batch, h.gamma, noise, target_noise)
        differentiated = value_and_grad(lambda w: ref.loss(h, w, noise, batch.s_tm1, rows))
        loss, gradients = differentiated(self.online)
        priorities = ref.priorities(h, self.online, noise, batch.s_tm1, rows)
        norm = math.sqrt(sum(x * x for g in gradients.values() for x in g.ravel().tolist()))
        shrink = 1.0 if h.max_grad_norm is None else min(1.0, h.max_grad_norm / norm)
        self.clipped.append(shrink < 1.0)
        self.t += 1
        for name, w in self.online.items():
            for where in np.ndindex(*w.shape):
                g = gradients[name][where] * shrink
                m = h.adam_beta1 * self.m[name][where] + (1 - h.adam_beta1) * g
                v = h.adam_beta2 * self.v[name][where] + (1 - h.adam_beta2) * g * g
                self.m[name][where], self.v[name][where] = m, v
                m_hat = m / (1 - h.adam_beta1**self.t)
                v_hat = v / (1 - h.adam_beta2**self.t)
                decay = learning_rate * h.weight_decay * w[where]
                update = learning_rate * m_hat / (math.sqrt(v_hat) + h.adam_epsilon)
                w[where] = w[where] - decay - update
        if self.t % h.target_update_interval == 0:
            for name, w in self.target.items():
                w[...] = (1 - h.tau) * w + h.tau * self.online[name]
        return loss, priorities


def normalised(states, seen, clip):
    return np.clip((states - seen.mean(axis=0)) / seen.std(axis=0), -clip, clip)


def cases(settings, all_actions=False):
    """The first case has the weights; every one has a batch."""
    kind = {"all_actions": all_actions, "weights": True, "steps": True, "reward_scale": 2.0}
    family = {k: v for k, v in settings.items() if k in ("head", "dueling", "layer_norm", "noisy")}
    return [family_case(seed, **kind, **family, loss="huber") for seed in range(STEPS)]


def run(settings, all_actions=False, dtype="float64"):
    """Both learners after STEPS steps; asserts on the way what is known at each step."""
    drawn = cases(settings, all_actions)
    replay = Batches(case.batch(dtype) for case in drawn)
    dqn, _ = drawn[0].make(dtype, replay=replay, **settings)
    h = SimpleNamespace(**{**vars(drawn[0].h), **settings})
    copies = ({name: w.copy() for name, w in x.items()} for x in (drawn[0].online, drawn[0].target))
    slow = SlowLearner(h, *copies)
    rng = np.random.default_rng(11)
    seen = np.empty((0, dqn.n_inputs))
    scheduled = SCHEDULES[settings["learning_rate_schedule"]]
    for i, case in enumerate(drawn):
        batch = case.batch()
        if h.normalize_observations:
            new = rng.normal(size=(20, dqn.n_inputs)) * [2.0, 0.5, 1.0] + [1.0, -0.5, 0.0]
            dqn.observe(new)
            seen = np.concatenate([seen, new])
            batch = batch._replace(
                s_tm1=normalised(batch.s_tm1, seen, h.observation_clip),
                s_t=normalised(batch.s_t, seen, h.observation_clip),
            )
        share = i / STEPS
        dqn.set_progress(share)
        loss = dqn.train_step()
        noises = doubles(dqn.noise), doubles(dqn.target_noise)
        expected_loss, priorities = slow.step(batch, *noises, scheduled(share))
        assert loss == pytest.approx(expected_loss, rel=1e-10 if dtype == "float64" else 1e-3)
        if dtype == "float64":
            indices, told = replay.told[i]
            assert indices.tolist() == batch.indices.tolist()
            by_transition = priorities.reshape(len(indices), -1).mean(axis=1)
            np.testing.assert_allclose(told, by_transition, rtol=1e-10, atol=1e-13)
            beta = 0.4 + share * 0.6
            assert replay.sampler.beta == (pytest.approx(beta) if h.prioritized_replay else None)
    return dqn, slow


def assert_equal_weights(dqn, slow, tolerance):
    pairs = [
        (dqn.q_network["weights"], slow.online),
        (dqn.target_network["weights"], slow.target),
        (dqn.q_network["optimizer_state"]["m"], slow.m),
        (dqn.q_network["optimizer_state"]["v"], slow.v),
    ]
    for found, expected in pairs:
        assert set(found) == set(expected)
        for name, e in expected.items():
            scale = np.max(np.abs(e))
            assert np.max(np.abs(found[name] - e)) < tolerance * scale, name
    assert dqn.q_network["optimizer_state"]["t"] == slow.t == STEPS


@pytest.mark.parametrize("all_actions", [False, True], ids=["selected", "all"])
@pytest.mark.parametrize("head", ["c51", "qr", "expected"])
def test_five_rainbow_steps(head, all_actions):
    dqn, slow = run({**RAINBOW, "head": head}, all_actions)
    assert_equal_weights(dqn, slow, 1e-10)
    assert any(slow.clipped)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_learning_rate_schedule(schedule):
    dqn, slow = run({**RAINBOW, "learning_rate_schedule": schedule})
    assert_equal_weights(dqn, slow, 1e-10)


OFF = {
    "double_dqn": False,
    "dueling": False,
    "layer_norm": False,
    "noisy": False,
    "head": "expected",
    "prioritized_replay": False,
    "normalize_observations": False,
    "weight_decay": 0.0,
    "max_grad_norm": None,
    "tau": 1.0,
    "learning_rate_schedule": "constant",
}


@pytest.mark.parametrize("on", [None, *OFF])
def test_each_switch_alone(on):
    """Everything off but one, with target copies or soft updates, clipping or none, ..."""
    dqn, slow = run({**RAINBOW, **{k: v for k, v in OFF.items() if k != on}})
    assert_equal_weights(dqn, slow, 1e-10)


def test_five_rainbow_steps_in_float32():
    dqn, slow = run(RAINBOW, dtype="float32")
    for name, e in slow.online.items():
        found = dqn.q_network["weights"][name]
        assert found.dtype == np.float32
        assert np.max(np.abs(found - e)) < 1e-3, name


# -- planted bugs: each must show -----------------------------------------------------------------


WRONG = {
    "no weight decay": {"weight_decay": 0.0},
    "decay by a tenth more": {"weight_decay": 0.11},
    "no clipping": {"max_grad_norm": None},
    "clipping at another norm": {"max_grad_norm": 0.801},
    "a hard target": {"tau": 1.0},
    "a target every step": {"target_update_interval": 1},
    "another beta1": {"adam_beta1": 0.81},
    "another beta2": {"adam_beta2": 0.91},
    "another epsilon": {"adam_epsilon": 1.6e-4},
    "another discount": {"gamma": 0.91},
    "another clip of the observations": {"observation_clip": 1.6},
}


@pytest.mark.parametrize("bug", WRONG)
def test_a_planted_difference_shows(bug, monkeypatch):
    """The slow learner is told another number than the product."""
    dqn, slow = run(RAINBOW)
    assert_equal_weights(dqn, slow, 1e-10)
    right = SlowLearner.__init__

    def wrong(self, h, online, target):
        right(self, SimpleNamespace(**{**vars(h), **WRONG[bug]}), online, target)

    monkeypatch.setattr(SlowLearner, "__init__", wrong)
    if "observation_clip" in WRONG[bug]:
        clip = WRONG[bug]["observation_clip"]
        right_clip = normalised
        monkeypatch.setitem(globals(), "normalised", lambda x, seen, _: right_clip(x, seen, clip))
    with pytest.raises(AssertionError):
        assert_equal_weights(*run(RAINBOW), 1e-10)


def test_a_schedule_that_is_not_followed_shows(monkeypatch):
    monkeypatch.setitem(SCHEDULES, "linear", SCHEDULES["constant"])
    with pytest.raises(AssertionError):
        assert_equal_weights(*run(RAINBOW), 1e-10)
