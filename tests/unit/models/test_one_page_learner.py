"""`examples/dqn_in_one_page.py`: as short as it says, and equal to `DQN` step by step.

The page shares no code with the product. It is itself held against the step that was worked by
hand and against autograd's gradients of `reference_dqn`, so that a mistake that the two share
would show, too.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from dqn_cases import FixedReplay, make_dqn, random_batch, set_random_weights
from family_cases import GAMMA, disagreement, family_case
from test_dqn_hand_worked_step import A_AND_B, B0, B1, W0, W1

PAGE = Path(__file__).parents[3] / "examples" / "dqn_in_one_page.py"
SOURCE = PAGE.read_text(encoding="utf-8")
STEPS = 300
SETTINGS = {"learning_rate": 5e-3, "gamma": 0.9, "target_update_interval": 7}
SAME = 1e-12


def page(fault=None):
    """The page as a module; `fault` is a piece of its text and what to write in its place."""
    source = SOURCE
    if fault is not None:
        assert source.count(fault[0]) == 1, fault
        source = source.replace(*fault)
    module = ModuleType("dqn_in_one_page")
    exec(compile(source, str(PAGE), "exec"), module.__dict__)
    return module


def copies(tensors):
    return {name: np.array(w) for name, w in tensors.items()}


def batch_of(module, batch):
    return module.Batch(*(getattr(batch, name) for name in module.Batch._fields))


def learner_of(module, dqn, sizes):
    """The page's learner with the weights of an untrained DQN."""
    learner = module.new_learner(np.random.default_rng(0), sizes)
    return learner._replace(
        online=copies(dqn.q_network["weights"]), target=copies(dqn.target_network["weights"])
    )


def worst_difference(module, hidden_layers=(8, 6), n_actions=3, rows=16, **changed):
    """The largest relative difference between the page and `DQN` after any of STEPS steps."""
    rng, replay = np.random.default_rng(3), FixedReplay(None)
    settings = module.Settings(hidden_layers=hidden_layers, **{**SETTINGS, **changed})
    dqn = make_dqn(
        4,
        n_actions,
        replay,
        dtype="float64",
        hidden_layers=list(hidden_layers),
        learning_rate=settings.learning_rate,
        adam_beta1=settings.beta1,
        adam_beta2=settings.beta2,
        adam_epsilon=settings.epsilon,
        target_update_interval=settings.target_update_interval,
        on_divergence="ignore",  # the rewards are noise
    )
    set_random_weights(dqn, rng)
    learner = learner_of(module, dqn, [4, *hidden_layers, n_actions])
    worst = 0.0
    for step in range(1, STEPS + 1):
        replay.batch = random_batch(rng, rows, 4, n_actions)
        batch = batch_of(module, replay.batch)
        gradients = module.loss_and_gradients(learner, batch, settings.gamma)[1]
        learner, loss = module.train_step(learner, batch, settings)
        expected = dqn._train_step(rows, settings.gamma)
        moments = dqn.q_network["optimizer_state"]
        assert learner.t == moments["t"] == step
        worst = max(
            worst,
            abs(loss - expected) / expected,
            disagreement(gradients, dqn.gradients),
            disagreement(learner.online, dqn.q_network["weights"]),
            disagreement(learner.target, dqn.target_network["weights"]),
            disagreement(learner.m, moments["m"]),
            disagreement(learner.v, moments["v"]),
        )
        states = replay.batch.s_t[:4]
        greedy = [module.greedy_action(learner.online, state) for state in states]
        if greedy != [dqn.select_action(state) for state in states]:
            return np.inf
    return worst


@pytest.mark.parametrize(
    "case",
    [
        {},
        {"hidden_layers": (10,), "n_actions": 2},
        {"hidden_layers": (7, 5, 6), "rows": 4},
        {"target_update_interval": 1, "gamma": 0.0},
        {"beta1": 0.5, "beta2": 0.95, "epsilon": 1e-3, "gamma": 1.0},
    ],
    ids=lambda case: ", ".join(case) or "default",
)
def test_losses_gradients_weights_moments_targets_and_actions_are_those_of_dqn(case):
    assert worst_difference(page(), **case) < SAME


