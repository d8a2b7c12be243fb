"""Prioritized replay: chances, strata, weights, new transitions, refusals."""

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError
from reinforcestrategycreator_pipeline.replay.prioritized import PrioritizedSampler
from reinforcestrategycreator_pipeline.replay.ring import RingReplay


def sampler_of(errors, capacity=None, **options):
    """A sampler whose slots 0, 1, ... have these errors."""
    sampler = PrioritizedSampler(capacity or len(errors), **options)
    sampler.added(np.arange(len(errors)))
    sampler.update(np.arange(len(errors)), errors)
    return sampler


def test_draws_follow_the_priorities():
    # |delta| + epsilon = 1, 4, 9, 16, 25 to the power 1/2: 1, 2, 3, 4, 5 of 15.
    sampler = sampler_of([0.5, 3.5, 8.5, 15.5, 24.5], 40, alpha=0.5, epsilon=0.5)
    rng = np.random.default_rng(11)
    draws = 15_000
    # One a draw: with a single stratum the counts are multinomial.
    counts = np.bincount([sampler.draw(rng, 5, 1)[0][0] for _ in range(draws)], minlength=40)
    assert not counts[5:].any()
    expected = draws * np.array([1, 2, 3, 4, 5]) / 15
    statistic = ((counts[:5] - expected) ** 2 / expected).sum()
    assert statistic < 18.467  # chi-square with 4 degrees of freedom, upper 0.1%
    wrong = draws * np.array([1, 4, 9, 16, 25]) / 55  # alpha forgotten
    assert ((counts[:5] - wrong) ** 2 / wrong).sum() > 18.467


def test_a_batch_is_stratified():
    errors = np.random.default_rng(5).random(300)
    sampler = sampler_of(errors, alpha=1.0)
    chances = (errors + 1e-6) / (errors + 1e-6).sum()
    rng = np.random.default_rng(6)
    beyond = 0
    for _ in range(200):
        i, _ = sampler.draw(rng, 300, 64)
        assert i.dtype == np.int64
        # Draw k lies in the k-th 64th of the mass: so does the running sum of the chances.
        ends = np.cumsum(chances)
        k = np.arange(64)
        assert (ends[i] >= k / 64 - 1e-12).all()
        assert (ends[i] - chances[i] <= (k + 1) / 64 + 1e-12).all()
        beyond += int((np.bincount(i, minlength=300) > 2).sum())
    assert beyond == 0  # independent draws repeat one three times in about every tenth batch


def slow_weights(priorities, drawn, beta):
    """(N P(i))^-beta over the largest of the batch, as the paper writes it."""
    n, total = len(priorities), sum(priorities)
    raw = [(n * priorities[i] / total) ** -beta for i in drawn]
    return [w / max(raw) for w in raw]


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_weights_are_those_of_the_paper(beta):
    errors = [0.1, 2.0, 0.7, 5.0, 0.0, 1.3, 9.0]
    sampler = sampler_of(errors, alpha=0.7, epsilon=0.01)
    sampler.beta = beta
    priorities = [(e + 0.01) ** 0.7 for e in errors]
    rng = np.random.default_rng(2)
    for _ in range(20):
        i, weights = sampler.draw(rng, 7, 4)
        assert weights.tolist() == pytest.approx(slow_weights(priorities, i, beta), rel=1e-12)


def test_weights_by_hand():
    # p = 1, 3, 4 of 8, N = 3: N P = 3/8, 9/8, 12/8. beta = 1: 8/3, 8/9, 8/12, over 8/3.
    sampler = sampler_of([0.5, 2.5, 3.5], alpha=1.0, epsilon=0.5)
    sampler.beta = 1.0
    by_slot = {0: 1.0, 1: 1 / 3, 2: 1 / 4}
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(50):
        i, weights = sampler.draw(rng, 3, 3)
        seen.add(tuple(i.tolist()))
        largest = max(by_slot[k] for k in i.tolist())
        assert weights.tolist() == pytest.approx([by_slot[k] / largest for k in i.tolist()])
    # Strata [0, 8/3), [8/3, 16/3), [16/3, 8) over the borders 1, 4 and 8.
    assert seen == {(0, 1, 2), (1, 1, 2), (0, 2, 2), (1, 2, 2)}


def test_weights_of_extreme_priorities_stay_finite():
    sampler = sampler_of([1e250, 0.0, 1e200], alpha=1.0, epsilon=1e-300)
    sampler.beta = 1.0
    _, weights = sampler.draw(np.random.default_rng(0), 3, 3)
    assert np.isfinite(weights).all()
    assert weights.max() == 1.0


