"""All vendors: importing this module registers them."""

from __future__ import annotations

from reinforcestrategycreator_pipeline.market.vendors import stooq  # noqa: F401  registers it
from reinforcestrategycreator_pipeline.market.vendors.base import VENDORS

__all__ = ["VENDORS"]