FAULTS = {
    "targets that bootstrap behind the end": (
        " * (1.0 - batch.terminated)",
        "",
    ),
    "targets that the target network chooses": (
        "forward(online, batch.s_t)[0].argmax",
        "forward(target, batch.s_t)[0].argmax",
    ),
    "targets that the online network values": (
        "forward(target, batch.s_t)[0][np",
        "forward(online, batch.s_t)[0][np",
    ),
    "half the gradient": ("2.0 * errors", "errors"),
    "a sum for the mean": ("np.mean(errors**2)", "np.sum(errors**2)"),
    "ReLU passes everything on": (" * (inputs[i] > 0.0)", ""),
    "a bias of the mean": ("delta.sum(axis=0)", "delta.mean(axis=0)"),
    "no correction of m": ("m[name] / (1.0 - beta1**t)", "m[name]"),
    "no correction of v": ("v[name] / (1.0 - beta2**t)", "v[name]"),
    "epsilon below the root": (
        "(np.sqrt(v_hat) + settings.epsilon)",
        "np.sqrt(v_hat + settings.epsilon)",
    ),
    "t counts from 0": ("1.0 - beta1**t)", "1.0 - beta1 ** (t + 1))"),
    "a target that is copied a step late": ("if learner.t %", "if (learner.t - 1) %"),
    "a target that is never copied": ("_replace(target=learner.online)", "_replace()"),
    "the worst action": ("[0][0].argmax()", "[0][0].argmin()"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_shows(fault):
    assert worst_difference(page(FAULTS[fault])) > 1e-9


# -- the page by itself ---------------------------------------------------------------------------


def test_the_step_that_was_worked_by_hand():
    module = page()
    online = {"W0": W0, "b0": B0, "W1": W1, "b1": B1}
    target = {**online, "W1": np.array([[2.0, 1], [0, 1]]), "b1": np.array([0.0, 1])}
    zeros = {name: np.zeros_like(w) for name, w in online.items()}
    learner = module.Learner(online, target, 0, zeros, zeros)
    settings = module.Settings(learning_rate=0.1, epsilon=0.5, gamma=0.5, target_update_interval=9)
    batch = batch_of(module, A_AND_B)
    assert module.td_targets(online, target, batch, 0.5).tolist() == [3, -1]
    loss, gradients = module.loss_and_gradients(learner, batch, 0.5)
    assert loss == 5.125
    assert {name: g.tolist() for name, g in gradients.items()} == {
        "W0": [[4.5, 5], [2.5, 5]],
        "b0": [4.5, 5],
        "W1": [[7.5, 2], [2.5, 0]],
        "b1": [2.5, 2],
    }
    after, _ = module.train_step(learner, batch, settings)
    np.testing.assert_allclose(after.online["b0"], [-9 / 100, 1 - 1 / 11], rtol=1e-13)
    np.testing.assert_allclose(
        after.online["W1"], [[1 - 3 / 32, 1 - 2 / 25], [2 - 1 / 12, -1]], rtol=1e-13
    )
    assert after.target is target
    assert learner.online["W0"].tolist() == W0.tolist()  # nothing was changed in place


@pytest.mark.parametrize("seed", range(5))
def test_gradients_are_those_of_autograd_through_the_reference(seed):
    module, case = page(), family_case(seed, rows=9)
    expected_loss, expected = case.reference()
    learner = module.Learner(case.online, case.target, 0, {}, {})
    loss, gradients = module.loss_and_gradients(learner, batch_of(module, case.batch()), GAMMA)
    assert loss == pytest.approx(expected_loss, rel=SAME)
    assert disagreement(gradients, expected) < SAME


def test_first_weights_are_those_of_he():
    learner = page().new_learner(np.random.default_rng(0), [50, 400, 3])
    assert {name: w.shape for name, w in learner.online.items()} == {
        "W0": (50, 400),
        "b0": (400,),
        "W1": (400, 3),
        "b1": (3,),
    }
    # 20,000 draws of variance 2 / 50: the estimate's standard error is 1%, as sqrt(2 / 20,000).
    assert learner.online["W0"].var() == pytest.approx(2 / 50, rel=0.05)
    assert not learner.online["b0"].any()


def test_a_sample_has_distinct_transitions_all_equally_likely():
    module, rng = page(), np.random.default_rng(0)
    replay = [(np.full(2, i), i % 3, 10.0 * i, np.full(2, -i), i == 4) for i in range(8)]
    counts = np.zeros(8)
    for _ in range(2_000):
        batch = module.sample(rng, replay, 3)
        rows = batch.s_tm1[:, 0]
        assert len(set(rows)) == 3
        counts[rows] += 1
        assert batch.a_tm1.tolist() == (rows % 3).tolist()
        assert batch.r_t.tolist() == (10.0 * rows).tolist()
        assert batch.s_t[:, 1].tolist() == (-rows).tolist()
        assert batch.terminated.tolist() == (rows == 4).tolist()
    # 2,000 draws with probability 3/8: 750 on average, standard deviation below 22.
    assert np.abs(counts - 750).max() < 5 * 22


class Clock:
    """One state, reward 1 a step, cut off (or ended) after every fifth: worth 2 if gamma is 1/2."""

    observation_space, action_space = SimpleNamespace(shape=(1,)), SimpleNamespace(n=2)

    def __init__(self, terminates):
        self.terminates = terminates

    def reset(self, seed=None):
        self.left = 5
        return np.ones(1), {}

    def step(self, action):
        self.left -= 1
        over = self.left == 0
        return np.ones(1), 1.0, over and self.terminates, over and not self.terminates, {}


CLOCK_SETTINGS = {
    "hidden_layers": (4,),
    "gamma": 0.5,
    "learning_starts": 200,
    "train_frequency": 4,
    "gradient_steps": 4,
    "target_update_interval": 20,
    "learning_rate": 0.01,
}


def value_of_the_clock(module, terminates):
    settings = module.Settings(**CLOCK_SETTINGS)
    learner = module.train(Clock(terminates), 1_000, 0, settings)
    return module.forward(learner.online, np.ones((1, 1)))[0].max()


def test_an_episode_that_was_cut_off_bootstraps():
    # V = 1 + V / 2 is 2. If a fifth of the steps end the task, V = 1 + 4/5 V / 2 is 5/3.
    assert value_of_the_clock(page(), terminates=False) == pytest.approx(2, rel=0.02)
    assert value_of_the_clock(page(), terminates=True) == pytest.approx(5 / 3, rel=0.05)
    confused = page(("s_t, terminated))", "s_t, terminated or truncated))"))
    assert value_of_the_clock(confused, terminates=False) < 1.8


# -- what the page promises ----------------------------------------------------------------------


def test_it_fits_on_a_page_and_imports_numpy_alone():
    assert len(SOURCE.splitlines()) <= 200
    tree = ast.parse(SOURCE)
    imported = {
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    foreign = {name.split(".")[0] for name in imported} - sys.stdlib_module_names
    assert foreign == {"numpy", "gymnasium"}
    assert not re.search(r"^(import|from) gymnasium", SOURCE, re.MULTILINE)  # in `main` only


PLAYED = re.compile(r"20 greedy episodes: mean return ([\d.]+) of 500, worst (\d+)\.0\n")


def test_it_runs_as_a_script():
    pytest.importorskip("gymnasium")
    done = subprocess.run(
        [sys.executable, str(PAGE), "1500", "3"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found = PLAYED.fullmatch(done.stdout)
    assert found, done.stdout
    assert 8 <= float(found[2]) <= float(found[1]) <= 500


@pytest.mark.slow
def test_it_learns_cartpole(capsys):
    pytest.importorskip("gymnasium")
    page().main(total_steps=10_000)
    # Actions at random keep the pole up for some 22 steps; here it was 115 or more of four seeds.
    assert float(PLAYED.search(capsys.readouterr().out)[1]) > 60


def test_without_gymnasium_it_says_so_in_a_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(SystemExit, match=r"^CartPole needs Gymnasium: pip install gymnasium$"):
        page().main()
