"""ReinforceStrategyCreator: from market data to a trading strategy, with an honest verdict."""

__version__ = "0.1.0"
