"""The section ``search``: what it accepts, and what it says of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from snippets import ROOT, tables

from reinforcestrategycreator_pipeline.errors import ConfigError
from reinforcestrategycreator_pipeline.experiments.search import Range, SearchConfig
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.config.writing import config_to_yaml
from reinforcestrategycreator_pipeline.pipeline.config.yaml_file import parse_yaml
from reinforcestrategycreator_pipeline.pipeline.search.space import check_space, trial_config

ALPHA = {"strategy.alpha": {"low": 0.1, "high": 10.0, "log": True}}
LINEAR = {"strategy": {"name": "linear"}}


def loaded(space, **search):
    return load_config(RunConfig, None, given={**LINEAR, "search": {"space": space, **search}})


class TestRange:
    def test_it_is_of_integers_if_both_ends_are(self):
        assert Range(1, 8).ends == (1, 8)
        assert Range(1, 8).whole
        assert Range(1, 8.0).ends == (1.0, 8.0)
        assert not Range(1, 8.0).whole

    @pytest.mark.parametrize(
        ("low", "high", "step", "last"),
        [(1, 10, 4, 9), (0, 10, 5, 10), (0.1, 1.0, 0.25, 0.85), (0.0, 0.3, 0.1, 0.3)],
    )
    def test_the_last_step_is_at_or_below_the_end(self, low, high, step, last):
        assert Range(low, high, step=step).last == last

    @pytest.mark.parametrize(
        ("given", "rule"),
        [
            ({"low": 2, "high": 2}, r"high .* must be above low \(2\). Got 2"),
            ({"low": 0, "high": 2, "log": True}, "low .* must be > 0 on a logarithmic scale"),
            ({"low": 1, "high": 9, "log": True, "step": 2}, "step .* must be left out beside log"),
            ({"low": 1, "high": 9, "step": 0.5}, "step .* must be an integer"),
            ({"low": 1, "high": 9, "step": 10}, r"step .* must be at most high - low \(8\)"),
            ({"low": 1}, "needs the parameter 'high'"),
            ({"low": 1, "hihg": 2}, "Did you mean 'high'"),
            ({"low": "a", "high": 2}, "low"),
        ],
    )
    def test_a_wrong_one_is_refused(self, given, rule):
        with pytest.raises(ConfigError, match=rule):
            SearchConfig(space={"strategy.alpha": given})


class TestSection:
    def test_the_written_configuration_loads_back_equal(self, tmp_path):
        config = loaded({**ALPHA, "features.audit_cuts": [0, 16], "trading": [{}, None]}, folds=2)
        path = tmp_path / "it.yaml"
        path.write_text(config_to_yaml(config))
        assert load_config(RunConfig, path) == config
        assert load_config(RunConfig, None, given=to_plain(config)) == config

    def test_a_key_on_the_command_line_may_have_its_dots(self):
        text = "search.space.strategy.alpha={low: 0.1, high: 10.0, log: true}"
        assert load_config(RunConfig, None, [text], given=LINEAR) == loaded(ALPHA)

    @pytest.mark.parametrize(
        ("space", "search", "rule"),
        [
            ({}, {}, "search.space: must be a mapping of at least one key"),
            ({"strategy.alpha": 3}, {}, r"a range \{low, high\}, or a list of values"),
            ({"strategy.alpha": []}, {}, r"a range \{low, high\}, or a list of values"),
            ({"strategy.alpha": [1.0, 2.0, 1.0]}, {}, "a list without duplicates"),
            (ALPHA, {"metric": "sharp"}, "Did you mean 'sharpe'"),
            (ALPHA, {"metric": "trades"}, "a metric of which more, or less, is better"),
            (ALPHA, {"sampler": "tpa"}, "Did you mean 'tpe'"),
            (ALPHA, {"trials": 0}, "trials"),
        ],
    )
    def test_a_wrong_one_is_refused(self, space, search, rule):
        with pytest.raises(ConfigError, match=rule):
            loaded(space, **search)

    def test_the_better_direction_is_that_of_the_metric(self):
        assert SearchConfig(ALPHA, metric="sharpe").maximizes
        assert not SearchConfig(ALPHA, metric="volatility").maximizes


class TestSpace:
    def test_a_sound_one_passes(self):
        check_space(loaded({**ALPHA, "features.columns.0.horizons": [[1], [1, 5]],
                            "trading.positions": [[0, 1], [-1, 0, 1]]}))  # fmt: skip
        check_space(load_config(RunConfig, None))

    @pytest.mark.parametrize(
        ("key", "given", "said"),
        [
            ("strategy.alhpa", [1.0], "search.space.'strategy.alhpa'.*Did you mean 'alpha'"),
            ("strateg.alpha", [1.0], "search.space.'strateg.alpha'.*Did you mean 'strategy'"),
            ("strategy.alpha", [1.0, "x"], "search.space.'strategy.alpha'.*must be a number"),
            ("strategy.alpha", {"low": -1.0, "high": 1.0}, "search.space.'strategy.alpha'"),
            ("trading.costs.spread_bps", {"low": 1.0, "high": 1e9}, "spread_bps"),
            ("strategy", ["linear", "lineer"], "Did you mean 'linear'"),
            ("seed", [1, 2], "a seed that is chosen for its result is luck"),
            ("data.params.path", ["a"], "all trials read the same bars"),
            ("split.test", [0.2, 0.3], "it says which bars no trial may see"),
            ("search.trials", [2, 3], "it is the search itself"),
            ("deployment.thresholds.min_sharpe", [0, 1], "no trial depends on it"),
        ],
    )
    def test_a_key_or_value_that_does_not_load_is_named(self, key, given, said):
        with pytest.raises(ConfigError, match=said):
            check_space(loaded({key: given}))

    def test_a_name_goes_before_the_parameters_that_it_brings(self):
        config = to_plain(loaded(ALPHA))
        found = trial_config(
            config, {"strategy.fast": 3, "strategy.name": "moving_average_crossover"}
        )
        assert found["strategy"]["fast"] == 3
        assert found["search"] is None


def test_a_file_names_the_line(tmp_path: Path):
    path = tmp_path / "it.yaml"
    path.write_text("strategy: {name: linear}\nsearch:\n  space:\n    strategy.alpha: {low: 3}\n")
    with pytest.raises(ConfigError, match=r"it.yaml:4: .*high"):
        load_config(RunConfig, path)


def test_the_reference_has_every_key_with_its_default():
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    rows = {row["key"].strip("`"): row["default"].strip("`") for row in tables(page)["Search"]}
    assert rows.pop("search") == "null"
    assert rows.pop("search.space") == "required"
    known = to_plain(SearchConfig(ALPHA))
    del known["space"]
    shown = {key: parse_yaml(text, str).value for key, text in rows.items()}
    assert shown == {f"search.{key}": value for key, value in known.items()}
