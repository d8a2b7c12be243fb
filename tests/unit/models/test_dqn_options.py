"""Each option of the DQN changes what it should, and nothing else."""

import copy
import logging

import numpy as np
import pytest
from dqn_cases import (
    FixedReplay,
    filled_dqn,
    learning_state,
    make_dqn,
    push_random,
    random_batch,
    set_random_weights,
)

from reinforcestrategycreator_pipeline.errors import ConfigError, DivergenceError
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.models.learner.guards import DEAD_STRETCH
from reinforcestrategycreator_pipeline.replay.prioritized import PrioritizedSampler
from reinforcestrategycreator_pipeline.replay.ring import RingReplay


def flat(network):
    return np.concatenate([w.ravel() for w in network["weights"].values()]).astype(np.float64)


def fixed_dqn(batch, **settings):
    """A float64 DQN whose replay always gives `batch`, with random weights."""
    dqn = make_dqn(replay=FixedReplay(batch), dtype="float64", **settings)
    set_random_weights(dqn, np.random.default_rng(5))
    return dqn


def batch_of(seed=1, **settings):
    return random_batch(np.random.default_rng(seed), **settings)


def gradient_of(dqn, batch):
    """The unclipped gradients of a batch at the weights of now."""
    dqn.compute_gradients(batch, 0.9)
    return {name: g.copy() for name, g in dqn.gradients.items()}


# -- the target network -----------------------------------------------------------------------


def test_soft_update_by_hand():
    dqn = make_dqn(1, 1, hidden_layers=[1], dtype="float64")
    dqn.q_network["weights"] = {"W0": [[8]], "b0": [4], "W1": [[-2]], "b1": [1]}
    dqn.target_network["weights"] = {"W0": [[0]], "b0": [4], "W1": [[2]], "b1": [-1]}
    dqn.update_target_network(0.25)
    left = {name: w.item() for name, w in dqn.target_network["weights"].items()}
    assert left == {"W0": 2.0, "b0": 4.0, "W1": 1.0, "b1": -0.5}
    assert dqn.q_network["weights"]["W0"].item() == 8


@pytest.mark.parametrize(("tau", "interval"), [(0.005, 1), (0.3, 4), (1.0, 3)])
def test_the_target_network_follows_at_its_interval(tau, interval):
    dqn = filled_dqn(tau=tau, target_update_interval=interval, dtype="float64")
    expected = flat(dqn.target_network)
    for t in range(1, 13):
        dqn._train_step(16, 0.9)
        if t % interval == 0:
            expected = (1 - tau) * expected + tau * flat(dqn.q_network)
        np.testing.assert_allclose(flat(dqn.target_network), expected, rtol=1e-12, atol=1e-15)


# -- the learning rate ------------------------------------------------------------------------

# Half-way from 1e-3 to 1e-5: (1 + cos(pi/2)) / 2 = 1/2, and the geometric mean is 1e-4.
HALF_WAY = {"linear": 5.05e-4, "cosine": 5.05e-4, "exponential": 1e-4, "constant": 1e-3}


@pytest.mark.parametrize("kind", HALF_WAY)
def test_a_schedule_scales_the_first_update(kind):
    """Adam's first step is proportional to the learning rate."""
    batch = batch_of()

    def first_move(progress, **settings):
        dqn = fixed_dqn(batch, learning_rate=1e-3, **settings)
        dqn.set_progress(progress)
        before = flat(dqn.q_network)
        dqn._train_step(6, 0.9)
        assert dqn.learning_rate == 1e-3  # the attribute keeps its meaning
        return flat(dqn.q_network) - before

    plain = first_move(0.5)
    schedule = {"learning_rate_schedule": kind, "learning_rate_final": 1e-5}
    end = 1e-3 if kind == "constant" else 1e-5
    for progress, rate in ((0.0, 1e-3), (0.5, HALF_WAY[kind]), (1.0, end), (1.5, end)):
        moved = first_move(progress, **schedule)
        np.testing.assert_allclose(moved, plain * rate / 1e-3, rtol=1e-6, atol=1e-15)


def test_the_diagnostics_tell_the_scheduled_rate():
    dqn = filled_dqn(log_interval=1, learning_rate_schedule="linear", learning_rate_final=0.0)
    for progress in (0.0, 0.25, 1.0):
        dqn.set_progress(progress)
        dqn._train_step(16, 0.9)
        assert dqn.diagnostics["learning_rate"] == pytest.approx(1e-3 * (1 - progress), rel=1e-12)


