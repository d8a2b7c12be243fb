"""Order flow that bars let guess: who trades, how urgently, and what it does to the price."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reinforcestrategycreator_pipeline.checks import Strict, require
from reinforcestrategycreator_pipeline.features.base import FEATURES, Bars, FloatArray
from reinforcestrategycreator_pipeline.features.windows import (
    late,
    moving_mean,
    moving_means,
    over_windows,
    stack,
    sum_rows,
)
from reinforcestrategycreator_pipeline.limits import LongPeriod, Period

_STILL = 1e-12  # a log return of rounding alone
_LOG_LEAST = math.log(0.01)


@FEATURES.register("bulk_volume")
@dataclass(frozen=True)
class BulkVolume(Strict):
    """Imbalance of buying and selling by bulk volume classification.

    Of a bar's volume, the share N(r / s) was bought, where r is its log return, s the standard
    deviation of the last returns, and N the normal distribution function (Easley, Lopez de Prado
    and O'Hara 2012, Flow Toxicity and Liquidity in a High-Frequency World). Two
    columns: the volume bought less that sold, over the volume of the last bars, from -1 to 1; and
    the same of the sizes of the bars' imbalances, from 0 to 1, which for bars of equal volume is
    VPIN. Both are 0 without volume, or on a flat price.

    Parameters
    ----------
    period : int
        Number of bars, >= 1.
    deviation : int
        Number of returns whose population standard deviation, with their mean subtracted, is s;
        >= 2.
    """

    period: Period = 20
    deviation: LongPeriod = 60

    @property
    def lookback(self) -> int:
        return self.deviation + self.period - 1

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"bulk_imbalance_{self.period}", f"bulk_toxicity_{self.period}")

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, 2)."""
        close, volume = bars["close"], bars["volume"][1:]
        returns = np.log(close[1:] / close[:-1])
        size = over_windows(_deviation, self.deviation, returns)
        first = min(self.deviation - 1, len(returns))
        known, volume = size[first:], volume[first:]
        z = np.divide(returns[first:], known, out=np.zeros(len(known)), where=known > _STILL)
        # 2 N(z) - 1 = erf(z / sqrt(2))
        share = np.array([math.erf(x) for x in (z / math.sqrt(2.0)).tolist()])
        traded = moving_mean(volume, self.period)
        out = []
        for signed in (share, np.abs(share)):
            mean = moving_mean(signed * volume, self.period)
            found = np.divide(mean, traded, out=np.zeros(len(mean)), where=~(traded <= 0.0))
            out.append(late(found, first + 1)[: len(close)])
        return stack(out)


def _deviation(values: FloatArray) -> FloatArray:
    n = len(values)
    values -= sum_rows(values) / n
    return np.sqrt(sum_rows(np.square(values)) / n)


@FEATURES.register("money_flow")
@dataclass(frozen=True)
class MoneyFlow(Strict):
    """Place of the close in each bar's range, weighted by volume (Chaikin's money flow).

    The sum over the last bars of volume x ((close - low) - (high - close)) / (high - low), over
    their volume: from -1, sold into every close, to 1. A bar without a range counts as 0, and so
    does a window without volume.

    Parameters
    ----------
    period : int
        Number of bars, >= 1.
    """

    period: Period = 20

    @property
    def lookback(self) -> int:
        return self.period - 1

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"money_flow_{self.period}",)

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, 1)."""
        high, low, close, volume = (bars[name] for name in ("high", "low", "close", "volume"))
        spread = high - low
        moved = spread > _STILL * close
        inside = np.clip(close, low, high)  # a high may lie below the close by rounding
        place = np.divide(
            (inside - low) - (high - inside), spread, out=np.zeros(len(close)), where=moved
        )
        flow, traded = moving_mean(place * volume, self.period), moving_mean(volume, self.period)
        found = np.divide(flow, traded, out=np.zeros(len(close)), where=~(traded <= 0.0))
        return found[:, None]


@FEATURES.register("illiquidity")
@dataclass(frozen=True)
class Illiquidity(Strict):
    """Illiquidity against its longer past: the log of Amihud's measure, short over long.

    Amihud's measure is the mean, over bars with volume, of the size of the log return over the
    money traded, close x volume (Amihud 2002, Illiquidity and Stock Returns, equation 1; there
    by simple returns). Its level says as much about the unit of volume as about the market, so only
    its change is given. Less than 1% counts as 1%, more than 100 times as 100. Without volume or
    moves it is 0.

    Parameters
    ----------
    short : int
        Number of bars of the recent measure, >= 1.
    long : int
        Number of bars of the usual one, > `short`.
    """

    short: Period = 20
    long: LongPeriod = 250

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = f"larger than short, {self.short}"
        require(self.long > self.short, "Illiquidity", "long", rule, self.long)

    @property
    def lookback(self) -> int:
        return self.long

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"illiquidity_{self.short}_{self.long}",)

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, 1)."""
        close, volume = bars["close"], bars["volume"][1:]
        move = np.abs(np.log(close[1:] / close[:-1]))
        traded = volume > 0.0
        impact = np.divide(move, close[1:] * volume, out=np.zeros(len(move)), where=traded)
        periods = self.short, self.long
        means = [
            np.divide(total, count, out=np.zeros(len(move)), where=~(count <= 0.0))
            for total, count in zip(
                moving_means(impact, periods),
                moving_means(traded.astype(np.float64), periods),
                strict=True,
            )
        ]
        short, long = means
        known = ~((short <= 0.0) | (long <= 0.0))
        ratio = np.divide(short, long, out=np.ones(len(move)), where=known)
        return late(np.clip(np.log(ratio), _LOG_LEAST, -_LOG_LEAST))[:, None]


@FEATURES.register("price_impact")
@dataclass(frozen=True)
class PriceImpact(Strict):
    """Move of the price per signed volume, as Kyle's lambda is estimated from bars.

    The least-squares slope, through the origin, of the log return on the signed volume of the last
    bars: the lambda of Kyle 1985, Continuous Auctions and Insider Trading. The sign of a bar's
    volume is that of its close less its open, and volume is measured in the mean of the window. So
    the value is the move that goes with a bar of usual volume, all bought. It is 0 without volume,
    or on a flat price.

    Parameters
    ----------
    period : int
        Number of bars, >= 2.
    """

    period: LongPeriod = 60

    @property
    def lookback(self) -> int:
        return self.period

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"price_impact_{self.period}",)

    def compute(self, bars: Bars) -> FloatArray:
        """Return values of shape (T, 1), as fractions of the price."""
        close, n = bars["close"], self.period
        returns = np.log(close[1:] / close[:-1])
        move = np.log(close / bars["open"])[1:]
        signed = np.where(np.abs(move) > _STILL, np.sign(move), 0.0) * bars["volume"][1:]
        usual, product, square = moving_means(
            np.stack([bars["volume"][1:], returns * signed, np.square(signed)]), (n,)
        )[0]
        slope = np.divide(product, square, out=np.zeros(len(returns)), where=~(square <= 0.0))
        return late(slope * usual)[:, None]
