"""Action masks of a DQN and of a population: choosing, values, saving, and what is learned."""

import copy

import numpy as np
import pytest
from dqn_cases import make_dqn

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.models.implementations.dqn import DQN
from reinforcestrategycreator_pipeline.models.population import Population
from reinforcestrategycreator_pipeline.replay.ring import RingReplay

HEADS = {
    "plain": {},
    "dueling": {"dueling": True},
    "c51": {"head": "c51", "n_atoms": 31, "v_min": -2.0, "v_max": 8.0},
    "qr": {"head": "qr", "n_atoms": 7},
    "noisy": {"noisy": True, "layer_norm": True},
    "dueling noisy c51": {"head": "c51", "dueling": True, "noisy": True},
}


def masks_of(rng, rows, n_actions):
    masks = rng.random((rows, n_actions)) < 0.4
    masks[np.arange(rows), rng.integers(n_actions, size=rows)] = True
    return masks


def best_valid(q, mask):
    """The first largest value among the valid actions."""
    valid = [a for a in range(len(mask)) if mask[a]]
    return max(valid, key=lambda a: (q[a], -a))


@pytest.mark.parametrize("settings", HEADS.values(), ids=HEADS)
class TestChoosing:
    def test_never_an_invalid_action_and_greedily_the_best_valid_one(self, settings):
        dqn = make_dqn(3, 6, **settings)
        rng = np.random.default_rng(0)
        for rows in (1, 7):
            for exploration in (0.0, 0.3, 1.0):
                for _ in range(40):
                    states = rng.normal(size=(rows, 3)).astype(np.float32)
                    masks = masks_of(rng, rows, 6)
                    chosen = dqn.select_actions(states, exploration, masks)
                    assert masks[np.arange(rows), chosen].all()
                    if exploration == 0.0 and not settings.get("noisy"):
                        q = dqn.predict(states)
                        assert chosen.tolist() == list(map(best_valid, q, masks))

    def test_one_state(self, settings):
        dqn = make_dqn(3, 6, **settings)
        rng = np.random.default_rng(1)
        for k in range(60):
            state, mask = rng.normal(size=3), masks_of(rng, 1, 6)[0]
            q = dqn.predict(state)
            assert dqn.select_action(state, mask=mask.astype(np.int8)) == best_valid(q, mask)
            assert mask[dqn.select_action(state, 0.1 * (k % 11), mask.tolist())]

    def test_values(self, settings):
        dqn = make_dqn(3, 6, **settings)
        states = np.random.default_rng(2).normal(size=(5, 3))
        masks = masks_of(np.random.default_rng(3), 5, 6)
        plain, q = dqn.predict(states), dqn.predict(states, masks)
        assert q.dtype == plain.dtype
        assert np.array_equal(q[masks], plain[masks])
        assert (q[~masks] == -np.inf).all()
        # One row is computed alone, and rounds differently.
        one = dqn.predict(states[0], masks[0])
        assert np.isfinite(one).tolist() == masks[0].tolist()

    def test_masks_that_forbid_nothing_change_no_choice(self, settings):
        plain, masked = make_dqn(3, 6, **settings), make_dqn(3, 6, **settings)
        rng = np.random.default_rng(4)
        for rows in (1, 1, 4, 9):
            for exploration in (0.0, 0.5, 1.0):
                states = rng.normal(size=(rows, 3)).astype(np.float32)
                everything = np.ones((rows, 6), dtype=bool)
                expected = plain.select_actions(states, exploration)
                assert np.array_equal(
                    masked.select_actions(states, exploration, everything), expected
                )


WRONG = [
    ([1, 1], r"have the shape \(3,\)\. Got \(2,\)"),
    ([1.0, 1.0, 1.0], "consist of booleans, or of the integers 0 and 1. Got float64"),
    ([1, -1, 0], r"consist of booleans, or of the integers 0 and 1\. Got \[1, -1, 0\]"),
    ([0, 0, 0], "have at least one valid action. Got none"),
]


@pytest.mark.parametrize(("mask", "rule"), WRONG)
def test_a_wrong_mask_is_named(mask, rule):
    dqn = make_dqn(2, 3)
    before = dqn.state()[1]["generators"]
    for call in ("predict", "select_action"):
        with pytest.raises(ConfigError, match=f"^The mask parameter of DQN.{call} must {rule}"):
            getattr(dqn, call)(np.zeros(2), mask=mask)
    many = rule.replace(r"\(3,\)", r"\(1, 3\)").replace(r"\(2,\)", r"\(1, 2\)")
    many = many.replace(r"\[1, -1, 0\]", r"\[\[1, -1, 0\]\]")
    with pytest.raises(ConfigError, match=f"DQN.select_actions must {many}"):
        dqn.select_actions(np.zeros((1, 2), np.float32), mask=[mask])
    assert dqn.state()[1]["generators"] == before