def test_a_rate_of_zero_stands_still():
    dqn = filled_dqn(learning_rate_schedule="linear", learning_rate_final=0.0, weight_decay=0.1)
    dqn.set_progress(1.0)
    before = flat(dqn.q_network)
    dqn._train_step(16, 0.9)
    assert (flat(dqn.q_network) == before).all()


# -- the optimiser ----------------------------------------------------------------------------


def plain_adamw(w, gradients, lr, decay, t, moments, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """One update of Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2, with eta = 1."""
    new = {}
    for name, value in w.items():
        m, v = moments.get(name, (0.0, 0.0))
        g = gradients[name]
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        moments[name] = m, v
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        # As torch.optim.AdamW: the decay is multiplied by the learning rate.
        new[name] = value - lr * (m_hat / (np.sqrt(v_hat) + epsilon)) - lr * decay * value
    return new


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_weight_decay_is_adamws(decay):
    batch = batch_of()
    dqn = fixed_dqn(batch, weight_decay=decay, learning_rate=0.01)
    moments = {}
    for t in range(1, 8):
        before = {name: w.copy() for name, w in dqn.q_network["weights"].items()}
        gradients = gradient_of(dqn, batch)
        expected = plain_adamw(before, gradients, 0.01, decay, t, moments)
        dqn._train_step(6, 0.9)
        for name, w in dqn.q_network["weights"].items():
            np.testing.assert_allclose(w, expected[name], rtol=1e-10, atol=1e-14)


def test_decay_is_not_added_to_the_gradient():
    """L2 regularisation, which Adam would divide out again, is another method."""
    batch = batch_of()
    plain, decayed = fixed_dqn(batch), fixed_dqn(batch, weight_decay=0.5)
    for dqn in (plain, decayed):
        dqn._train_step(6, 0.9)
    for part in "mv":
        ours = decayed.q_network["optimizer_state"][part]
        theirs = plain.q_network["optimizer_state"][part]
        assert all(ours[n].tobytes() == theirs[n].tobytes() for n in ours)


def norm_of(gradients):
    return float(np.sqrt(sum((g**2).sum() for g in gradients.values())))


def first_moments(dqn):
    return {n: m.copy() for n, m in dqn.q_network["optimizer_state"]["m"].items()}


@pytest.mark.parametrize("share", [0.1, 0.99, 1.01, 50.0])
def test_gradients_are_clipped_by_their_global_norm(share):
    batch = batch_of()
    gradients = gradient_of(fixed_dqn(batch), batch)
    norm = norm_of(gradients)
    dqn = fixed_dqn(batch, max_grad_norm=share * norm, adam_beta1=0.0, log_interval=1)
    dqn._train_step(6, 0.9)
    scale = min(1.0, share)
    for name, m in first_moments(dqn).items():  # beta1 = 0: the gradient that was applied
        np.testing.assert_allclose(m, scale * gradients[name], rtol=1e-12, atol=1e-16)
    assert dqn.diagnostics["grad_norm"] == pytest.approx(norm, rel=1e-12)  # before clipping


def test_clipping_makes_a_huge_gradient_usable():
    # q = 0, the error is 1e10, dW0 = 1e14 * 2e10 * 1 = 2e24, whose square is no float32; without
    # clipping such a norm is refused (test_dqn_non_finite.py).
    dqn = make_dqn(1, 1, hidden_layers=[1], max_grad_norm=2.0, adam_beta1=0.0, log_interval=1)
    dqn.replay_buffer.push([1e14], 0, 1e10, [0.0], True)
    dqn.q_network["weights"] = {"W0": [[1e-30]], "b0": [0], "W1": [[1]], "b1": [0]}
    dqn._train_step(1, 0.9)
    assert first_moments(dqn)["W0"].item() == pytest.approx(-2.0, rel=1e-6)
    assert norm_of(first_moments(dqn)) == pytest.approx(2.0, rel=1e-6)
    assert dqn.diagnostics["grad_norm"] == pytest.approx(2e24, rel=1e-6)


# -- exploration ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "quarter"),
    [
        ("linear", 0.775),  # 1 - 0.25 * 0.9
        ("cosine", 0.1 + 0.9 * (1 + 2**-0.5) / 2),
        ("exponential", 10**-0.25),
        ("constant", 1.0),
    ],
)
def test_exploration_follows_its_schedule_over_its_fraction(kind, quarter):
    settings = {"exploration_schedule": kind, "exploration_final": 0.1}
    dqn = make_dqn(exploration_fraction=0.4, **settings)
    end = 1.0 if kind == "constant" else 0.1
    for progress, rate in ((0.0, 1.0), (0.1, quarter), (0.4, end), (0.9, end)):
        dqn.set_progress(progress)
        assert dqn.exploration_rate == pytest.approx(rate, rel=1e-12)


