"""Which policies were tried on the same bars before, and how they are counted."""

import numpy as np
import pytest
from permuted import frames_of, market_of, span_of, walk
from test_looks import look
from test_trials import trial

from reinforcestrategycreator_pipeline.files import sha256_file, write_json
from reinforcestrategycreator_pipeline.market.windows import SplitConfig, windows_of
from reinforcestrategycreator_pipeline.policies.baselines import ConstantPolicy
from reinforcestrategycreator_pipeline.runs.artifacts import ARTIFACTS, LOOKS, POLICY
from reinforcestrategycreator_pipeline.verdict.family import Family, family_of
from reinforcestrategycreator_pipeline.verdict.looks import append, fingerprint

RNG = np.random.default_rng(0)
SPAN = span_of(market_of(frames_of(walk(RNG, n=200), RNG)))
WINDOWS = windows_of(SPAN.assets[0].timestamps, SplitConfig(windows=2))


def put_run(store, name, target=1, windows=WINDOWS):
    """Write the policies of a run's windows, and the look at their evaluation."""
    policy, hashes = ConstantPolicy(SPAN.rules.positions, SPAN.inputs, target), []
    for number in range(len(windows.starts)):
        place = store / name / ARTIFACTS["fits"] / str(number + 1) / POLICY
        place.parent.mkdir(parents=True)
        policy.save(place)
        hashes.append(sha256_file(place))
    (store / name / ARTIFACTS["windows"]).parent.mkdir(parents=True)
    write_json(store / name / ARTIFACTS["windows"], windows.to_json())
    append(store / LOOKS, look(name, policy=fingerprint(hashes)))
    return fingerprint(hashes)


def found(store, policy="mine", bars=("aa",), symbols=("A",), starts=WINDOWS.starts):
    return family_of(store / "new", bars, symbols, policy, starts)


def test_without_a_ledger_it_is_alone(tmp_path):
    assert found(tmp_path) == Family()
    assert Family().size == 1
    assert Family().adjusted(0.03) == pytest.approx(0.03)
    assert Family().adjusted(None) is None


def test_policies_that_are_still_there_can_decide_again(tmp_path):
    put_run(tmp_path, "one", 0)
    put_run(tmp_path, "two", 1)
    rivals, others = found(tmp_path)
    assert [[p.target for p in rival.policies] for rival in rivals] == [[0, 0], [1, 1]]
    assert rivals[0].starts == WINDOWS.starts
    assert others == 0
    assert found(tmp_path).size == 3


def test_the_same_policies_are_none_more(tmp_path):
    mine = put_run(tmp_path, "one")
    assert found(tmp_path, mine) == Family()
    put_run(tmp_path, "two")  # of equal bytes
    assert found(tmp_path).size == 2


@pytest.mark.parametrize(
    ("change", "size"),
    [
        ({"bars": ("zz",)}, 1),  # other bars
        ({"symbols": ("A", "B")}, 2),
        ({"starts": (1, 2)}, 2),
    ],
)
def test_what_was_tried_otherwise_is_counted_alone(tmp_path, change, size):
    put_run(tmp_path, "one")
    family = found(tmp_path, **change)
    assert (family.rivals, family.size) == ((), size)


@pytest.mark.parametrize("harm", ["removed", "changed", "damaged windows"])
def test_policies_that_are_gone_are_counted(tmp_path, harm):
    put_run(tmp_path, "one")
    place = tmp_path / "one" / ARTIFACTS["fits"] / "1" / POLICY
    if harm == "removed":
        place.unlink()
    elif harm == "changed":
        ConstantPolicy(SPAN.rules.positions, SPAN.inputs, 0).save(place)
    else:
        (tmp_path / "one" / ARTIFACTS["windows"]).write_text("{")
    assert found(tmp_path) == Family((), 1)


def test_trials_on_these_bars_are_counted_once_each(tmp_path):
    for number, config in enumerate("abb"):
        append(tmp_path / LOOKS, trial(number, config=config, sketched=("aa", "xx")))
    append(tmp_path / LOOKS, trial(3, config="c", sketched=("xx",)))
    assert found(tmp_path) == Family((), 2)


def test_sidak_by_hand():
    """Three policies: 1 - 0.9^3."""
    assert Family((), 2).adjusted(0.1) == pytest.approx(0.271)
