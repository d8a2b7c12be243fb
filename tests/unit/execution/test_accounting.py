"""The accounting kernel against cases worked by hand."""

import numpy as np
import pytest

from reinforcestrategycreator_pipeline.execution.accounting import (
    RUIN_GROWTH,
    BarPrices,
    bar_growth,
    bar_outcome,
    exposure_at_close,
    prices_of,
)
from reinforcestrategycreator_pipeline.execution.costs import CostConfig
from reinforcestrategycreator_pipeline.testing.trading_cases import FREE

# Round figures, so that a pencil is enough: fills are 1% from the open (half of a spread of 1%,
# and 0.5% of slippage), the commission is 1% of the fill.
ROUND = CostConfig(
    commission_bps=100.0,
    spread_bps=100.0,
    slippage_bps=50.0,
    borrow_bps_per_year=365.0,
    margin_bps_per_year=730.0,
)
DAYS = 1.0 / 365.0


def bar(open_tm1, close_tm1, open_t, close_t, years=0.0):
    return BarPrices(*(np.float64(x) for x in (open_tm1, close_tm1, open_t, close_t, years)))


def test_costs_of_one_unit():
    # Bought: pay 1.01 for the fill and 1% of that as commission: 1.0201. Sold: receive 0.99 less
    # 1% of it: 0.9801.
    assert ROUND.fill_offset == pytest.approx(0.01, rel=1e-15)
    assert ROUND.buy_cost == pytest.approx(0.0201, rel=1e-13)
    assert ROUND.sell_cost == pytest.approx(0.0199, rel=1e-13)
    assert ROUND.borrow_rate == pytest.approx(0.0365, rel=1e-15)
    assert ROUND.margin_rate == pytest.approx(0.073, rel=1e-15)


def test_buy():
    # 102.01 of cash, the open is at 10. A share costs 10 * 1.01 * 1.01 = 10.201, so that all the
    # cash buys 10 shares: worth 100 at the open, cost 2.01. At the close, at 11, they are 110.
    out = bar_outcome(bar(9, 9.5, 10, 11), 0.0, 1.0, ROUND)
    assert out.traded == pytest.approx(100 / 102.01, rel=1e-14)
    assert out.trading_cost == pytest.approx(2.01 / 102.01, rel=1e-13)
    assert out.growth == pytest.approx(110 / 102.01, rel=1e-14)
    assert out.equity_at_open == 1.0
    assert out.exposure_at_open == 0.0
    assert out.carrying_cost == 0.0
    assert not out.ruined


def test_sell():
    # 10 shares, 100 at the close at 10. At the open, at 12, they are 120; sold for
    # 10 * 12 * 0.99 * 0.99 = 117.612, which is all there is; the close does not matter.
    out = bar_outcome(bar(10, 10, 12, 77), 1.0, 0.0, ROUND)
    assert out.equity_at_open == pytest.approx(1.2, rel=1e-15)
    assert out.exposure_at_open == pytest.approx(1.0, rel=1e-15)
    assert out.traded == pytest.approx(-1.2, rel=1e-15)
    assert out.trading_cost == pytest.approx(0.02388, rel=1e-13)
    assert out.growth == pytest.approx(1.17612, rel=1e-14)


def test_flip_from_long_to_short():
    # 10 shares at an open of 10: equity 100. Sell 10 + n for 9.801 each, with 10 n the value of
    # the short and the whole equity: 9.801 (10 + n) - 10 n = 10 n, so n = 98.01 / 10.199
    # = 9.609765...; equity after is 10 n. At the close, at 9, the short has gained n.
    n = 98.01 / 10.199
    out = bar_outcome(bar(10, 10, 10, 9), 1.0, -1.0, ROUND)
    assert out.traded == pytest.approx(-(10 + n) / 10, rel=1e-14)
    assert out.trading_cost == pytest.approx((100 - 10 * n) / 100, rel=1e-13)
    assert out.growth == pytest.approx(11 * n / 100, rel=1e-14)