def test_noise_is_drawn_anew_for_every_action_and_update():
    dqn = make_dqn(noisy=True)
    push_random(dqn, 64)
    seen = []
    for act in (
        lambda: dqn.select_actions(np.ones((3, 4), np.float32)),
        lambda: dqn.select_actions(np.ones((1, 4), np.float32)),
        lambda: dqn._train_step(16, 0.9),
        lambda: dqn._train_step(16, 0.9),
        dqn.resample_noise,
    ):
        act()
        seen.append(b"".join(e.tobytes() for e in dqn.noise.values()))
    assert len(set(seen)) == len(seen)


def test_the_two_networks_have_noise_of_their_own():
    dqn = make_dqn(noisy=True)
    dqn.resample_noise()
    assert set(dqn.noise) == set(dqn.target_noise) == {"W0", "b0", "W1", "b1", "W2", "b2"}
    assert all((dqn.noise[n] != dqn.target_noise[n]).any() for n in dqn.noise)
    assert make_dqn().noise is make_dqn().target_noise is None


def test_noise_is_factorised():
    dqn = make_dqn(noisy=True, hidden_layers=[30, 40], dtype="float64")
    dqn.resample_noise()
    for i in range(3):
        w, b = dqn.noise[f"W{i}"], dqn.noise[f"b{i}"]
        of_inputs = w[:, 0] / b[0]
        np.testing.assert_allclose(w, np.outer(of_inputs, b), rtol=1e-12)
    # f(x) = sgn(x) sqrt(|x|), x normal: the square's mean is E|x| = sqrt(2/pi), its variance
    # 1 - 2/pi.
    squares = np.concatenate([dqn.noise["b0"], dqn.noise["b1"]]) ** 2
    assert squares.mean() == pytest.approx((2 / np.pi) ** 0.5, abs=4 * (0.3634 / 70) ** 0.5)


def test_predict_has_no_noise_and_acting_has():
    dqn = make_dqn(noisy=True, noisy_sigma=5.0, n_actions=6)
    state = np.ones((1, 4), np.float32)
    assert len({dqn.predict(state).tobytes() for _ in range(5)}) == 1
    assert len({int(dqn.select_actions(state)[0]) for _ in range(40)}) > 2
    assert len({dqn.select_action(state[0]) for _ in range(10)}) == 1


# -- the replay -------------------------------------------------------------------------------


def prioritized_dqn(n=100, **settings):
    dqn = make_dqn(prioritized_replay=True, **settings)
    push_random(dqn, n)
    return dqn


def test_priorities_are_the_errors_of_the_batch():
    dqn = prioritized_dqn(dtype="float64", priority_alpha=0.5, priority_epsilon=0.25)
    drawn = []
    sample = dqn.replay_buffer.sample
    dqn.replay_buffer.sample = lambda n: drawn.append(sample(n)) or drawn[-1]
    before = copy.deepcopy(dqn.q_network)
    dqn._train_step(16, 0.9)
    (batch,) = drawn
    q = dqn._forward(batch.s_tm1, before)[np.arange(16), batch.a_tm1]
    best = dqn._forward(batch.s_t, before).argmax(axis=1)  # the target network is still equal
    value = dqn._forward(batch.s_t, before)[np.arange(16), best]
    error = q - (batch.r_t + 0.9 * value * ~batch.terminated)
    expected = {slot: (abs(e) + 0.25) ** 0.5 for slot, e in zip(batch.indices, error, strict=True)}
    stored = dqn.replay_buffer.arrays()["sampler.priorities"]
    for slot, p in expected.items():
        assert stored[slot] == pytest.approx(p, rel=1e-9)
    untouched = np.delete(stored, list(expected))
    assert (untouched == 1.0).all()  # the largest seen, when they were pushed
    assert len(untouched) > 80


