"""The statistics of a choice among trials, in plain sentences."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from reinforcestrategycreator_pipeline.reporting.search.data import SearchData
from reinforcestrategycreator_pipeline.reporting.search.selection import (
    DRAWS,
    Deflated,
    Overfit,
    Selection,
    Superior,
)

NOTE = (
    "These figures describe the search on its own bars and decide nothing: whether there is an "
    "edge is decided by the verdict of a run, on bars that no trial has seen."
)


class SelectionRow(NamedTuple):
    """One statistic: its name, value, what it says, and its convention."""

    name: str
    text: str
    says: str
    convention: str


def compared(found: Selection) -> str:
    """Say which trials and bars the statistics are about."""
    trials = "One complete trial is"
    if found.compared > 1:
        trials = f"The {found.compared:,} complete trials are"
    text = f"{trials} compared on the {found.bars:,} bars that they have in common."
    if found.compared == 1:
        text = f"{trials} judged on its {found.bars:,} bars."
    if not found.early:
        return text
    one = found.early == 1
    what = "trial that ended early is" if one else "trials that ended early are"
    return (
        f"{text} {found.early:,} {what} left out, with fewer bars: those that were left to finish "
        "had done well before, which makes the figures look somewhat better than they are."
    )


def choice(data: SearchData | None) -> dict[str, Any]:
    """Return the values of the macro ``selection_table``, all empty without the statistics."""
    found = None if data is None else data.selection
    if found is None:
        return {"choice": [], "compared": "", "choice_note": ""}
    return {"choice": selection_rows(found), "compared": compared(found), "choice_note": NOTE}


def selection_rows(found: Selection) -> list[SelectionRow]:
    """Return the statistics as rows of a table."""
    return [_superior(found), _deflated(found), _overfit(found)]


def _superior(found: Selection) -> SelectionRow:
    name, value = "Better than cash (Hansen's test)", found.superior
    if not isinstance(value, Superior):
        return _missing(name, value)
    if value.leader < 0:
        return _missing(name, "the returns of no trial vary")
    one = found.compared == 1
    none = "the trial had no" if one else f"none of the {found.compared:,} trials had a"
    best = "it would look" if one else "the best of them would look"
    says = (
        f"If {none} mean return above that of cash, {best} at least as good as here in about "
        f"{value.p:.1%} of such histories."
    )
    if value.leader != found.best:
        says += f" Best by this measure, mean over its error, is trial {value.leader}."
    convention = (
        "Consistent p-value, studentized, of the largest mean return net of costs; cash earns 0. "
        f"{DRAWS:,} draws of the stationary bootstrap with a mean block of {value.block:.3g} bars, "
        "the median of the automatic lengths of the trials (Hansen 2005)."
    )
    return SelectionRow(name, f"p {value.p:.2g}", says, convention)


def _deflated(found: Selection) -> SelectionRow:
    name, value = "Deflated Sharpe ratio", found.deflated
    if not isinstance(value, Deflated):
        return _missing(name, value)
    if math.isnan(value.probability):
        return _missing(name, "returns of this shape leave the ratio no variance")
    luck = "no skill would have 0"
    if value.trials > 1:
        luck = f"the best of {value.trials:,} trials without skill would reach {value.expected:.4f}"
    says = (
        f"Trial {found.best} has a Sharpe ratio of {value.sharpe:.4f} per bar, where {luck}: with "
        "that as its true ratio, it would show a lower one than it did in "
        f"{value.probability:.1%} of histories."
    )
    convention = (
        "Per bar, not annualized; the number of trials includes those that ended early, as if all "
        "were independent; the variance of their ratios is that of the complete ones, and that of "
        "the ratio is the one at the null, with skewness, kurtosis and autocorrelation (Bailey and "
        "López de Prado 2014)."
    )
    return SelectionRow(name, f"{value.probability:.1%}", says, convention)


def _overfit(found: Selection) -> SelectionRow:
    name, value = "Probability of overfitting", found.overfit
    if not isinstance(value, Overfit):
        return _missing(name, value)
    says = (
        "The trial that is best in one half of the time is below the median in the other half in "
        f"{value.probability:.1%} of {value.partitions:,} ways to halve it; trials without skill "
        "have 50% on average, and one search of them anything from 20% to 80%."
    )
    convention = (
        f"Combinatorially symmetric cross-validation with {value.blocks} blocks, by Sharpe ratio; "
        "a rank on the median counts one half (Bailey et al. 2017)."
    )
    return SelectionRow(name, f"{value.probability:.1%}", says, convention)


def _missing(name: str, why: str) -> SelectionRow:
    return SelectionRow(name, "—", f"Not computed: {why}.", "")
