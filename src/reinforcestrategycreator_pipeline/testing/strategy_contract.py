"""The contract of strategies. Inherit `StrategyContract`, override `strategy`, and run."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.envs.grid import follow
from reinforcestrategycreator_pipeline.envs.span import AssetBars, MarketSpan, TradingRules
from reinforcestrategycreator_pipeline.errors import ConfigError, NonFiniteError
from reinforcestrategycreator_pipeline.features.inputs import Inputs
from reinforcestrategycreator_pipeline.policies.base import Policy, Work, load_policy
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.testing.trading_cases import DEAR, random_asset

GRID = (-1.0, 0.0, 0.5, 1.0)
INPUTS = Inputs(("f0", "f1", "f2"), 4, ({"name": "returns"},))


def asset_with_history(n: int, seed: int, symbol: str = "A", past: int = 130) -> AssetBars:
    """Return n bars of a random walk, with `past` bars before them."""
    whole = random_asset(n + past, seed, symbol)
    columns = {"open": whole.open, "close": whole.close}
    parts = (getattr(whole, name)[past:] for name in ("times", "open", "close", "features"))
    return AssetBars(symbol, *parts, columns)


def make_span(n: int = 120, seed: int = 0, grid=GRID, costs=DEAR) -> MarketSpan:
    """Return a span of two assets."""
    assets = (asset_with_history(n, seed, "A"), asset_with_history(n // 2, seed + 1, "B"))
    return MarketSpan(assets, INPUTS, TradingRules(grid, costs))


def cut(asset: AssetBars, bars: int) -> AssetBars:
    """Return the first bars of an asset."""
    gone = len(asset.times) - bars
    columns = {name: x[: len(x) - gone] for name, x in asset.columns.items()}
    parts = (getattr(asset, name)[:bars] for name in ("times", "open", "close", "features"))
    return AssetBars(asset.symbol, *parts, columns)


class StrategyContract:
    """The contract of a strategy, one test per promise."""

    @pytest.fixture
    def strategy(self):
        raise NotImplementedError("override the fixture strategy")

    @pytest.fixture
    def policy(self, strategy) -> Policy:
        return self.fitted(strategy)

    @staticmethod
    def fitted(strategy, seed: int = 3, folder=None, work: Work | None = None) -> Policy:
        work = work or Work(Seeds(seed), folder)
        policy: Policy = strategy.fit(make_span(), make_span(60, 7), work)
        return policy

    def test_its_configuration_is_a_frozen_dataclass(self, strategy):
        assert dataclasses.is_dataclass(strategy)
        assert type(strategy).__dataclass_params__.frozen
        assert dataclasses.replace(strategy) == strategy

    def test_a_table_has_a_target_of_the_grid_for_every_decision(self, policy):
        n = len(policy.positions)
        for bars in (2, 3, 90):
            table = policy.table(asset_with_history(bars, 5))
            assert table.shape == (bars - 1, n)
            assert np.issubdtype(table.dtype, np.integer)
            assert ((table >= 0) & (table < n)).all()
        assert 0.0 in policy.positions

    def test_needs_no_history(self, policy):
        assert len(policy.table(random_asset(40, 2))) == 39

    def test_it_reads_features_unless_it_says_that_it_does_not(self, policy):
        asset = asset_with_history(60, 9)
        if not policy.reads_features:
            none = dataclasses.replace(asset, features=asset.features[:, :0])
            chosen = policy.choose(none.features, none.columns)
            assert (chosen[:-1] == policy.table(asset)).all()

    def test_bar_by_bar_it_decides_as_in_the_table(self, policy):
        if not policy.causal:
            pytest.skip("knows the future")
        asset = asset_with_history(60, 9)
        table, past = policy.table(asset), len(asset.columns["close"]) - 60
        for t in range(59):
            bars = {name: x[: past + t + 1] for name, x in asset.columns.items()}
            one = [policy.decide(asset.features[t], i, bars) for i in range(len(policy.positions))]
            assert one == table[t].tolist()

    def test_bar_by_bar_it_is_as_sure_as_in_the_table(self, policy):
        asset = asset_with_history(60, 9)
        sure, past = policy.confidence_table(asset), len(asset.columns["close"]) - 60
        if sure is None:
            pytest.skip("does not say how sure it is")
        for t in range(59):
            bars = {name: x[: past + t + 1] for name, x in asset.columns.items()}
            for i in range(len(policy.positions)):
                one = policy.confidence_of(asset.features[t], i, bars)
                assert one == (sure.advantage_bps[t, i], sure.spread_bps[t, i])

    def test_it_says_of_every_decision_how_sure_it_is(self, policy):
        asset = asset_with_history(60, 9)
        sure, table = policy.confidence_table(asset), policy.table(asset)
        if sure is None:
            pytest.skip("does not say how sure it is")
        for values in sure:
            assert values.shape == table.shape
            assert values.dtype == np.float64
            assert np.isfinite(values).all()
        assert (sure.spread_bps >= 0).all()
        assert (sure.advantage_bps[table == np.arange(len(policy.positions))] == 0).all()

    def test_the_future_changes_no_past_decision(self, policy):
        if not policy.causal:
            pytest.skip("knows the future")
        asset, rng = asset_with_history(50, 11), np.random.default_rng(0)
        whole = policy.table(asset)
        for t in range(49):
            short = policy.table(cut(asset, t + 2))
            assert (short == whole[: t + 1]).all()
            changed = {name: x.copy() for name, x in asset.columns.items()}
            for x in changed.values():
                x[len(x) - 49 + t :] *= rng.uniform(0.5, 2.0, 49 - t)
            features = asset.features.copy()
            features[t + 1 :] += rng.normal(size=features[t + 1 :].shape)
            close, open_ = changed["close"][-50:], changed["open"][-50:]
            other = AssetBars("A", asset.times, open_, close, features, changed)
            assert (policy.table(other)[: t + 1] == whole[: t + 1]).all()

    def test_the_future_changes_no_past_confidence(self, policy):
        asset = asset_with_history(50, 11)
        whole = policy.confidence_table(asset)
        if whole is None:
            pytest.skip("does not say how sure it is")
        for t in range(49):
            for short, full in zip(policy.confidence_table(cut(asset, t + 2)), whole, strict=True):
                assert (short == full[: t + 1]).all()

    def test_the_same_seed_gives_the_same_bytes(self, strategy, tmp_path):
        for name in ("a", "b"):
            np.random.seed(len(name))  # noqa: NPY002 - the global generator must not matter
            self.fitted(strategy).save(tmp_path / name)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def test_spans_are_left_alone(self, strategy):
        train, twin = make_span(), make_span()
        strategy.fit(train, make_span(60, 7), Work(Seeds(0)))
        for a, b in zip(train.assets, twin.assets, strict=True):
            for name in ("times", "open", "close", "features"):
                np.testing.assert_array_equal(getattr(a, name), getattr(b, name))

    def test_saved_and_loaded_it_decides_the_same(self, policy, tmp_path):
        policy.save(tmp_path / "policy")
        again, asset = load_policy(tmp_path / "policy"), asset_with_history(80, 13)
        assert (again.positions, again.inputs) == (policy.positions, policy.inputs)
        assert (again.table(asset) == policy.table(asset)).all()
        again.save(tmp_path / "again")
        assert (tmp_path / "policy").read_bytes() == (tmp_path / "again").read_bytes()

    def test_no_order_is_made_of_a_nan(self, policy):
        if not policy.causal:
            pytest.skip("reads no features")
        bars = dict.fromkeys(("open", "close"), np.full(200, 10.0))
        with pytest.raises(NonFiniteError, match="no order"):
            policy.decide(np.array([0.0, np.nan, 0.0]), policy.flat, bars)

    @pytest.mark.parametrize("held", [-1, 99, True, 0.5])
    def test_a_previous_target_must_be_on_the_grid(self, policy, held):
        with pytest.raises(ConfigError, match="position index"):
            policy.decide(np.zeros(3), held, dict.fromkeys(("open", "close"), np.ones(200)))

    def test_it_says_what_decides_in_a_line(self, policy):
        assert policy.describe()
        assert "\n" not in policy.describe()

    def test_its_facts_and_history_are_fit_for_json(self, strategy):
        import json

        work = Work(Seeds(1))
        self.fitted(strategy, work=work)
        assert json.loads(json.dumps([work.facts, work.history]))

    def test_targets_follow_the_table_from_flat(self, policy):
        asset = asset_with_history(40, 17)
        path = follow(policy.table(asset), policy.flat)
        assert policy.targets(asset).tolist() == [policy.positions[i] for i in path]
