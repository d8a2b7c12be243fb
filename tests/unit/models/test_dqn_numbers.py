"""Numbers that cannot be broken: overflow, NaN everywhere, divergence, denormals, dead units.

Each detector is also shown a learner without it: one that has never fired proves nothing.
"""

import logging

import gymnasium
import numpy as np
import pytest
from dqn_cases import FixedReplay, learning_state, make_dqn, push_random
from gymnasium.wrappers import TransformReward

from reinforcestrategycreator_pipeline.errors import ConfigError, DivergenceError, NonFiniteError
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.models.learner import guards
from reinforcestrategycreator_pipeline.models.learner import learner as learner_module
from reinforcestrategycreator_pipeline.nn.network import apply
from reinforcestrategycreator_pipeline.replay.batch import Batch

EVERYTHING = {
    "dueling": True,
    "layer_norm": True,
    "noisy": True,
    "prioritized_replay": True,
    "n_step": 2,
    "normalize_observations": True,
    "loss": "huber",
    "max_grad_norm": 10.0,
}
HEADS = ("expected", "c51", "qr")


def train(dqn, steps):
    return [dqn.train_step() for _ in range(steps)]


# -- overflow -------------------------------------------------------------------------------


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("all_on", [False, True])
def test_errors_up_to_1e30_leave_loss_and_weights_finite(head, all_on):
    settings = EVERYTHING if all_on else {"loss": "huber", "max_grad_norm": 10.0}
    dqn = make_dqn(head=head, batch_size=32, **settings)
    rng = np.random.default_rng(0)
    for size in (1e10, 1e20, 1e30, -1e30) * 20:
        s, s_next = rng.normal(size=(2, 4))
        dqn.replay_buffer.push(s, int(rng.integers(3)), size, s_next, bool(rng.random() < 0.3))
    losses = train(dqn, 60)
    assert np.isfinite(losses).all()
    state = dqn.q_network["optimizer_state"]
    for part in (dqn.q_network["weights"], state["m"], state["v"]):
        assert all(np.isfinite(w).all() for w in part.values())
    assert np.isfinite(dqn.predict(np.ones(4))).all()


def test_without_huber_the_same_errors_are_refused():
    dqn = make_dqn(batch_size=32, max_grad_norm=10.0)
    for _ in range(40):
        dqn.replay_buffer.push(np.ones(4), 0, 1e30, np.ones(4), False)
    before = learning_state(dqn)
    with pytest.raises(NonFiniteError, match="training step 1: NaN or infinity in the loss"):
        dqn.train_step()
    assert learning_state(dqn) == before


def test_a_gradient_whose_norm_overflows_float32_is_clipped():
    # An input of 1e25 makes dW0 about 1e25: its square, 1e50, is no float32.
    batch = Batch(
        np.array([[1e25]], np.float32),
        np.array([0]),
        np.array([1.0], np.float32),
        np.array([[0.0]], np.float32),
        np.array([True]),
    )
    settings = {"hidden_layers": [1], "loss": "huber", "adam_beta1": 0.0}
    weights = {"W0": [[1e-24]], "b0": [0.0], "W1": [[1.0]], "b1": [0.0]}
    clipped = make_dqn(1, 1, FixedReplay(batch), max_grad_norm=5.0, **settings)
    clipped.q_network["weights"] = weights
    assert np.isfinite(clipped._train_step(1, 0.9))
    norm = np.sqrt(sum(np.sum(m.astype(float) ** 2) for m in clipped.learner.networks.m.values()))
    assert norm == pytest.approx(5.0, rel=1e-5)  # with beta1 = 0, m is the gradient
    unclipped = make_dqn(1, 1, FixedReplay(batch), **settings)
    unclipped.q_network["weights"] = weights
    with pytest.raises(NonFiniteError, match="the norm of the gradient, which overflows"):
        unclipped._train_step(1, 0.9)


# -- NaN ------------------------------------------------------------------------------------


def everything_on(head):
    dqn = make_dqn(head=head, batch_size=16, **EVERYTHING)
    push_random(dqn, 80)
    dqn.observe(np.random.default_rng(0).normal(size=(50, 4)))
    train(dqn, 3)
    return dqn


