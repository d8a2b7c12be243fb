"""Numbers of metrics as people read them; imports nothing."""

from __future__ import annotations


def format_value(unit: str, value: float) -> str:
    """Return a metric's number for people.

    Parameters
    ----------
    unit : str
        Unit of the metric, one of `Unit`.
    value : float
        Finite value of the metric.

    Returns
    -------
    str
        Formatted number: "12.34%" for the percent 0.1234, "1.23" (ratio), "1.20x" (multiple),
        "1,234.50" (money), "12" (count, bars).
    """
    if unit in ("count", "bars"):
        return f"{value:,.0f}"
    suffix = {"percent": "%", "multiple": "x"}.get(unit, "")
    number = value * 100 if unit == "percent" else value
    if abs(number) >= (1e15 if unit == "money" else 1e7):
        return f"{number:.3g}{suffix}"
    digits = 0 if abs(number) >= 1e4 and unit != "money" else 2
    text = f"{number:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")  # no "-0.00"
    return text + suffix
