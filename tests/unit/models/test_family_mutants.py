"""Bugs planted in the learner's own source: the gradient checks must find every one.

A mutant is a function of the product in which one piece of text is replaced. Where only the
backward pass is wrong, central differences must find it too; where forward and backward are wrong
together, the slope of the wrong loss agrees, and the reference alone can tell.
"""

import inspect
import textwrap

import numpy as np
import pytest
from family_cases import Compared
from test_family_gradients import (
    ALL_ON,
    HEADS,
    slopes_disagree,
)
from test_family_gradients import (
    test_nothing_is_left_of_the_batch_before as check_nothing_is_left,
)

from reinforcestrategycreator_pipeline.models.learner.training_step import Following, TrainingStep
from reinforcestrategycreator_pipeline.nn.heads.c51 import C51
from reinforcestrategycreator_pipeline.nn.heads.expected import Expected
from reinforcestrategycreator_pipeline.nn.heads.qr import QR
from reinforcestrategycreator_pipeline.nn.network import Backward, Pass
from reinforcestrategycreator_pipeline.nn.noise import Noise

SQUARED, C, Q = HEADS["squared"], HEADS["c51"], HEADS["qr"]
BACKWARD, BOTH = "backward", "forward and backward"
MUTANTS = {
    # name: ((class, method, text, replacement), settings, which passes are wrong)
    "dueling gives the advantages no mean": (
        (Backward, "_dueling", "(d - d_value[..., None, :] / spec.n_actions)", "(1.0 * d)"),
        SQUARED,
        BACKWARD,
    ),
    "dueling gives the value a mean": (
        (Backward, "_dueling", "np.add.reduce(d, axis=-2)", "d.mean(axis=-2)"),
        C,
        BACKWARD,
    ),
    "layer norm without its mean": (
        (Backward, "_through_normalization", "d -= d.mean(axis=-1, keepdims=True)", "pass"),
        Q,
        BACKWARD,
    ),
    "layer norm without its projection": (
        (Backward, "_through_normalization", "d -= u * projection", "pass"),
        C,
        BACKWARD,
    ),
    "layer norm's projection with the wrong sign": (
        (Backward, "_through_normalization", "d -= u * projection", "d += u * projection"),
        SQUARED,
        BACKWARD,
    ),
    "layer norm passes its gain by": (
        (Backward, "_through_normalization", "delta *= self._pass.weights.gain[i]", "pass"),
        SQUARED,
        BACKWARD,
    ),
    "ReLU lets everything back": ((Backward, "run", "padded *= mask", "pass"), Q, BACKWARD),
    "sigma's gradient has no noise": (
        (
            Noise,
            "sigma_gradient",
            "np.multiply(d_effective, self.epsilon,",
            "np.add(d_effective, 0,",
        ),
        C,
        BACKWARD,
    ),
    "importance is not in the gradient": (
        (TrainingStep, "run", "d_predicted *= (weights / m)[:, None]", "d_predicted *= 1.0 / m"),
        SQUARED,
        BACKWARD,
    ),
    "the gradient is a sum": (
        (
            TrainingStep,
            "run",
            "d_predicted *= (weights / m)[:, None]",
            "d_predicted *= weights[:, None]",
        ),
        SQUARED,
        BACKWARD,
    ),
    "cross-entropy's gradient with the wrong sign": (
        (C51, "loss", "p -= m", "p += m"),
        C,
        BACKWARD,
    ),
    "quantile gradients ignore which side": (
        (QR, "_loss", "np.matmul(a, ones, out=gradients)", "np.matmul(c, ones, out=gradients)"),
        Q,
        BACKWARD,
    ),
    "quantiles swap their sides": ((QR, "_loss", "a += c", "a -= c"), Q, BOTH),
    "the streams are normalised together": (
        (Pass, "_streams", "if self.spec.dueling and", "if False and"),
        SQUARED,
        BOTH,
    ),
    "the outputs keep the advantages' mean": (
        (Pass, "forward", "mean /= self.spec.n_actions", "mean *= 0.0"),
        C,
        BOTH,
    ),
    "no offset": ((Pass, "_normalize", "out += self.weights.offset[i]", "pass"), Q, BOTH),
    "the online network values": (
        (
            Following,
            "bootstrap",
            "self._rows.take(best",
            "self._choices.reshape(-1, self._rows.shape[1]).take(best",
        ),
        SQUARED,
        BOTH,
    ),
    "a termination is not seen": (
        (TrainingStep, "_discounts", "batch.terminated, 0.0)", "batch.terminated, gamma)"),
        SQUARED,
        BOTH,
    ),
    "steps are not counted": (
        (TrainingStep, "_discounts", "np.power(gamma, ", "np.power(gamma, 0 * "),
        SQUARED,
        BOTH,
    ),
    "the returns are not clipped to the atoms": (
        (C51, "project", "b.clip(self._v_min, self._v_max, out=b)", "b.clip(-2.5, 2.5, out=b)"),
        {**C, "v_min": -2.0, "v_max": 1.0, "reward_scale": 2.0},
        BOTH,
    ),
    "all the mass goes to the lower atom": ((C51, "project", "p -= b", "b *= 0.0"), C, BOTH),
    "the reward is counted twice": (
        (Expected, "loss", "error += r_t", "error += 2 * r_t"),
        SQUARED,
        BOTH,
    ),
}


def plant(monkeypatch, owner, name, text, replacement):
    """Replace `text`, which must be there once, in the source of a method."""
    right = inspect.getattr_static(owner, name)
    source = textwrap.dedent(inspect.getsource(right))
    assert source.count(text) == 1, f"{owner.__name__}.{name} has changed: write its mutant anew"
    space = {}
    wrong = compile(
        source.replace(text, replacement), f"mutant of {name}", "exec", dont_inherit=True
    )
    exec(wrong, {**inspect.unwrap(right).__globals__, "annotations": None}, space)
    monkeypatch.setattr(owner, name, space[name])


@pytest.mark.parametrize("bug", MUTANTS)
def test_a_bug_in_the_source_shows(bug, monkeypatch):
    mutation, settings, wrong = MUTANTS[bug]
    settings = {**ALL_ON, "steps": True, **settings}
    right = Compared(**settings)
    assert right.disagreement() < 1e-12
    plant(monkeypatch, *mutation)
    dqn, batch = right.case.make()
    # The noise was drawn from the same seed, and no mutant changes it.
    assert all(np.array_equal(right.noise[name], e) for name, e in dqn.noise.items())
    with np.errstate(all="ignore"):
        dqn.compute_gradients(batch, right.gamma)
        right.dqn, right.batch = dqn, batch
        right.found = {name: np.array(g) for name, g in dqn.gradients.items()}
        assert right.disagreement() > 1e-6
        if wrong is BACKWARD:
            assert slopes_disagree(right, np.random.default_rng(7)) > 1e-6


def test_gradients_of_the_batch_before_show(monkeypatch):
    plant(monkeypatch, TrainingStep, "run", "d_outputs.fill(0.0)", "pass")
    with pytest.raises(AssertionError):
        check_nothing_is_left(False)