ALL_NAMES = tuple(make_dqn(**EVERYTHING).q_network["weights"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("network", ["q_network", "target_network"])
@pytest.mark.parametrize("name", ALL_NAMES)
def test_one_bad_number_in_any_tensor_of_the_whole_family_is_refused(name, network, value):
    dqn = everything_on("c51")
    getattr(dqn, network)["weights"][name].ravel()[0] = value
    before = learning_state(dqn)
    with pytest.raises(NonFiniteError, match=f"{name} \\(1 of"):
        train(dqn, 101)
    if np.isnan(value):  # at once; an infinity may be hidden by ReLU for up to 100 steps
        assert learning_state(dqn) == before


@pytest.mark.parametrize("head", HEADS)
def test_a_bad_state_gives_no_action_whatever_the_network(head):
    dqn = everything_on(head)
    state = np.array([0.0, np.nan, 0.0, 0.0])
    with pytest.raises(NonFiniteError):
        dqn.select_action(state)
    with pytest.raises(NonFiniteError):
        dqn.select_actions(np.stack([np.ones(4), state]))
    with pytest.raises(NonFiniteError, match="columns \\[1\\]"):
        dqn.observe(state[None])


# -- divergence -----------------------------------------------------------------------------


def deadly_triad(reward=0.01, **settings):
    """Two states whose values are w and 2w, of which only the first is learned from.

    Bootstrapping, function approximation and off-policy sampling: w <- 2 gamma w for ever
    (Tsitsiklis & Van Roy 1997; Sutton & Barto 2018, section 11.2). The rewards are all `reward`:
    0.01 explains values up to 1, and 2 is where it begins.
    """
    batch = Batch(
        np.array([[1.0]] * 4),
        np.zeros(4, int),
        np.full(4, reward),
        np.array([[2.0]] * 4),
        np.zeros(4, bool),
    )
    dqn = make_dqn(
        1, 1, FixedReplay(batch), hidden_layers=[1], dtype="float64", learning_rate=0.01,
        target_update_interval=1, gamma=0.99, batch_size=4, **settings,
    )  # fmt: skip
    dqn.q_network["weights"] = {"W0": [[1.0]], "b0": [0.0], "W1": [[1.0]], "b1": [0.0]}
    dqn.update_target_network()
    return dqn


@pytest.mark.parametrize("double_dqn", [False, True])
@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_the_deadly_triad_is_stopped(double_dqn, loss):
    dqn = deadly_triad(double_dqn=double_dqn, loss=loss)
    with pytest.raises(DivergenceError) as caught:
        train(dqn, 3_000)
    message = str(caught.value)
    assert "\n" not in message
    assert "learning diverges" in message
    t = dqn.q_network["optimizer_state"]["t"]
    assert message.startswith(f"training step {t + 1}: learning diverges: an action value of ")
    assert 20 < np.abs(dqn.predict([[1.0], [2.0]])).max() < 30  # it began at 2: caught early


def test_without_rewards_there_is_no_scale_to_judge_by():
    dqn = deadly_triad(reward=0.0)
    train(dqn, 3_000)
    assert np.abs(dqn.predict([2.0])).max() > 100


def test_without_the_guard_the_triad_runs_away():
    dqn = deadly_triad(on_divergence="ignore")
    train(dqn, 3_000)
    assert np.abs(dqn.predict([2.0])).max() > 100


def test_warn_says_it_once_and_goes_on(caplog):
    dqn = deadly_triad(on_divergence="warn")
    with caplog.at_level(logging.WARNING):
        train(dqn, 3_000)
    assert len([r for r in caplog.records if "learning diverges" in r.message]) == 1
    assert np.abs(dqn.predict([2.0])).max() > 100


def test_values_that_the_rewards_explain_are_believed():
    # A reward of 1 at every step: Q = 1 / (1 - 0.9) = 10, and the limit is 20.
    batch = Batch(np.ones((4, 1)), np.zeros(4, int), np.ones(4), np.ones((4, 1)), np.zeros(4, bool))
    dqn = make_dqn(
        1, 1, FixedReplay(batch), hidden_layers=[4], dtype="float64", learning_rate=0.01,
        target_update_interval=10, gamma=0.9, batch_size=4,
    )  # fmt: skip
    train(dqn, 4_000)
    assert dqn.predict([1.0])[0] == pytest.approx(10.0, abs=0.1)


def check(guard, step, largest, rewards, discount, stored=(), untrained=0.0):
    guard.check(step, largest, rewards, discount, stored, lambda: untrained)


def test_an_untrained_networks_values_at_new_states_are_no_alarm():
    # Ten times the untrained values, from 1 in the first batch to 3 at the new states.
    guard, small = guards.DivergenceGuard(), np.full(4, 1e-3)
    check(guard, 1, 1.0, small, 0.9)
    check(guard, 11, 29.0, small, 0.9, untrained=3.0)
    with pytest.raises(DivergenceError, match=r"rewards up to 0\.001 .* untrained values up to 3 "):
        check(guard, 21, 31.0, small, 0.9, untrained=3.0)


def test_before_the_first_reward_the_guard_does_not_judge():
    guard = guards.DivergenceGuard()
    check(guard, 1, 1.0, np.zeros(4), 0.9)
    check(guard, 11, 1e9, np.zeros(4), 0.9, [np.zeros(100)])
    with pytest.raises(DivergenceError, match=r"rewards up to 0\.001 "):
        check(guard, 21, 1e9, np.array([0.0, -1e-3]), 0.9)


NOISY = {"noisy": True, "exploration_initial": 0.0, "exploration_final": 0.0}


@pytest.mark.parametrize("reward", [0.0, 1e-6])
@pytest.mark.parametrize(
    ("kind", "seed"),
    [({"preset": "rainbow"}, seed) for seed in (0, 1, 2)]
    + [({"hyperparameters": NOISY}, seed) for seed in (1, 3, 5)],
)
def test_noisy_networks_before_the_first_reward_are_no_divergence(kind, seed, reward):
    # Seeds that a limit of twice the untrained values, without their noise, stopped.
    car = TransformReward(gymnasium.make("MountainCar-v0"), lambda _: reward)
    assert DQN({**kind, "seed": seed}).learn(car, 1_250).steps == 1_250


def test_the_untrained_values_of_a_noisy_network_have_its_noise():
    dqn = make_dqn(**NOISY)
    push_random(dqn, 100)
    learner = dqn.learner
    networks = learner.networks
    networks.resample_noise()
    networks.apply_noise()
    first = learner.first_weights()
    networks.noises[0].add_to(first.flat)
    spec, states = learner.spec, np.eye(4, dtype=np.float32)
    acting = learner.head.values(apply(spec, first, states))
    noise = networks.noises[0].named()
    by_hand = {
        name: networks.weights[name] + networks.weights[f"sigma_{name}"] * e
        for name, e in noise.items()
    }
    np.testing.assert_array_equal(acting, learner.head.values(apply(spec, by_hand, states)))


@pytest.mark.parametrize("seed", range(4))
def test_states_that_spread_before_any_reward_are_no_divergence(seed):
    dqn = make_dqn(seed=seed, hidden_layers=[32, 32])
    rng, state = np.random.default_rng(seed), np.zeros(4)
    for step in range(600):  # a random walk, ever farther away, without a reward
        following = state + rng.normal(scale=0.3, size=4)
        dqn.replay_buffer.push(state, int(rng.integers(3)), 0.0, following, False)
        state = following
        if step >= 32:
            dqn.train_step()


def test_a_rare_reward_that_was_never_sampled_counts():
    guard = guards.DivergenceGuard()
    check(guard, 1, 1.0, np.zeros(4), 0.9)
    with pytest.raises(DivergenceError):
        check(guard, 11, 50.0, np.full(4, 1e-3), 0.9, [np.zeros(100)])
    check(guard, 11, 50.0, np.zeros(4), 0.9, [np.array([0.0, -4.0])])  # up to 80
    assert guard.largest_reward == 4.0


@pytest.mark.parametrize(("discount", "largest"), [(0.99, 199.0), (0.9, 19.9), (0.0, 1.99)])
def test_the_limit_is_twice_the_largest_return(discount, largest):
    guard = guards.DivergenceGuard()
    check(guard, 1, 0.1, np.array([-1.0, 0.5]), discount)
    check(guard, 11, largest, np.zeros(1), discount)
    with pytest.raises(DivergenceError):
        check(guard, 21, largest * 1.02, np.zeros(1), discount)


def test_without_a_discount_there_is_no_limit():
    guard = guards.DivergenceGuard()
    check(guard, 1, 0.5, np.ones(1), 1.0)
    check(guard, 11, 1e9, np.ones(1), 1.0)


# -- denormals ------------------------------------------------------------------------------


def denormals(dqn):
    tiny = np.finfo(np.float32).tiny
    moments = np.concatenate([dqn.learner.networks.m.flat, dqn.learner.networks.v.flat])
    return int(np.count_nonzero((moments != 0) & (np.abs(moments) < tiny)))


def decaying(beta1):
    """A network that learned once, all of whose units then die: its moments only decay."""
    dqn = make_dqn(batch_size=16, adam_beta1=beta1, adam_beta2=0.9, hidden_layers=[32])
    push_random(dqn, 50)
    train(dqn, 5)
    dqn.q_network["weights"]["b0"] = np.full(32, -1e6)
    return dqn


@pytest.mark.parametrize("beta1", [0.0, 0.05, 0.3, 0.5, 0.8, 0.9])
def test_no_moment_of_a_dead_unit_is_ever_denormal(beta1):
    dqn = decaying(beta1)
    for _ in range(800):
        dqn.train_step()
        assert denormals(dqn) == 0


@pytest.mark.parametrize("beta1", [0.5, 0.9])
def test_without_the_flush_they_are(beta1, monkeypatch):
    monkeypatch.setattr(learner_module, "flush", lambda *args: None)
    dqn = decaying(beta1)
    found = 0
    for _ in range(800):
        dqn.train_step()
        found = max(found, denormals(dqn))
    assert found > 0


# -- dead units -----------------------------------------------------------------------------


def with_dead(share, caplog, steps=1_300):
    dqn = make_dqn(hidden_layers=[40, 20], batch_size=8, log_interval=100, learning_rate=1e-12)
    push_random(dqn, 64)
    biases = dqn.q_network["weights"]
    biases["b0"] = np.where(np.arange(40) < 40 * share, -1e3, 1e2)
    biases["b1"] = np.where(np.arange(20) < 20 * share, -1e6, 1e5)
    with caplog.at_level(logging.WARNING):
        train(dqn, steps)
    return dqn.diagnostics["dead_units"], [r.getMessage() for r in caplog.records]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5])
