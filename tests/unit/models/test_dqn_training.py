"""Target network, diagnostics, denormals, and what a step costs."""

import copy
import sys

import numpy as np
import pytest
import shapes
from dqn_cases import (
    FixedReplay,
    filled_dqn,
    make_dqn,
    plain_loss,
    plain_q,
    plain_targets,
    plain_weights,
    random_batch,
    set_random_weights,
)

from reinforcestrategycreator_pipeline.replay.batch import Batch


def equal(a, b):
    return all((a["weights"][name] == b["weights"][name]).all() for name in a["weights"])


@pytest.mark.parametrize("interval", [1, 7])
def test_the_target_network_is_copied_every_interval_of_training_steps(interval):
    dqn = filled_dqn(target_update_interval=interval)
    for t in range(1, 22):
        kept = copy.deepcopy(dqn.target_network)
        dqn._train_step(16, 0.9)
        if t % interval == 0:
            assert equal(dqn.target_network, dqn.q_network), t
        else:
            assert equal(dqn.target_network, kept), t
            assert not equal(dqn.target_network, dqn.q_network), t


def test_update_target_network_copies_now():
    dqn = filled_dqn()
    dqn._train_step(16, 0.9)
    assert not equal(dqn.target_network, dqn.q_network)
    dqn.update_target_network()
    assert equal(dqn.target_network, dqn.q_network)


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("all_actions", [False, True])
@pytest.mark.parametrize("double_dqn", [False, True])
def test_the_loss_is_that_of_the_plain_targets(double_dqn, all_actions, gamma):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        batch = random_batch(rng, n=40, all_actions=all_actions)
        dqn = make_dqn(replay=FixedReplay(batch), dtype="float64", double_dqn=double_dqn)
        set_random_weights(dqn, rng)
        online, target = plain_weights(dqn.q_network), plain_weights(dqn.target_network)
        y = plain_targets(batch, online, target, gamma, double_dqn)
        other = plain_targets(batch, online, target, gamma, not double_dqn)
        expected = plain_loss(online, batch, y)
        assert dqn._train_step(40, gamma) == pytest.approx(expected, rel=1e-12)
        # The two kinds of target can be told apart by this test, where there is a future.
        differs = abs(expected - plain_loss(online, batch, other)) > 1e-6 * expected
        assert differs == (gamma > 0)


def test_any_replay_with_a_sample_is_enough():
    class Lazy:
        """Foreign types: float64 states for a float32 network, terminated as integers."""

        def sample(self, batch_size):
            rng = np.random.default_rng(3)
            s = rng.normal(size=(batch_size, 8))
            terminated = (rng.random(batch_size) < 0.3).astype(np.int64)
            a = rng.integers(3, size=batch_size).astype(np.int32)
            return Batch(s[:, ::2], a, rng.normal(size=batch_size), s[:, 1::2], terminated)

    dqn = make_dqn(replay=Lazy())
    batch = Lazy().sample(20)
    online = plain_weights(dqn.q_network)
    y = plain_targets(batch, online, online, 0.9)
    assert dqn._train_step(20, 0.9) == pytest.approx(plain_loss(online, batch, y), rel=1e-5)


def test_an_empty_replay_that_is_given_is_used():
    empty = FixedReplay(random_batch(np.random.default_rng(4), n=0))
    assert not empty  # it is falsy
    assert make_dqn(replay=empty).replay_buffer is empty


def test_a_batch_size_may_change_from_step_to_step():
    dqn, again = filled_dqn(), filled_dqn()
    sizes = [1, 32, 7, 100, *range(1, 90), 32]
    assert [dqn._train_step(n, 0.9) for n in sizes] == [again._train_step(n, 0.9) for n in sizes]


def calls_of(step):
    """How many functions, Python's and C's, one call of `step` runs."""
    for _ in range(shapes.MOST_CALLS + 1):  # makes the buffers, and passes the checked calls
        step()
    count = 0

    def count_calls(frame, event, arg):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(count_calls)
    try:
        step()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("all_actions", [False, True])