@pytest.mark.parametrize("all_actions", [False, True])
@pytest.mark.parametrize("head", ["expected", "c51", "qr"])
def test_importance_weights_reach_loss_and_gradient(head, all_actions):
    """A weighted mean is the mean of the rows' own losses and gradients, times their weights."""
    batch = batch_of(all_actions=all_actions)
    weights = np.array([1.0, 0.5, 0.25, 0.1, 0.8, 0.3])
    settings = {"head": head, "n_atoms": 7}
    whole = fixed_dqn(batch, **settings)
    loss = whole.compute_gradients(batch._replace(weights=weights, indices=np.arange(6)), 0.9)
    found = {name: g.copy() for name, g in whole.gradients.items()}
    losses, gradients = [], []
    for i in range(6):
        row = type(batch)(*(None if x is None else x[i : i + 1] for x in batch))
        one = fixed_dqn(row, **settings)
        losses.append(one.compute_gradients(row, 0.9))
        gradients.append({name: g.copy() for name, g in one.gradients.items()})
    assert loss == pytest.approx(float(np.mean(weights * losses)), rel=1e-12)
    assert loss != pytest.approx(float(np.mean(losses)), rel=0.01)
    for name, g in found.items():
        expected = sum(w * each[name] for w, each in zip(weights, gradients, strict=True)) / 6
        np.testing.assert_allclose(g, expected, rtol=1e-10, atol=1e-14)


def test_beta_is_annealed_by_the_progress():
    dqn = prioritized_dqn(priority_beta_initial=0.5, priority_beta_final=0.9)
    for progress, beta in ((0.0, 0.5), (0.25, 0.6), (1.0, 0.9), (1.2, 0.9)):
        dqn.set_progress(progress)
        assert dqn.replay_buffer.sampler.beta == pytest.approx(beta, rel=1e-12)


def test_beta_starts_where_it_should():
    """Also without any call of set_progress."""
    assert prioritized_dqn(priority_beta_initial=0.7).replay_buffer.sampler.beta == 0.7
    replay = RingReplay(100, 4, np.random.default_rng(0), sampler=PrioritizedSampler(100))
    dqn = make_dqn(replay=replay, prioritized_replay=True, priority_beta_initial=0.9)
    assert dqn.replay_buffer.sampler.beta == 0.9


def test_a_replay_without_priorities_is_refused():
    class Plain:
        def sample(self, batch_size):
            return batch_of()

    with pytest.raises(ConfigError) as caught:
        make_dqn(replay=Plain(), prioritized_replay=True)
    assert str(caught.value) == (
        "prioritized_replay needs a replay with update_priorities and a sampler that uses "
        "them. Got Plain with NoneType instead."
    )


def test_a_ring_is_told_to_draw_by_priority_whatever_it_holds():
    ring = RingReplay(100, 4, np.random.default_rng(0))
    for _ in range(5):
        ring.push(np.ones(4), 0, 1.0, np.ones(4), False)
    dqn = make_dqn(replay=ring, prioritized_replay=True, priority_alpha=0.3)
    assert (ring.sampler.alpha, ring.sampler.beta) == (0.3, 0.4)
    dqn._train_step(4, 0.9)
    assert ring.sampler.max_priority > 0


def test_a_replay_of_another_n_step_is_refused():
    """Its sums of rewards would be discounted as if they spanned other steps."""
    ring = RingReplay(100, 4, np.random.default_rng(0), n_step=2)
    with pytest.raises(ConfigError, match="n_step parameter of DQN must be 2, the number of steps"):
        make_dqn(replay=ring)


def test_returns_over_several_steps_are_discounted_by_as_many():
    # Rewards 1, 2, 4, ...: at gamma 1/2 the first three-step return is 1 + 1 + 1 = 3.
    dqn = make_dqn(1, 2, n_step=3, gamma=0.5, dtype="float64")
    for t in range(4):
        dqn.replay_buffer.push([t], 0, 2.0**t, [t + 1], False)
    batch = dqn.replay_buffer.sample(2)
    order = np.argsort(batch.s_tm1[:, 0])
    assert batch.r_t[order].tolist() == [3, 6]
    assert batch.steps.tolist() == [3, 3]
    values = dqn.predict(batch.s_t).max(axis=1)
    q = dqn.predict(batch.s_tm1)[:, 0]
    expected = np.mean((q - (batch.r_t + values / 8)) ** 2)
    assert dqn.compute_gradients(batch, 0.5) == pytest.approx(expected, rel=1e-12)


