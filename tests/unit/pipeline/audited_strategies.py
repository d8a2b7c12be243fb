"""Strategies that know the future, and one that does not; named "audited_strategies:NAME"."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reinforcestrategycreator_pipeline.features.scaling import FittedScaler, ScalerConfig
from reinforcestrategycreator_pipeline.policies.base import Policy

FILE = Path("later.csv")
KEPT = {}


@dataclass(frozen=True, eq=False)
class SignPolicy(Policy):
    """Long where the scaled first feature is above its center."""

    scaler: FittedScaler

    def choose(self, features, bars):
        long = self.scaler.transform(features, np.float64)[:, 0] > 0
        return np.repeat(long.astype(int)[:, None], len(self.positions), axis=1)


@dataclass(frozen=True)
class Honest:
    def fit(self, train, validation, work):
        scaler = ScalerConfig().fit(np.concatenate([a.features for a in train.assets]))
        return SignPolicy(train.rules.positions, train.inputs, scaler)


class BatchPolicy(SignPolicy):
    """Long where the feature is above the mean of all rows that it is given."""

    def choose(self, features, bars):
        long = features[:, 0] > features[:, 0].mean()
        return np.repeat(long.astype(int)[:, None], len(self.positions), axis=1)


class NextRowPolicy(SignPolicy):
    """Long where the next row's feature is positive."""

    def choose(self, features, bars):
        long = np.append(features[1:, 0], 0.0) > 0
        return np.repeat(long.astype(int)[:, None], len(self.positions), axis=1)


@dataclass(frozen=True)
class ScalesTheBatch(Honest):
    def fit(self, train, validation, work):
        found = super().fit(train, validation, work)
        return BatchPolicy(found.positions, found.inputs, found.scaler)


@dataclass(frozen=True)
class ReadsTheNextRow(Honest):
    def fit(self, train, validation, work):
        found = super().fit(train, validation, work)
        return NextRowPolicy(found.positions, found.inputs, found.scaler)


@dataclass(frozen=True)
class ReadsTheFile(Honest):
    """Scales by a file, which holds the test bars, too."""

    def fit(self, train, validation, work):
        values = np.array([float(line) for line in FILE.read_text().split()])
        scaler = ScalerConfig().fit(values[:, None])
        return SignPolicy(train.rules.positions, train.inputs, scaler)


@dataclass(frozen=True)
class UsesWhatAFeatureKept(Honest):
    """Scales by all rows of the feature `keeps`, which a module remembers."""

    def fit(self, train, validation, work):
        scaler = ScalerConfig().fit(KEPT["all"][:, None])
        return SignPolicy(train.rules.positions, train.inputs, scaler)
