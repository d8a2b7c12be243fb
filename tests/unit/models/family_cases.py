"""One member of the DQN family after the other: its settings, random parameters and a batch."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import reference_dqn as ref
from autograd import value_and_grad
from dqn_cases import FixedReplay, make_dqn

from reinforcestrategycreator_pipeline.replay.batch import Batch

GAMMA = 0.9
DEFAULTS = {
    "hidden_layers": [5, 4],
    "double_dqn": True,
    "dueling": False,
    "layer_norm": False,
    "noisy": False,
    "head": "expected",
    "loss": "squared",
    "huber_delta": 0.7,
    "n_atoms": 5,
    "v_min": -1.5,
    "v_max": 2.0,
}
# A central difference moves nothing by more than some 1e-4 (and no float32 rounding does).
SMOOTH = 1e-3


def dense_shapes(h, n_inputs, n_actions):
    """(fan_in, fan_out) of every dense layer, by the papers."""
    n = ref.outputs_per_action(h)
    *shared, last = h.hidden_layers
    widths = [n_inputs, *shared, 2 * last if h.dueling else last]
    shapes = list(pairwise(widths))
    heads = [n, n_actions * n] if h.dueling else [n_actions * n]
    return shapes + [(last, width) for width in heads]


def random_parameters(h, n_inputs, n_actions, rng):
    """Every parameter by name, float64, none of them zero or one."""
    found = {}
    for i, (fan_in, fan_out) in enumerate(dense_shapes(h, n_inputs, n_actions)):
        found[f"W{i}"] = rng.normal(size=(fan_in, fan_out)) * 0.7
        found[f"b{i}"] = rng.normal(size=fan_out) * 0.3
        if h.noisy:
            found[f"sigma_W{i}"] = rng.normal(size=(fan_in, fan_out)) * 0.3
            found[f"sigma_b{i}"] = rng.normal(size=fan_out) * 0.3
        if h.layer_norm and i < len(h.hidden_layers):
            found[f"gain{i}"] = 1.0 + 0.3 * rng.normal(size=fan_out)
            found[f"offset{i}"] = 0.3 * rng.normal(size=fan_out)
    return found


class FamilyCase:
    """Settings and numbers of one case; every number is one that float32 can hold."""

    def __init__(
        self,
        rng,
        *,
        rows,
        n_inputs,
        n_actions,
        all_actions,
        weights,
        steps,
        masks,
        weight_scale,
        reward_scale,
        **settings,
    ):
        self.n_inputs, self.n_actions, self.settings = n_inputs, n_actions, settings
        self.h = SimpleNamespace(**{**DEFAULTS, **settings})
        self.online, self.target = (
            {
                name: (weight_scale * w).astype(np.float32).astype(np.float64)
                for name, w in random_parameters(self.h, n_inputs, n_actions, rng).items()
            }
            for _ in range(2)
        )
        shape = (rows, n_actions) if all_actions else (rows,)
        terminated = rng.random(shape) < 0.3
        if rows > 1:
            terminated[0], terminated[-1] = True, False
        self._batch = Batch(
            rng.normal(size=(rows, n_inputs)).astype(np.float32),
            None if all_actions else rng.integers(n_actions, size=rows),
            (reward_scale * rng.normal(size=shape)).astype(np.float32),
            rng.normal(size=(*shape, n_inputs)).astype(np.float32),
            terminated,
            steps=rng.integers(1, 4, size=rows) if steps else None,
            weights=(0.2 + rng.random(rows)).astype(np.float32) if weights else None,
            indices=np.arange(rows) if weights else None,
        )
        if masks:
            # An invalid action is usually the best; nothing is valid at some ends of the task.
            valid = rng.random((*shape, n_actions)) < 0.4
            valid[..., int(rng.integers(n_actions))] |= ~valid.any(axis=-1)
            valid[terminated & (rng.random(shape) < 0.5)] = False
            self._batch = self._batch._replace(mask_t=valid)

    def batch(self, dtype="float64"):
        """The batch in `dtype`; arrays are the caller's own."""
        arrays = [
            x if x is None else x.astype(dtype if x.dtype == np.float32 else x.dtype)
            for x in self._batch
        ]
        return Batch(*arrays)

    def make(self, dtype="float64", replay=None, **more):
        """The product's learner with these settings and numbers, and its batch."""
        batch = self.batch(dtype)
        dqn = make_dqn(
            self.n_inputs,
            self.n_actions,
            FixedReplay(batch) if replay is None else replay,
            dtype=dtype,
            **{**DEFAULTS, **self.settings, **more},
        )
        for network, numbers in ((dqn.q_network, self.online), (dqn.target_network, self.target)):
            assert set(network["weights"]) == set(numbers)
            for name, w in network["weights"].items():
                assert w.shape == numbers[name].shape, name
                w[...] = numbers[name]
        if self.h.noisy:
            dqn.resample_noise()
        return dqn, batch

    def reference(self, noise=None, target_noise=None, gamma=GAMMA):
        """Loss and gradients by the reference."""
        rows = self._rows(noise, target_noise, gamma)
        states = self._batch.s_tm1
        differentiated = value_and_grad(lambda w: ref.loss(self.h, w, noise, states, rows))
        value, gradients = differentiated(self.online)
        return float(value), gradients

    def distance(self, noise=None, target_noise=None, gamma=GAMMA):
        """How far everything is from where the loss is not smooth."""
        rows = self._rows(noise, target_noise, gamma)
        return min(
            ref.kink_distance(self.h, self.online, self.target, self._batch, noise, target_noise),
            ref.bend_distance(self.h, self.online, noise, self._batch.s_tm1, rows),
        )

    def _rows(self, noise, target_noise, gamma):
        return ref.make_rows(
            self.h, self.online, self.target, self._batch, gamma, noise, target_noise
        )