# -- observations -----------------------------------------------------------------------------


def test_observations_are_normalised_by_what_was_observed():
    dqn = make_dqn(normalize_observations=True, dtype="float64")
    states = np.random.default_rng(3).normal(size=(50, 4)) * [1, 10, 100, 1000] + 7.0
    dqn.observe(states)
    scaled = (states - states.mean(axis=0)) / states.std(axis=0)
    plain = make_dqn(dtype="float64")
    np.testing.assert_allclose(dqn.predict(states), plain.predict(scaled), rtol=1e-10, atol=1e-12)
    assert dqn.select_actions(states).tolist() == plain.select_actions(scaled).tolist()
    batch = batch_of()._replace(s_tm1=states[:6], s_t=states[6:12])
    by_hand = batch._replace(s_tm1=scaled[:6], s_t=scaled[6:12])
    loss = plain.compute_gradients(by_hand, 0.9)
    assert dqn.compute_gradients(batch, 0.9) == pytest.approx(loss, rel=1e-10)


def test_without_the_option_observing_does_nothing():
    dqn = make_dqn()
    before = dqn.predict(np.ones(4)).tobytes()
    dqn.observe(np.full((5, 4), 100.0))
    assert dqn.normalizer is None
    assert dqn.predict(np.ones(4)).tobytes() == before


# -- loss, heads, layers ----------------------------------------------------------------------


def test_huber_is_the_square_within_delta_and_linear_beyond():
    batch = batch_of()._replace(terminated=np.ones(6, bool))
    errors = []
    dqn = fixed_dqn(batch)
    q = dqn.predict(batch.s_tm1)[np.arange(6), batch.a_tm1]
    errors = np.abs(q - batch.r_t)
    delta = float(np.median(errors))  # some within, some beyond
    expected = [0.5 * e * e if e <= delta else delta * e - 0.5 * delta * delta for e in errors]
    dqn = fixed_dqn(batch, loss="huber", huber_delta=delta)
    assert dqn.compute_gradients(batch, 0.9) == pytest.approx(np.mean(expected), rel=1e-12)


@pytest.mark.parametrize("head", ["c51", "qr"])
def test_a_distributional_head_predicts_its_mean(head):
    dqn = make_dqn(head=head, n_atoms=5, v_min=-2.0, v_max=2.0, dtype="float64")
    weights = dqn.q_network["weights"]
    weights["W2"] = np.zeros((6, 15))
    weights["b2"] = np.array([0, 0, 0, 0, 0, 900, 0, 0, 0, 0, 0, 0, 1, 0, 2.0])
    found = dqn.predict(np.ones(4))
    if head == "qr":
        assert found.tolist() == [0, 180, 0.6]
    else:
        p = np.exp([0, 0, 1, 0, 2]) / np.exp([0, 0, 1, 0, 2]).sum()
        expected = [0, -2, p @ [-2, -1, 0, 1, 2]]
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


ALL_ON = {
    "head": "qr",
    "n_atoms": 5,
    "dueling": True,
    "layer_norm": True,
    "noisy": True,
    "prioritized_replay": True,
    "n_step": 3,
    "normalize_observations": True,
    "max_grad_norm": 1.0,
    "weight_decay": 0.01,
    "tau": 0.1,
    "target_update_interval": 1,
    "learning_rate_schedule": "cosine",
}
OPTIONS = {
    **{name: {name: value} for name, value in ALL_ON.items() if value is True},
    "qr": {"head": "qr"},
    "c51": {"head": "c51"},
    "huber": {"loss": "huber", "huber_delta": 0.1},
    "n_step": {"n_step": 3},
    "max_grad_norm": {"max_grad_norm": 0.01},
    "weight_decay": {"weight_decay": 0.5},
    "tau": {"tau": 0.5, "target_update_interval": 1},
    "schedule": {"learning_rate_schedule": "linear"},
}


