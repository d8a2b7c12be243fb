"""Folds against scikit-learn, purgedcv and skfolio: as frozen, and where they are installed."""

import json

import numpy as np
import pytest
from foreign import FROZEN
from foreign_folds import COMBINATIONS, KFOLDS, all_pictures, key

from reinforcestrategycreator_pipeline.errors import DataError
from reinforcestrategycreator_pipeline.experiments import folds


@pytest.fixture(scope="module", params=["frozen", "installed"])
def theirs(request):
    if request.param == "frozen":
        return json.loads((FROZEN / "folds.json").read_text("utf-8"))
    for package in ("skfolio", "purgedcv"):
        pytest.importorskip(package, reason=f"{package} is of the extra 'oracles'")
    return all_pictures()


def equal(splits, pictures):
    """Whether the index sets are exactly those of the pictures."""
    assert len(splits) == len(pictures)
    for split, drawn in zip(splits, pictures, strict=True):
        marks = np.array(list(drawn))
        np.testing.assert_array_equal(split.train, np.flatnonzero(marks == "="))
        np.testing.assert_array_equal(split.test, np.flatnonzero(marks == "#"))
        assert split.train.dtype == split.test.dtype == np.int64


def compare(make, case, pictures):
    """Compare the splits; where theirs has nothing to train on, ours must be an error."""
    if all("=" in drawn for drawn in pictures):
        equal(make(*case), pictures)
        return True
    with pytest.raises(DataError, match="leave none where"):
        make(*case)
    return False


@pytest.mark.parametrize("case", sorted({case[:2] for case in KFOLDS}), ids=key)
def test_kfold_without_purging_is_that_of_scikit_learn(theirs, case):
    equal(folds.purged_kfold(*case), theirs["kfold"][key(case)])


def test_purged_kfold_is_that_of_purgedcv(theirs):
    cases = [compare(folds.purged_kfold, c, theirs["purged_kfold"][key(c)]) for c in KFOLDS]
    assert sum(cases) > 80
    assert not all(cases)


def test_combinations_are_those_of_skfolio(theirs):
    cases = [
        compare(folds.combinatorial_purged, c, theirs["combinatorial"][key(c)])
        for c in COMBINATIONS
    ]
    assert sum(cases) > 50
    assert not all(cases)


@pytest.mark.parametrize("case", sorted({case[1:3] for case in COMBINATIONS}), ids=key)
def test_paths_are_those_of_skfolio(theirs, case):
    assert folds.backtest_paths(*case).tolist() == theirs["paths"][key(case)]