def family_case(
    seed=0,
    *,
    rows=6,
    n_inputs=3,
    n_actions=3,
    all_actions=False,
    weights=False,
    steps=False,
    masks=False,
    weight_scale=1.0,
    reward_scale=1.0,
    **settings,
):
    """Draw a case; `settings` are hyperparameters, the others the sizes and the batch's kind."""
    return FamilyCase(
        np.random.default_rng(seed),
        rows=rows,
        n_inputs=n_inputs,
        n_actions=n_actions,
        all_actions=all_actions,
        weights=weights,
        steps=steps,
        masks=masks,
        weight_scale=weight_scale,
        reward_scale=reward_scale,
        **settings,
    )


def doubles(noise):
    """A copy of a noise in float64, or None."""
    return None if noise is None else {n: np.array(e, dtype=np.float64) for n, e in noise.items()}


class Compared:
    """One case computed by the product and by the reference, at a seed at which all is smooth."""

    def __init__(self, dtype="float64", gamma=GAMMA, smooth=SMOOTH, living=1e-4, **settings):
        for seed in range(100):
            self.case = family_case(seed, **settings)
            self.dqn, self.batch = self.case.make(dtype)
            self.noise, self.target_noise = doubles(self.dqn.noise), doubles(self.dqn.target_noise)
            noises = self.noise, self.target_noise
            if self.case.distance(*noises, gamma) < smooth:
                continue
            self.expected_loss, self.expected = self.case.reference(*noises, gamma)
            # A tensor that is dead in the reference would prove nothing.
            if all(np.max(np.abs(g)) >= living for g in self.expected.values()):
                break
        else:
            raise AssertionError("no seed gives a smooth and living case")
        self.gamma = gamma
        self.loss = self.dqn.compute_gradients(self.batch, gamma)
        self.found = {name: np.array(g) for name, g in self.dqn.gradients.items()}

    def disagreement(self):
        """The largest difference from the reference; see `disagreement`."""
        return disagreement(self.found, self.expected)


def disagreement(found, expected):
    """The largest difference of any entry, relative to its tensor's largest one."""
    assert set(found) == set(expected)
    worst = 0.0
    for name, e in expected.items():
        assert found[name].shape == e.shape, name
        scale = float(np.max(np.abs(e)))
        error = float(np.max(np.abs(found[name] - e)))
        # Relative to the tensor, as small entries are sums that cancel; zeros must be zeros.
        worst = max(worst, error / scale if scale > 0 else error and np.inf)
        if not error <= np.inf:  # NaN passes through max()
            return np.inf
    return worst