def test_a_step_runs_no_python_over_samples(all_actions):
    def calls(n):
        batch = random_batch(np.random.default_rng(5), n, all_actions=all_actions, dtype="float32")
        dqn = make_dqn(replay=FixedReplay(batch), log_interval=0)
        return calls_of(lambda: dqn._train_step(n, 0.9))

    assert calls(2) == calls(512)


def test_the_count_of_calls_sees_a_loop():
    def calls(n):
        return calls_of(lambda: [plain_q(np.ones(2), {"W0": np.ones((2, 2)), "b0": 0})] * n)

    def looping_calls(n):
        return calls_of(lambda: [abs(i) for i in range(n)])

    assert calls(2) == calls(512)
    assert looping_calls(2) < looping_calls(512)


def dead_share_of(batch, weights):
    """The share of hidden units that none of the states s_tm1 and s_t wakes."""
    a, awake = np.concatenate([batch.s_tm1, batch.s_t]), []
    for i in range(2):
        a = np.maximum(a @ weights[f"W{i}"] + weights[f"b{i}"], 0)
        awake += [bool(unit.any()) for unit in a.T]
    return 1 - sum(awake) / len(awake)


def test_diagnostics_are_what_their_names_say():
    batch = random_batch(np.random.default_rng(6), n=32)
    dqn = make_dqn(replay=FixedReplay(batch), dtype="float64", log_interval=5, adam_beta1=0.0)
    assert dqn.diagnostics == {}
    for t in range(1, 16):
        before, kept = plain_weights(dqn.q_network), dqn.diagnostics
        loss = dqn._train_step(32, 0.9)
        if t % 5:
            assert dqn.diagnostics is kept
            continue
        after = plain_weights(dqn.q_network)
        gradients = dqn.q_network["optimizer_state"]["m"].values()  # beta1 = 0
        q = plain_q(batch.s_tm1, before)
        moved = sum(((after[name] - w) ** 2).sum() for name, w in before.items())
        size = sum((w**2).sum() for w in before.values())
        expected = {
            "step": t,
            "loss": loss,
            "grad_norm": sum((g**2).sum() for g in gradients) ** 0.5,
            "update_norm": (moved / size) ** 0.5,
            "q_mean": q.mean(),
            "q_max": q.max(),
            "dead_units": dead_share_of(batch, before),
            "learning_rate": 1e-3,
        }
        assert dqn.diagnostics == pytest.approx(expected, rel=1e-9)


def test_logging_changes_no_bit_of_learning_and_can_be_off():
    off, on = filled_dqn(log_interval=0), filled_dqn(log_interval=1)
    for _ in range(20):
        assert off._train_step(16, 0.9) == on._train_step(16, 0.9)
    assert off.learner.networks.weights.flat.tobytes() == on.learner.networks.weights.flat.tobytes()
    assert off.diagnostics == {}
    assert on.diagnostics["step"] == 20


def test_dead_units_leave_no_denormals():
    dqn = filled_dqn(hidden_layers=[16, 16])
    for _ in range(50):
        dqn._train_step(16, 0.9)
    dqn.q_network["weights"]["b0"][:8] = -1e3  # eight units die; Adam cannot lift them again
    state = dqn.q_network["optimizer_state"]
    assert state["m"]["W0"][:, :8].all()  # they had momentum
    tiny = np.finfo(np.float32).tiny
    for _ in range(3000):
        dqn._train_step(16, 0.9)
        for moments in (dqn.learner.networks.m.flat, dqn.learner.networks.v.flat):
            assert not ((moments != 0) & (np.abs(moments) < tiny)).any(), state["t"]
    assert not state["m"]["W0"][:, :8].any()
    assert state["m"]["W0"][:, 8:].any()


def test_the_loss_falls_on_a_regression():
    # gamma = 0 makes it one: the reward is a function of state and action.
    dqn = make_dqn(hidden_layers=[32, 32], learning_rate=3e-3)
    rng = np.random.default_rng(8)
    for s in rng.normal(size=(1000, 4)):
        a = int(rng.integers(3))
        dqn.replay_buffer.push(s, a, float(np.sin(s[a]) + s[3] * (a - 1)), s, False)
    losses = [dqn._train_step(64, 0.0) for _ in range(1500)]
    assert np.mean(losses[-100:]) < 0.02 * np.mean(losses[:20])