def test_the_share_of_dead_units_is_logged(share, caplog):
    found, messages = with_dead(share, caplog)
    assert found == share
    assert messages == []


@pytest.mark.parametrize("share", [0.55, 0.75, 1.0])
def test_more_than_half_that_stay_dead_are_warned_of_once(share, caplog):
    found, messages = with_dead(share, caplog, 2_600)
    assert found == share
    (message,) = messages
    assert message.startswith(f"training step 1100: {100 * share:.0f}% of the hidden units are d")
    assert "every logged batch of the last 1000 training steps" in message


def test_a_short_stretch_is_not_warned_of(caplog):
    assert with_dead(1.0, caplog, 1_000) == (1.0, [])


def note_all(units, steps, silent):
    """Note batches in which the units `silent(step)` are 0; return the shares."""
    shares = []
    for step in steps:
        layer = np.ones((3, 4))
        layer[:, silent(step)] = 0.0
        shares.append(units.note(step, [layer]))
    return shares


def test_units_that_are_0_in_turn_are_not_dead(caplog):
    with caplog.at_level(logging.WARNING):
        shares = note_all(
            guards.DeadUnits(),
            range(100, 3_100, 100),
            lambda t: [(t // 100 + i) % 4 for i in range(3)],
        )
    assert set(shares) == {0.75}
    assert caplog.records == []


def test_a_stretch_needs_several_batches_and_the_next_one_is_judged_anew(caplog):
    with caplog.at_level(logging.WARNING):
        note_all(guards.DeadUnits(), range(2_000, 9_000, 2_000), lambda t: [0, 1, 2])
        assert caplog.records == []
        units = guards.DeadUnits()
        note_all(units, range(100, 1_200, 100), lambda t: [] if t == 500 else [0, 1, 2])
        assert caplog.records == []
        note_all(units, range(1_200, 9_000, 100), lambda t: [0, 1, 2])
    assert [r.getMessage().split(":")[0] for r in caplog.records] == ["training step 2200"]


# -- the configuration ----------------------------------------------------------------------


def test_on_divergence_knows_three_answers():
    with pytest.raises(ConfigError, match="on_divergence"):
        DQN({"hyperparameters": {"on_divergence": "stopp"}})