def test_short_over_a_weekend_with_a_gap():
    # Equity 100, short 10 shares at the close at 10, with 200 of cash. Three days to the next
    # close at 3.65% a year of the 100 borrowed: 100 * 0.0365 * 3 / 365 = 0.03. The open is at 11:
    # 200 - 0.03 - 110 = 89.97 of equity, exposure -110 / 89.97.
    # Target -1 again: buy n at 11 * 1.0201 = 11.2211: 11 (10 - n) = 199.97 - 11.2211 n
    # - 11 (10 - n), so 110 - 11 n = 89.97 - 0.2211 n, n = 20.03 / 10.7789. Close at 10.
    n = 20.03 / 10.7789
    cash = 199.97 - 11.2211 * n
    out = bar_outcome(bar(10, 10, 11, 10, 3 * DAYS), -1.0, -1.0, ROUND)
    assert out.carrying_cost == pytest.approx(0.0003, rel=1e-12)
    assert out.equity_at_open == pytest.approx(0.8997, rel=1e-14)
    assert out.exposure_at_open == pytest.approx(-110 / 89.97, rel=1e-14)
    assert out.traded == pytest.approx(11 * n / 100, rel=1e-13)
    assert out.trading_cost == pytest.approx(0.2211 * n / 100, rel=1e-12)
    assert out.growth == pytest.approx((cash - 10 * (10 - n)) / 100, rel=1e-14)


def test_short_drifts_before_it_is_carried():
    # -1 set at the open at 10 on 100: 10 shares short, 200 of cash. Close at 12: equity 80,
    # short 120, exposure -1.5. A day's fee on 120 at 3.65%: 0.012, of 80: 0.00015.
    out = bar_outcome(bar(10, 12, 12, 12, DAYS), -1.0, 0.0, ROUND)
    assert out.carrying_cost == pytest.approx(0.00015, rel=1e-12)


def test_leverage_pays_interest_on_what_is_borrowed():
    # Exposure 2 at the open and the close at 10 on 100: 20 shares, 100 borrowed. Ten days at 7.3%:
    # 0.2. Open at 9.5: 190 - 100 - 0.2 = 89.8. Sell all at 9.5 * 0.9801 = 9.31095: 186.219 - 100.2.
    out = bar_outcome(bar(10, 10, 9.5, 9.5, 10 * DAYS), 2.0, 0.0, ROUND)
    assert out.carrying_cost == pytest.approx(0.002, rel=1e-12)
    assert out.equity_at_open == pytest.approx(0.898, rel=1e-14)
    assert out.growth == pytest.approx(0.86019, rel=1e-14)


def test_no_interest_below_full_exposure_nor_for_cash():
    for exposure in (0.0, 0.3, 1.0):
        out = bar_outcome(bar(10, 10, 10, 10, 1.0), exposure, exposure, ROUND)
        assert out.carrying_cost == pytest.approx(0.0, abs=1e-16)
        assert out.growth == pytest.approx(1.0, rel=1e-15)


def test_fees_run_from_close_to_close_on_the_old_position_alone():
    # The new short pays nothing until the next close; the old flat pays nothing at all.
    out = bar_outcome(bar(10, 10, 10, 10, 1.0), 0.0, -1.0, ROUND)
    assert out.carrying_cost == 0.0


def test_half_drifts():
    # 0.5 set at 10 on 100: 5 shares and 50 of cash. Close at 14: 70 + 50, exposure 70 / 120.
    assert exposure_at_close(0.5, 10.0, 14.0) == pytest.approx(70 / 120, rel=1e-15)
    # Open at 16: 80 + 50 of 120, exposure 80 / 130; back to half: sell 15 for nothing.
    # Close at 8: the 65 of shares are 32.5, and 65 of cash.
    out = bar_outcome(bar(10, 14, 16, 8), 0.5, 0.5, FREE)
    assert out.equity_at_open == pytest.approx(130 / 120, rel=1e-15)
    assert out.exposure_at_open == pytest.approx(80 / 130, rel=1e-15)
    assert out.traded == pytest.approx(-15 / 120, rel=1e-14)
    assert out.growth == pytest.approx(97.5 / 120, rel=1e-15)


def test_ruin_by_a_gap():
    # Short 10 shares at 10 with 200 of cash: at an open at 20 the equity is nothing. The close at
    # 1 would have saved it, but nobody carries the position there.
    out = bar_outcome(bar(10, 10, 20, 1), -1.0, -1.0, FREE)
    assert out.ruined
    assert out.growth == RUIN_GROWTH
    assert out.traded == 0.0
    assert out.trading_cost == 0.0
    assert not bar_outcome(bar(10, 10, 19.99, 19.99), -1.0, -1.0, FREE).ruined


