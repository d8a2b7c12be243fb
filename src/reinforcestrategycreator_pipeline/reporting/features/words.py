"""The words and tables of the view of a feature, for page and terminal."""

from __future__ import annotations

import math

from reinforcestrategycreator_pipeline.reporting.features.view import LAGS, FeatureView, Measure

COLUMNS = (
    "symbol",
    "column",
    "mean",
    "deviation",
    "lowest",
    "highest",
    "missing",
    *(f"lag {lag}" for lag in LAGS),
    "IC",
    "IC error",
    "t",
)
NOTE = (
    "Missing is the warm-up; lag 1, 5 and 20 are autocorrelations. IC, the information "
    "coefficient, is Spearman's rank correlation of the value at a close with the log return from "
    "that close to the next, its error Newey and West's, and t one over the other: of 20 columns "
    "without any information, one has a t beyond 2. Later bars, on which policies are selected and "
    "judged, are not used."
)


def row_of(measure: Measure) -> dict[str, str]:
    """Return the texts of a measure by `COLUMNS`."""
    found = measure.information
    texts = (
        measure.symbol,
        measure.column,
        *(f"{x:.4g}" for x in (measure.mean, measure.deviation, measure.low, measure.high)),
        f"{measure.missing:.1%}",
        *("n/a" if math.isnan(x) else f"{x:.2f}" for x in measure.autocorrelation),
        *(
            ("n/a", "n/a", "n/a")
            if found is None
            else (f"{found.value:+.3f}", f"{found.error:.3f}", f"{found.value / found.error:+.1f}")
        ),
    )
    return dict(zip(COLUMNS, texts, strict=True))


def title(view: FeatureView) -> str:
    """Return the feature with its parameters."""
    params = ", ".join(f"{key} {_text(value)}" for key, value in view.spec.params.items())
    return f"{view.spec.name} ({params})" if params else view.spec.name


def summary(view: FeatureView) -> str:
    """Return what was computed on what, as a sentence."""
    n, count = sum(map(len, view.frames.values())), len(view.frames)
    symbols = next(iter(view.frames)) if count == 1 else f"{count} symbols"
    return (
        f"On the {n:,} training bars of {symbols}, {view.span}; the first {view.lookback} of each "
        "have no value."
    )


def _text(value: object) -> str:
    if isinstance(value, dict):
        parts = (_text(v) if k == "name" else f"{k} {_text(v)}" for k, v in value.items())
        return " ".join(parts)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