def test_new_transitions_get_the_largest_priority_seen():
    sampler = PrioritizedSampler(6, alpha=1.0, epsilon=0.5)
    sampler.added(0)
    sampler.added(np.array([1]))
    assert sampler.arrays()["priorities"].tolist() == [1.0, 1.0]
    sampler.update([0, 1], [7.5, 0.5])
    sampler.added(2)
    sampler.update([0], [0.0])  # the largest is remembered
    sampler.added(np.array([3, 4]))
    assert sampler.arrays()["priorities"].tolist() == [0.5, 1.0, 8.0, 8.0, 8.0]
    assert sampler.max_priority == 8.0


def test_the_last_priority_of_a_slot_counts():
    sampler = sampler_of([1.0] * 4, alpha=1.0, epsilon=0.5)
    sampler.update([3, 1, 3, 1, 3], [5.0, 6.0, 7.0, 8.0, 1.0])
    assert sampler.arrays()["priorities"].tolist() == [1.5, 8.5, 1.5, 1.5]


def test_alpha_zero_is_uniform():
    sampler = sampler_of([0.0, 1e6, 3.0], alpha=0.0)
    assert sampler.arrays()["priorities"].tolist() == [1.0, 1.0, 1.0]


def test_same_generator_same_draws():
    def draws(seed):
        rng = np.random.default_rng(seed)
        sampler = sampler_of(np.arange(50.0))
        return [sampler.draw(rng, 50, 20)[0].tolist() for _ in range(5)]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)


@pytest.mark.parametrize(
    ("indices", "priorities", "error", "message"),
    [
        ([0, 1], [1.0, np.nan], NonFiniteError, "finite number.* Got nan"),
        ([0, 1], [np.inf, 1.0], NonFiniteError, "finite number.* Got inf"),
        ([0, 1], [2.0, -1.0], ConfigError, ">= 0. Got -1.0"),
        ([0, 3], [2.0, 2.0], ConfigError, r"to a stored transition. Got \[3\]"),  # never written
        ([0, 7], [2.0, 2.0], ConfigError, "from 0 to 4. Got 0 to 7"),
        ([0, -1], [2.0, 2.0], ConfigError, "from 0 to 4. Got -1 to 0"),
        ([0, 1], [2.0], ConfigError, r"one priority per index. Got priorities of shape \(1,\)"),
        ([0, 1], 2.0, ConfigError, "one priority per index"),
    ],
)
def test_wrong_updates_are_refused_and_nothing_is_changed(indices, priorities, error, message):
    sampler = sampler_of([1.0, 2.0, 3.0], capacity=5, alpha=1.0)
    before = {name: array.copy() for name, array in sampler.arrays().items()}
    with pytest.raises(error, match=message):
        sampler.update(indices, np.array(priorities, dtype=np.float32))
    for name, array in sampler.arrays().items():
        assert array.tobytes() == before[name].tobytes(), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": -0.1}, "alpha parameter of PrioritizedSampler must be"),
        ({"alpha": 1.1}, "alpha parameter of PrioritizedSampler must be"),
        ({"epsilon": 0.0}, "epsilon parameter of PrioritizedSampler must be"),
        ({"epsilon": np.nan}, "epsilon parameter of PrioritizedSampler must be"),
    ],
)
def test_wrong_parameters_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        PrioritizedSampler(5, **options)


@pytest.mark.parametrize(("size", "count", "message"), [(3, 4, "holds 3"), (3, 0, "1 transition")])
def test_impossible_batches_are_refused(size, count, message):
    with pytest.raises(ConfigError, match=message):
        sampler_of([1.0] * 3).draw(np.random.default_rng(0), size, count)


# -- inside a replay ----------------------------------------------------------------------------


def ring(seed=0, capacity=40, prioritized=True, **options):
    sampler = PrioritizedSampler(capacity) if prioritized else None
    return RingReplay(capacity, 2, np.random.default_rng(seed), sampler=sampler, **options)


def push(replay, numbers):
    for k in numbers:
        replay.push([k, -k], k % 3, k / 2, [k + 1, k - 1], k % 5 == 4, k % 7 == 6)


def learn(replay, batch_size=8):
    """Sample and set priorities as a learner does; return the batch."""
    batch = replay.sample(batch_size)
    replay.update_priorities(batch.indices, np.abs(np.sin(batch.r_t)).astype(np.float32))
    return batch


