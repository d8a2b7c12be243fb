"""Stable-baselines3's PPO on the market: `pip install stable-baselines3` beside the extra `gym`.

A planted market, where the next return follows a visible signal: there is something to learn. The
first 4,000 bars are learned from, the last 1,000 are new to it.
"""

import gymnasium
import numpy as np
import pandas as pd
from stable_baselines3 import PPO  # pyright: ignore[reportMissingImports]

import reinforcestrategycreator_pipeline.envs.trading_env  # noqa: F401 - registers it
from reinforcestrategycreator_pipeline.envs.span import AssetBars

POSITIONS = (-1.0, 0.0, 1.0)


def planted(bars: int, seed: int = 0) -> AssetBars:
    """Return daily bars whose sessions follow a signal that is known at the close before."""
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal(bars)
    session = 0.004 * np.roll(signal, 1) + 0.008 * rng.standard_normal(bars)
    close = 100.0 * np.exp(session.cumsum())
    times = pd.date_range("2000-01-03", periods=bars, freq="D", tz="UTC").as_unit("ns").asi8
    return AssetBars("PLANTED", times, close * np.exp(-session), close, signal[:, None])


def part(bars: AssetBars, of: slice) -> AssetBars:
    """Return some of the bars."""
    return AssetBars(bars.symbol, bars.times[of], bars.open[of], bars.close[of], bars.features[of])


def make(bars: AssetBars, start: str = "first") -> gymnasium.Env:
    """Return the registered environment; its mean reward per bar is in percent."""
    return gymnasium.make(
        "rsc/Trading-v0", bars=bars, positions=POSITIONS, reward_scale=100.0, start=start
    )


def growth(model: PPO, bars: AssetBars) -> float:
    """Return the multiple of its money that a model makes of the bars."""
    env, over = make(bars), False
    state, info = env.reset(seed=0)
    before = info["equity"]
    while not over:
        action, _ = model.predict(state, deterministic=True)
        state, _, terminated, truncated, info = env.step(int(action))
        over = terminated or truncated
    return float(info["equity"] / before)


def train(steps: int = 30_000) -> tuple[PPO, float]:
    """Learn, and return the model with what it makes of the new bars."""
    bars = planted(5_000)
    old, new = part(bars, slice(0, 4_000)), part(bars, slice(4_000, None))
    learning = gymnasium.wrappers.TimeLimit(make(old, "random"), 250)
    model = PPO("MlpPolicy", learning, seed=0, n_steps=1_000, gamma=0.5, device="cpu")
    return model.learn(steps), growth(model, new)


if __name__ == "__main__":
    _, made = train()
    print(f"1,000 new bars: {made:.2f} times the money, net of costs")
