"""Which policies were tried on the same bars before, and how they are counted."""

from dataclasses import replace

import numpy as np
import pytest
from permuted import frames_of, market_of, span_of, turns_of, walk
from test_looks import look
from test_trials import trial

from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.files import sha256_file, write_json
from reinforcestrategycreator_pipeline.market.windows import SplitConfig, windows_of
from reinforcestrategycreator_pipeline.policies.baselines import ConstantPolicy
from reinforcestrategycreator_pipeline.policies.walk_forward import WalkForward
from reinforcestrategycreator_pipeline.runs.artifacts import ARTIFACTS, LOOKS, POLICY
from reinforcestrategycreator_pipeline.verdict.chance import against_chance, windows_of_turns
from reinforcestrategycreator_pipeline.verdict.family import Family, Rival, family_of, seen_by
from reinforcestrategycreator_pipeline.verdict.looks import append, fingerprint, sketch_of

RNG = np.random.default_rng(0)
DATA = market_of(frames_of(walk(RNG, n=200), RNG))
SPAN = span_of(DATA)
SEEN = sketch_of(SPAN)
WINDOWS = windows_of(SPAN.assets[0].timestamps, SplitConfig(windows=2))


def put_run(store, name, target=1, policy=None, **changed):
    """Write the policies of a run's windows, and the look at their evaluation."""
    windows, hashes = WINDOWS, []
    policy = policy or ConstantPolicy(SPAN.rules.positions, SPAN.inputs, target)
    for number in range(len(windows.starts)):
        place = store / name / ARTIFACTS["fits"] / str(number + 1) / POLICY
        place.parent.mkdir(parents=True)
        policy.save(place)
        hashes.append(sha256_file(place))
    (store / name / ARTIFACTS["windows"]).parent.mkdir(parents=True)
    write_json(store / name / ARTIFACTS["windows"], windows.to_json())
    changed = {"symbols": ("S0",)} | changed
    seen = replace(look(name, SEEN, policy=fingerprint(hashes)), **changed)
    append(store / LOOKS, seen)
    return fingerprint(hashes)


def found(store, policy="mine", starts=WINDOWS.starts):
    return family_of(store / "new", SPAN, policy, starts)


def test_without_a_ledger_it_is_alone(tmp_path):
    assert found(tmp_path) == Family()
    assert Family().size == 1
    assert Family().adjusted(0.03) == pytest.approx(0.03)
    assert Family().adjusted(None) is None


def test_policies_that_are_still_there_can_decide_again(tmp_path):
    put_run(tmp_path, "one", 0)
    put_run(tmp_path, "two", 1)
    rivals, others = found(tmp_path)
    assert [[p.target for p in r.policies.policies] for r in rivals] == [[0, 0], [1, 1]]
    assert rivals[0].policies.starts == WINDOWS.starts
    assert rivals[0].span is SPAN
    assert others == 0
    assert found(tmp_path).size == 3


def test_the_same_policies_are_none_more(tmp_path):
    mine = put_run(tmp_path, "one")
    assert found(tmp_path, mine) == Family()
    put_run(tmp_path, "two")  # of equal bytes
    assert found(tmp_path).size == 2


@pytest.mark.parametrize(
    ("changed", "starts", "size"),
    [
        ({"bars": ("zz",)}, WINDOWS.starts, 1),  # other bars
        ({"symbols": ("S0", "B")}, WINDOWS.starts, 2),
        ({}, (1, 2), 2),
        ({"run": "../elsewhere/one"}, WINDOWS.starts, 2),  # a path is no name of a run
    ],
)
def test_what_was_tried_otherwise_is_counted_alone(tmp_path, changed, starts, size):
    store = tmp_path / "runs"
    put_run(store, "one", **changed)
    if "run" in changed:
        (store / "one").rename(tmp_path / "elsewhere")
        (tmp_path / "elsewhere").rename(tmp_path / "moved")
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "moved").rename(tmp_path / "elsewhere" / "one")
    family = found(store, starts=starts)
    assert (family.rivals, family.size) == ((), size)


OTHER = (FeatureSpec("returns", {"horizons": (3,)}), FeatureSpec("bollinger"))


def test_rivals_read_their_own_features(tmp_path):
    """Not those of the judged policies: they decide as they did in their own run."""
    theirs = span_of(DATA, specs=OTHER)
    assert len(theirs.inputs.names) != len(SPAN.inputs.names)
    rule = turns_of(theirs, feature=1, level=0.2).policies[0]
    seen = seen_by(WalkForward((rule,), (0,)), SPAN)
    assert seen.inputs == theirs.inputs
    for ours, other in zip(seen.assets, theirs.assets, strict=True):
        np.testing.assert_array_equal(ours.features, other.features)
    turns = WalkForward((rule, rule), WINDOWS.starts)
    own = turns_of(SPAN, 1).policies[0]
    judged = WalkForward((own, own), WINDOWS.starts)
    alone, _ = against_chance(turns, theirs, np.random.default_rng(0), (), most=20)
    together, p = against_chance(
        judged, SPAN, np.random.default_rng(0), (), [Rival(turns, seen)], most=20
    )
    assert p >= together.p
    windows = windows_of_turns(turns, seen)
    grown = [float(w.outcomes(w.as_it_was).growth[0]) for w in windows]
    assert grown == pytest.approx([w.growth for w in alone.windows])


def test_rivals_whose_features_these_bars_do_not_have_are_counted(tmp_path):
    inputs = replace(SPAN.inputs, specs=({"name": "column", "columns": ["mood"]},), names=("mood",))
    put_run(tmp_path, "one", policy=ConstantPolicy(SPAN.rules.positions, inputs, 0))
    assert found(tmp_path) == Family((), 1)


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
        append(tmp_path / LOOKS, trial(number, config=config, sketched=(SEEN[0], "xx")))
    append(tmp_path / LOOKS, trial(3, config="c", sketched=("xx",)))
    assert found(tmp_path) == Family((), 2)


def test_sidak_by_hand():
    """Three policies: 1 - 0.9^3."""
    assert Family((), 2).adjusted(0.1) == pytest.approx(0.271)
