"""All vendors: importing this module registers them."""

from __future__ import annotations

from reinforcestrategycreator_pipeline.market.vendors import (  # noqa: F401  registers them
    alpaca,
    ccxt_exchange,
    duckdb_files,
    massive,
    sql,
    stooq,
    tiingo,
    yahoo,
)
from reinforcestrategycreator_pipeline.market.vendors.base import VENDORS

__all__ = ["VENDORS"]