def test_a_nan_is_not_hidden_by_a_mask():
    from reinforcestrategycreator_pipeline.errors import NonFiniteError

    dqn = make_dqn(2, 3)
    dqn.q_network["weights"]["b2"][1] = np.nan
    with pytest.raises(NonFiniteError):
        dqn.select_action(np.zeros(2), mask=[1, 0, 1])
    with pytest.raises(NonFiniteError):
        dqn.select_actions(np.zeros((1, 2), np.float32), mask=[[1, 0, 1]])


# -- learning -----------------------------------------------------------------------------------

STATES, ACTIONS, DISCOUNT = 5, 4, 0.8
LEARNING = {
    "hidden_layers": [32],
    "batch_size": 10,
    "gamma": DISCOUNT,
    "learning_rate": 3e-3,
    "learning_rate_schedule": "linear",
    "target_update_interval": 20,
    "on_divergence": "ignore",
}


class Maze:
    """A deterministic task. What an invalid action would do is nowhere defined."""

    def __init__(self, seed=5):
        rng = np.random.default_rng(seed)
        self.valid = masks_of(rng, STATES, ACTIONS)
        self.reward = rng.uniform(-1, 1, (STATES, ACTIONS))
        self.follows = rng.integers(STATES + 1, size=(STATES, ACTIONS))  # the last one is the end

    def optimum(self):
        """Value iteration over the valid actions, in plain Python."""
        q = [[0.0] * ACTIONS for _ in range(STATES)]
        for _ in range(200):
            v = [max(q[s][a] for a in range(ACTIONS) if self.valid[s][a]) for s in range(STATES)]
            v.append(0.0)
            q = [
                [self.reward[s][a] + DISCOUNT * v[self.follows[s][a]] for a in range(ACTIONS)]
                for s in range(STATES)
            ]
        return np.array(q)

    def fill(self, dqn, masks=True):
        for s, a in zip(*self.valid.nonzero(), strict=True):
            then = int(self.follows[s, a])
            over = then == STATES
            state, following = np.eye(STATES + 1)[[s, then], :STATES]
            mask = self.valid[then] if masks and not over else None
            dqn.replay_buffer.push(state, int(a), self.reward[s, a], following, over, False, mask)

    def learned(self, masks=True, steps=1500, **settings):
        dqn = DQN({"hyperparameters": {**LEARNING, **settings}, "seed": 3})
        dqn.build((STATES,), (ACTIONS,))
        dqn.q_network["weights"]["b1"][...] += 4.0  # hopes that only experience corrects
        dqn.update_target_network()
        self.fill(dqn, masks)
        for k in range(steps):
            dqn.set_progress(k / steps)
            dqn.train_step()
        return dqn


COMBINATIONS = {
    "double": {},
    "simple": {"double_dqn": False},
    "dueling": {"dueling": True},
    "huber, prioritized": {"loss": "huber", "prioritized_replay": True},
    "c51": {"head": "c51", "n_atoms": 41, "v_min": -4.0, "v_max": 6.0},
    "qr, dueling": {"head": "qr", "n_atoms": 5, "dueling": True, "huber_delta": 0.1},
}


@pytest.mark.parametrize("settings", COMBINATIONS.values(), ids=COMBINATIONS)
def test_the_values_learned_are_those_of_value_iteration(settings):
    maze = Maze()
    dqn = maze.learned(**settings)
    q, expected = dqn.predict(np.eye(STATES)), maze.optimum()
    np.testing.assert_allclose(q[maze.valid], expected[maze.valid], atol=0.05)
    greedy = dqn.predict(np.eye(STATES), maze.valid).argmax(axis=1)
    assert greedy.tolist() == list(map(best_valid, expected, maze.valid))


def test_without_masks_the_same_task_is_overestimated():
    maze = Maze()
    q = maze.learned(masks=False).predict(np.eye(STATES))
    assert (q - maze.optimum())[maze.valid].max() > 1.0


def test_invalid_actions_count_neither_in_diagnostics_nor_for_the_guard():
    maze = Maze()
    maze.valid[:, 0], maze.valid[:, 1] = False, True
    dqn = DQN({"hyperparameters": {**LEARNING, "log_interval": 1, "on_divergence": "stop"}})
    dqn.build((STATES,), (ACTIONS,))
    maze.fill(dqn)
    dqn.train_step()
    dqn.q_network["weights"]["b1"][0] = 1e6  # of the action that is never valid
    for _ in range(25):
        dqn.train_step()
    assert dqn.predict(np.zeros(STATES))[0] > 1e5
    assert abs(dqn.diagnostics["q_mean"]) < 100
    assert dqn.diagnostics["q_max"] < 100