def test_ruin_within_a_session():
    # Short at the open at 10, close at 20.
    out = bar_outcome(bar(10, 10, 10, 20), 0.0, -1.0, FREE)
    assert out.ruined
    assert out.growth == RUIN_GROWTH
    # The order itself was filled.
    assert out.traded == -1.0
    # At the next bar the account is flat: nothing is left to move or to owe.
    assert exposure_at_close(-1.0, 10.0, 20.0) == 0.0
    after = bar_outcome(bar(10, 20, 40, 80, 1.0), -1.0, 0.0, ROUND)
    assert after.growth == 1.0


def test_ruin_by_the_cost_of_covering():
    # Short 2 on 1 at the close at 10: 20 shares per 100, 300 of cash. Open at 14.9: equity 2,
    # but covering 298 costs 2.01% of it, 5.99.
    out = bar_outcome(bar(10, 10, 14.9, 14.9), -2.0, 0.0, ROUND)
    assert out.ruined
    assert out.growth == RUIN_GROWTH
    # Debts are limited to the stake: the cost is what there was.
    assert out.trading_cost == pytest.approx(0.02, rel=1e-12)


@pytest.mark.parametrize(("previous", "target"), [(4.0, 3.0), (-4.0, -3.0)])
def test_position_that_costs_more_to_close_than_there_is_makes_no_money(previous, target):
    # Closing 4 at half of its value costs 2 of an equity of 1: lost. The closed form alone gives
    # E' = (1 - 0.5 * 4) / (1 - 0.5 * 3) = 2, a doubling.
    half = CostConfig(5_000 - 1e-9, 0.0, 0.0, 0.0, 0.0)
    out = bar_outcome(bar(10, 10, 10, 10), previous, target, half)
    assert out.growth == RUIN_GROWTH
    assert out.ruined
    assert out.trading_cost == 1.0


def test_growth_alone_is_the_outcomes_growth():
    prices = bar(10, 11, 12, 13, DAYS)
    assert bar_growth(prices, -1.0, 2.0, ROUND) == bar_outcome(prices, -1.0, 2.0, ROUND).growth


def test_prices_of_pairs_each_bar_with_the_next():
    prices = prices_of(np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0]), np.array([7.0, 8.0]))
    assert [x.tolist() for x in prices] == [
        [1.0, 2.0],
        [4.0, 5.0],
        [2.0, 3.0],
        [5.0, 6.0],
        [7.0, 8.0],
    ]


def test_money_comes_in_at_the_open_before_the_trade():
    # Long 100 of 100, gap to 120; 80 come in. 200 with 120 in shares: buy the rest, 1% of it.
    out = bar_outcome(bar(10, 10, 12, 15), 1.0, 1.0, ROUND, deposit=0.8)
    assert out.equity_at_open == pytest.approx(2.0)
    assert out.exposure_at_open == pytest.approx(0.6)
    after = (2.0 + 1.2 * ROUND.buy_cost) / (1 + ROUND.buy_cost)
    assert out.traded == pytest.approx(after - 1.2)
    assert out.trading_cost == pytest.approx(2.0 - after)
    assert out.growth == pytest.approx(after * 15 / 12)


def test_money_that_leaves_is_paid_by_a_sale():
    # Long 120 of 120 after the gap; 20 leave: 100, of which 120 are in shares; sell.
    out = bar_outcome(bar(10, 10, 12, 12), 1.0, 1.0, ROUND, deposit=-0.2)
    assert out.exposure_at_open == pytest.approx(1.2)
    after = (1.0 - 1.2 * ROUND.sell_cost) / (1 - ROUND.sell_cost)
    assert out.growth == pytest.approx(after)
    assert out.traded == pytest.approx(after - 1.2)


def test_a_deposit_adds_to_the_stake_of_which_a_millionth_is_ruin():
    out = bar_outcome(bar(10, 10, 10, 20), 0.0, -1.0, FREE, deposit=3.0)
    assert out.ruined
    assert out.growth == 4 * RUIN_GROWTH
    # What would take all is ruin, whatever is left on paper.
    out = bar_outcome(bar(10, 10, 10, 10), 1.0, 1.0, FREE, deposit=-1.0)
    assert out.ruined
    assert out.growth == RUIN_GROWTH


def test_no_deposit_is_a_deposit_of_nothing_to_the_bit():
    for p, q in [(0.0, 1.0), (1.0, -1.0), (-1.0, 0.5)]:
        plain = bar_outcome(bar(10, 10.3, 11.7, 12.9, 0.01), p, q, ROUND)
        none = bar_outcome(bar(10, 10.3, 11.7, 12.9, 0.01), p, q, ROUND, deposit=0.0)
        assert [float(x) for x in plain] == [float(x) for x in none]
