"""The bars, features and windows that three stages share, and the spans cut from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from reinforcestrategycreator_pipeline.envs.span import MarketSpan, TradingRules
from reinforcestrategycreator_pipeline.features.joining import joined
from reinforcestrategycreator_pipeline.features.store import FeatureSet
from reinforcestrategycreator_pipeline.market.bars import MarketData, read_bars
from reinforcestrategycreator_pipeline.market.windows import Span, Window, Windows
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext

SPAN_INPUTS = ("bars", "features", "feature_spec", "windows")


@dataclass(frozen=True, eq=False)
class Spans:
    """The market of a run.

    Attributes
    ----------
    data : MarketData
        Bars of all spans.
    features : FeatureSet
        Features of these bars.
    windows : Windows
        Training, validation and test spans of each window.
    rules : TradingRules
        Positions, costs and reward.
    """

    data: MarketData
    features: FeatureSet
    windows: Windows
    rules: TradingRules

    @classmethod
    def read(cls, context: StageContext) -> Spans:
        """Read the artifacts `SPAN_INPUTS` of a stage."""
        return cls.load({name: context.path(name) for name in SPAN_INPUTS}, context.config.trading)

    @classmethod
    def load(cls, paths: Mapping[str, Path], rules: TradingRules) -> Spans:
        """Read the artifacts `SPAN_INPUTS` from their paths."""
        features = FeatureSet.read(paths["features"], paths["feature_spec"])
        data = read_bars(paths["bars"])
        bars = joined(data.bars, features.inputs.parsed())
        return cls(
            replace(data, bars={symbol: bars[symbol] for symbol in features.frames}),
            features,
            Windows.from_json(json.loads(paths["windows"].read_text(encoding="utf-8"))),
            rules,
        )

    def cut(self, span: Span, name: str) -> MarketSpan:
        """Return the bars of a span, which has a name in messages."""
        return MarketSpan.cut(self.data, self.features, span, self.rules, name)

    def fitted(self, window: Window) -> tuple[MarketSpan, MarketSpan]:
        """Return the bars of a window's training and validation span."""
        return self.cut(window.train, "train"), self.cut(window.validation, "validation")

    @cached_property
    def test(self) -> MarketSpan:
        """The bars of all test spans."""
        return self.cut(self.windows.test, "test")
