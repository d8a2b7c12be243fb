"""The keys in which configurations differ."""

from reinforcestrategycreator_pipeline.pipeline.config.differences import (
    MISSING,
    changed_keys,
    differences,
)
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain


def plain(*overrides):
    return to_plain(load_config(RunConfig, None, overrides))


def test_equal_trees_differ_in_nothing():
    tree = {"a": [1, {"b": 2}], "c": None}
    assert differences([tree, {**tree}, tree]) == []


def test_each_kind_of_difference_by_hand():
    one = {"a": 1, "b": [1, 2], "c": [{"x": 1}], "d": True, "e": "rsi", "f": {"g": 1}}
    two = {"a": 1, "b": [1], "c": [{"x": 3}], "d": 1, "e": {"name": "rsi", "period": 3}}
    assert differences([one, two]) == [
        (("b",), [[1, 2], [1]]),
        (("c", 0, "x"), [1, 3]),
        (("d",), [True, 1]),
        (("e", "period"), [MISSING, 3]),
        (("f", "g"), [1, MISSING]),
    ]


def test_three_configurations():
    assert differences([{"a": 1}, {"a": 1}, {"a": 2}]) == [(("a",), [1, 1, 2])]


def test_nothing_is_changed_by_default():
    assert changed_keys(plain()) == []


def test_what_was_set_is_changed():
    found = changed_keys(plain("seed=8", "features.columns.2.period=21", "split.test=0.3"))
    assert found == [
        (("seed",), 8),
        (("features", "columns", 2, "period"), 21),
        (("split", "test"), 0.3),
    ]


def test_another_strategy_is_compared_with_its_own_defaults():
    assert changed_keys(plain("strategy={name: dqn, training: {steps: 5}}")) == [
        (("strategy", "name"), "dqn"),
        (("strategy", "training", "steps"), 5),
    ]
    assert changed_keys(plain("strategy.name=flat")) == [(("strategy", "name"), "flat")]


def test_no_module_is_loaded_for_it():
    config = {**plain(), "strategy": {"name": "nowhere:Mine", "speed": 2}}
    assert changed_keys(config) == [
        (("strategy", "name"), "nowhere:Mine"),
        (("strategy", "speed"), 2),
    ]
