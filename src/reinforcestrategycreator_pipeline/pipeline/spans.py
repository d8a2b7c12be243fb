"""The bars, features and windows that three stages share, and the spans cut from them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from reinforcestrategycreator_pipeline.envs.span import MarketSpan, TradingRules
from reinforcestrategycreator_pipeline.features.store import FeatureSet
from reinforcestrategycreator_pipeline.market.bars import MarketData, read_bars
from reinforcestrategycreator_pipeline.market.windows import Window
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
    window : Window
        Training, validation and test spans.
    rules : TradingRules
        Positions, costs and reward.
    """

    data: MarketData
    features: FeatureSet
    window: Window
    rules: TradingRules

    @classmethod
    def read(cls, context: StageContext) -> Spans:
        """Read the artifacts `SPAN_INPUTS`."""
        windows = json.loads(context.path("windows").read_text(encoding="utf-8"))["windows"]
        return cls(
            read_bars(context.path("bars")),
            FeatureSet.read(context.path("features"), context.path("feature_spec")),
            Window.from_json(windows[-1]),
            context.config.trading,
        )

    def cut(self, name: str) -> MarketSpan:
        """Return the bars of ``"train"``, ``"validation"`` or ``"test"``."""
        span = dict(self.window.items())[name]
        return MarketSpan.cut(self.data, self.features, span, self.rules, name)