# -- saving, and populations ------------------------------------------------------------------


def test_a_dqn_trained_with_masks_asks_for_them(tmp_path):
    maze = Maze()
    dqn = maze.learned(steps=3)
    dqn.save(tmp_path / "dqn.safetensors")
    loaded = DQN.load(tmp_path / "dqn.safetensors")
    for each in (dqn, loaded, copy.deepcopy(dqn), copy.deepcopy(loaded)):
        assert each.masked
        rule = "must be given, because this DQN was trained with action masks. Got None"
        with pytest.raises(ConfigError, match=f"The mask parameter of DQN.select_action {rule}"):
            each.select_action(np.zeros(STATES))
        with pytest.raises(ConfigError, match=f"The mask parameter of DQN.select_actions {rule}"):
            each.select_actions(np.zeros((2, STATES), np.float32))
        assert np.isfinite(each.predict(np.zeros(STATES))).all()
    plain = maze.learned(masks=False, steps=3)
    assert not plain.masked
    plain.save(tmp_path / "plain.safetensors")
    assert not DQN.load(tmp_path / "plain.safetensors").masked


@pytest.mark.parametrize("settings", [{}, {"prioritized_replay": True}])
def test_masks_are_saved_with_the_replay(settings, tmp_path):
    dqn = Maze().learned(steps=5, **settings)
    dqn.save(tmp_path / "dqn.safetensors", replay=True)
    loaded = DQN.load(tmp_path / "dqn.safetensors")
    copied = copy.deepcopy(dqn)
    losses = [dqn.train_step() for _ in range(20)]
    for each in (loaded, copied):
        assert each.replay_buffer.masked
        assert [each.train_step() for _ in range(20)] == losses


@pytest.mark.parametrize("prioritized", [False, True])
def test_each_agent_of_a_population_has_its_own_masks(prioritized):
    mazes = [Maze(seed) for seed in (5, 6, 7)]
    settings = {**LEARNING, "prioritized_replay": prioritized, "batch_size": 5}
    configs = [{"hyperparameters": settings, "seed": k} for k in range(3)]
    population = Population(configs)
    population.build((STATES,), (ACTIONS,))
    for maze, agent in zip(mazes, population.agents, strict=True):
        maze.fill(agent)
    losses = np.array([population.train_step() for _ in range(40)])
    for k, maze in enumerate(mazes):
        alone = DQN(configs[k])
        alone.build((STATES,), (ACTIONS,))
        maze.fill(alone)
        assert [alone.train_step() for _ in range(40)] == losses[:, k].tolist()
        assert np.array_equal(
            alone.predict(np.eye(STATES)), population.agents[k].predict(np.eye(STATES))
        )
        assert population.agents[k].masked


def test_the_agents_that_are_left_keep_their_masks():
    from reinforcestrategycreator_pipeline.errors import DivergenceError

    population = Population([{"hyperparameters": LEARNING, "seed": k} for k in range(3)])
    population.build((STATES,), (ACTIONS,))
    alone = DQN({"hyperparameters": LEARNING, "seed": 2})
    alone.build((STATES,), (ACTIONS,))
    for agent in (*population.agents, alone):
        Maze(5 if agent is population.agents[0] else 6).fill(agent)
    population.freeze(0, DivergenceError("stopped by hand"))
    losses = [population.train_step()[2] for _ in range(20)]
    assert [alone.train_step() for _ in range(20)] == losses


@pytest.mark.parametrize("prioritized", [False, True])
def test_a_population_has_masks_for_all_or_for_none(prioritized):
    settings = {**LEARNING, "prioritized_replay": prioritized, "batch_size": 5}
    population = Population([{"hyperparameters": settings, "seed": k} for k in range(2)])
    population.build((STATES,), (ACTIONS,))
    Maze().fill(population.agents[0], masks=False)
    Maze().fill(population.agents[1])
    with pytest.raises(ConfigError, match="Got masks for agent 1 and none for agent 0"):
        population.train_step()


def test_a_step_without_masks_calls_nothing_of_them(monkeypatch):
    """Neither sampling, nor the training step, nor acting."""
    from reinforcestrategycreator_pipeline.models.learner import learner, training_step
    from reinforcestrategycreator_pipeline.replay import ring

    def called(*_):
        raise AssertionError

    for module in (learner, training_step):
        monkeypatch.setattr(module, "masked", called)
    monkeypatch.setattr(learner, "random_actions", called)
    for name in ("as_masks", "packed", "unpacked"):
        monkeypatch.setattr(ring, name, called)
    dqn = Maze().learned(masks=False, steps=20, log_interval=1)
    assert isinstance(dqn.replay_buffer, RingReplay)
    dqn.select_actions(np.zeros((3, STATES), np.float32), 0.5)