def trained(**settings):
    dqn = make_dqn(**settings)
    rng = np.random.default_rng(2)
    out = []
    for step in range(40):
        dqn.set_progress(step / 40)
        states = (10 * rng.normal(size=(2, 4))).astype(np.float32)
        dqn.observe(states)
        action = int(dqn.select_actions(states[:1], 0.3)[0])
        dqn.replay_buffer.push(states[0], action, rng.normal(), states[1], bool(step % 9 == 8))
        if step >= 20:
            out.append(dqn._train_step(8, 0.9))
    return out, learning_state(dqn)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_changes_what_is_learned(option):
    assert trained(**OPTIONS[option])[1] != trained()[1]


def test_all_options_together_repeat_themselves():
    assert trained(**ALL_ON) == trained(**ALL_ON)
    assert trained(**ALL_ON) != trained(seed=1, **ALL_ON)


def test_the_rainbow_preset_learns_a_bandit():
    dqn = DQN({"preset": "rainbow", "hyperparameters": {"learning_rate": 1e-3, "log_interval": 0}})
    dqn.build((2,), (2,))
    rng = np.random.default_rng(4)
    states = rng.normal(size=(400, 2)).astype(np.float32)
    for s in states:
        action = int(dqn.select_actions(s[None])[0])
        dqn.replay_buffer.push(s, action, float(s[action]), s, True)
    for _ in range(600):
        dqn.train_step()
    right = dqn.predict(states).argmax(axis=1) == states.argmax(axis=1)
    assert right.mean() > 0.85


# -- divergence and dead units ----------------------------------------------------------------


def diverging(**settings):
    """Rewards up to 1, a discount of 0.5: values above 2 * 1 / (1 - 0.5) = 4 are not believed."""
    batch = batch_of(dtype="float32")
    batch = batch._replace(r_t=np.array([1, -1, 0, 0.5, 0, 0], np.float32))
    dqn = make_dqn(replay=FixedReplay(batch), gamma=0.5, learning_rate=1e-12, **settings)
    for w in dqn.q_network["weights"].values():
        w *= 0.1
    for _ in range(10):
        dqn.train_step()
    dqn.q_network["weights"]["b2"] += 100.0
    return dqn


def test_divergence_stops_training_before_the_update():
    dqn = diverging()
    before = learning_state(dqn)
    with pytest.raises(
        DivergenceError,
        match=r"training step 11: learning diverges: an action value of 100\.?\d* ex",
    ):
        dqn.train_step()
    assert learning_state(dqn) == before


def test_divergence_is_warned_of_once_or_ignored(caplog):
    dqn = diverging(on_divergence="warn")
    with caplog.at_level(logging.WARNING):
        for _ in range(25):
            dqn.train_step()
    assert len([r for r in caplog.records if "learning diverges" in r.message]) == 1
    caplog.clear()
    dqn = diverging(on_divergence="ignore")
    with caplog.at_level(logging.WARNING):
        for _ in range(25):
            dqn.train_step()
    assert caplog.records == []
    assert dqn.q_network["optimizer_state"]["t"] == 35


def test_values_that_rewards_explain_are_no_divergence():
    dqn = diverging()
    dqn.q_network["weights"]["b2"] -= 97.0  # 3 is below 4
    for _ in range(25):
        dqn.train_step()


def test_dead_units_are_counted_and_warned_of(caplog):
    dqn = filled_dqn(log_interval=1, hidden_layers=[8, 6])
    dqn.q_network["weights"]["b0"] += 50.0  # alive
    dqn.q_network["weights"]["b1"] += 500.0
    with caplog.at_level(logging.WARNING):
        dqn._train_step(16, 0.9)
        assert dqn.diagnostics["dead_units"] == 0.0
        assert caplog.records == []
        dqn.q_network["weights"]["b0"][:3] = -1e6
        dqn.q_network["weights"]["b1"][:] = -1e6
        for _ in range(3):
            dqn._train_step(16, 0.9)
            assert dqn.diagnostics["dead_units"] == pytest.approx(9 / 14)
        assert caplog.records == []
        for _ in range(2 * DEAD_STRETCH):
            dqn._train_step(16, 0.9)
    (record,) = [r for r in caplog.records if "dead" in r.message]  # once, not at every row
    assert "64% of the hidden units are dead" in record.message