def test_unwritten_slots_are_never_drawn_and_a_batch_fits_its_slots():
    replay = ring()
    for k in range(90):
        push(replay, [k])
        if k >= 8:
            batch = learn(replay)
            assert batch.indices.max() < len(replay)
            newest = k - (k - batch.indices) % 40  # what a ring of 40 holds in each slot
            assert batch.s_tm1[:, 0].tolist() == newest.tolist()
            assert batch.weights.dtype == batch.r_t.dtype == np.float32
            assert batch.weights.max() == 1.0


def test_an_overwritten_slot_is_new_again():
    replay = ring(capacity=4)
    push(replay, range(4))
    replay.update_priorities([0, 1, 2, 3], [0.0] * 4)
    push(replay, [4])
    assert replay.arrays()["sampler.priorities"].tolist() == pytest.approx([1] + [1e-6**0.6] * 3)


def test_a_sampler_of_another_capacity_is_refused():
    with pytest.raises(ConfigError, match=r"capacity, 40\. Got 39 instead"):
        RingReplay(40, 2, np.random.default_rng(0), sampler=PrioritizedSampler(39))


def futures(replay, start):
    """What a replay's draws and content will be."""
    seen = []
    for k in range(start, start + 45):
        push(replay, [k])
        batch = learn(replay)
        seen += [x.tobytes() for x in batch if x is not None]
    return seen + [array.tobytes() for array in replay.arrays().values()]


def stopped_at(pushed, n_step):
    """A replay that has learnt, its arrays as a file would hold them, and its generator."""
    replay = ring(seed=9, n_step=n_step)
    for k in range(pushed):
        push(replay, [k])
        if len(replay) >= 8:
            learn(replay)
            replay.sampler.beta = 0.4 + k / 1000
    arrays = {name: array.copy() for name, array in replay.arrays().items()}
    return replay, arrays, replay.rng.bit_generator.state


def restored_from(arrays, generator_state, n_step):
    replay = ring(seed=77, n_step=n_step)
    push(replay, range(500, 523))  # whatever was there is gone
    replay.restore(arrays)
    replay.rng.bit_generator.state = generator_state
    return replay


@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize("pushed", [12, 40, 43, 95])
def test_a_restored_replay_goes_on_as_if_it_had_never_stopped(pushed, n_step):
    original, arrays, generator_state = stopped_at(pushed, n_step)
    restored = restored_from(arrays, generator_state, n_step)
    assert futures(restored, pushed) == futures(original, pushed)


@pytest.mark.parametrize(
    "name",
    [
        "sampler.priorities",
        "sampler.max_priority",
        "sampler.beta",
        "steps",
        "window.clock",
        "window.pending",
        "window.states",
        "window.actions",
        "window.returns",
    ],
)
def test_whatever_is_restored_wrongly_changes_the_future(name):
    original, arrays, generator_state = stopped_at(47, 3)  # 45 and 46 wait
    arrays[name] = ~arrays[name] if arrays[name].dtype == bool else arrays[name] + 1
    restored = restored_from(arrays, generator_state, 3)
    assert futures(restored, 47) != futures(original, 47)


def without(arrays, *names):
    return {name: array for name, array in arrays.items() if name not in names}


def test_states_of_other_samplers_are_refused():
    source = ring()
    push(source, range(9))
    arrays = {name: array.copy() for name, array in source.arrays().items()}
    plain = ring(prioritized=False)
    with pytest.raises(
        ConfigError, match="has beta, max_priority, priorities; this one samples uni"
    ):
        plain.restore(arrays)
    push(plain, range(3))
    target = ring()
    push(target, range(3))
    before = content_of(target)
    zero = {**arrays, "sampler.priorities": arrays["sampler.priorities"] * 0}
    short = {**arrays, "sampler.priorities": arrays["sampler.priorities"][:-1]}
    nan = {**arrays, "sampler.priorities": arrays["sampler.priorities"] * np.nan}
    for wrong, error, message in (
        (plain.arrays(), ConfigError, "no priorities; this one samples by priority"),
        (without(arrays, "sampler.beta"), ConfigError, "this one samples by priority"),
        (zero, ConfigError, r"must be > 0\. Got 0"),
        (short, ConfigError, r"9 stored transitions need 9 priorities\. Got 8"),
        (nan, NonFiniteError, "Got nan"),
    ):
        with pytest.raises(error, match=message):
            target.restore(wrong)
        assert content_of(target) == before


def content_of(replay):
    return [array.tobytes() for array in replay.arrays().values()]
