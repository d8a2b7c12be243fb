"""Masked targets of every member of the family, against the reference's loop over valid actions.

The reference chooses by plain Python among the actions that are valid; it shares nothing with the
product. Planted bugs show that the comparison can fail.
"""

from itertools import product

import numpy as np
import pytest
import reference_dqn as ref
from family_cases import Compared, disagreement
from test_family_gradients import ALL_ON, HEADS, TOLERANCE
from test_family_mutants import plant

from reinforcestrategycreator_pipeline.models.learner.training_step import Following

SWITCHES = ("double_dqn", "dueling", "all_actions")
FAMILY = [
    pytest.param(
        {
            **dict(zip(SWITCHES, on, strict=True)),
            "noisy": on[0] != on[1],
            "weights": on[1] != on[2],
            **HEADS[head],
        },
        id="-".join([head, *(name for name, yes in zip(SWITCHES, on, strict=True) if yes)]),
    )
    for head, on in product(HEADS, product((False, True), repeat=len(SWITCHES)))
]


def compared(settings, dtype="float64", **more):
    rows = 7 if settings.get("all_actions") else 12
    more = {"rows": rows, "n_actions": 4, "masks": True, "living": 0.0, **more}
    return Compared(dtype, steps=settings["weights"], **settings, **more)


def rows_changed(one):
    """Rows whose target another action would give if no mask were there."""
    batch = one.case.batch()
    plain = batch._replace(mask_t=None)
    numbers = one.case.h, one.case.online, one.case.target
    noises = one.gamma, one.noise, one.target_noise
    masked = ref.make_rows(*numbers, batch, *noises)
    unmasked = ref.make_rows(*numbers, plain, *noises)
    return sum(
        not np.allclose(a.target, b.target, atol=1e-3)
        for a, b in zip(masked, unmasked, strict=True)
    )


@pytest.mark.parametrize("settings", FAMILY)
def test_losses_and_gradients_are_those_of_the_valid_maximum(settings):
    one = compared(settings)
    assert rows_changed(one) > 0
    assert one.loss == pytest.approx(one.expected_loss, rel=TOLERANCE["float64"])
    assert one.disagreement() < TOLERANCE["float64"]


@pytest.mark.parametrize("head", HEADS)
def test_masks_that_forbid_nothing_change_no_bit(head):
    one = compared({**ALL_ON, **HEADS[head]})
    plain = one.batch._replace(mask_t=None)
    loss = one.dqn.compute_gradients(plain, one.gamma)
    gradients = {name: np.array(g) for name, g in one.dqn.gradients.items()}
    everything = plain._replace(mask_t=np.ones_like(one.batch.mask_t))
    assert one.dqn.compute_gradients(everything, one.gamma) == loss
    found = {name: np.array(g) for name, g in one.dqn.gradients.items()}
    assert disagreement(found, gradients) == 0


@pytest.mark.parametrize("head", HEADS)
def test_masks_of_terminated_transitions_change_no_bit(head):
    one = compared({**ALL_ON, **HEADS[head]})
    masks = one.batch.mask_t.copy()
    masks[one.batch.terminated] ^= True
    assert one.dqn.compute_gradients(one.batch._replace(mask_t=masks), one.gamma) == one.loss


def test_double_dqn_by_hand():
    """The online network prefers 2, then 0, then 1; the target network says 4, 7 and 8 of them."""
    from dqn_cases import FixedReplay, make_dqn

    from reinforcestrategycreator_pipeline.replay.batch import Batch

    def batch(mask):
        column = np.array([[1.0]])
        ends, action = np.array([False]), np.array([1])
        return Batch(column, action, np.array([1.0]), column, ends, mask_t=np.array([mask]))

    dqn = make_dqn(1, 3, FixedReplay(batch([1, 1, 1])), hidden_layers=[1], dtype="float64")
    for network, last in ((dqn.q_network, [[4, 2, 9]]), (dqn.target_network, [[5, 7, 8]])):
        network["weights"] = {"W0": [[1]], "b0": [0], "W1": last, "b1": [-1, 0, 0]}
    for mask, best in (([1, 1, 1], 8), ([1, 1, 0], 4), ([0, 1, 0], 7), ([1, 0, 1], 8)):
        error = 2 - (1 + 0.5 * best)
        assert dqn.compute_gradients(batch(np.array(mask, bool)), 0.5) == pytest.approx(error**2)


MUTANTS = {
    "the mask is not there": ("if mask_t is not None:", "if False:"),
    "the mask says what is invalid": ("mask_t.reshape", "(~mask_t).reshape"),
    "the rows are mixed up": ("mask_t.reshape", "mask_t[::-1].reshape"),
    "the target network chooses": (
        "values = self._head.values(self._choices)",
        "values = self._head.values(self.target.outputs.reshape(self._choices.shape))",
    ),
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("bug", MUTANTS)
def test_planted_bugs_are_found(monkeypatch, bug, head):
    plant(monkeypatch, Following, "bootstrap", *MUTANTS[bug])
    settings = {"double_dqn": True, "dueling": True, "weights": True, **HEADS[head]}
    one = compared(settings, rows=20, n_actions=5, smooth=1e-4)
    assert one.disagreement() > 1e-3
