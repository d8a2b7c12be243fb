"""Write what statsmodels makes of the mean and of the regression of `newey_west_cases`.

    pip install statsmodels==0.15.0
    python tests/unit/statistics/frozen/newey_west_figures.py

It writes `newey_west_figures.json` beside this file, with the versions; the tests read that alone.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from newey_west_cases import CASES, returns_of  # noqa: E402


def figures(seed, n):
    """Estimates, standard errors and one-sided p-values, with Newey and West's lags of 1994."""
    import numpy as np
    import statsmodels.api as sm

    own, hold = returns_of(seed, n)
    lags = int(4 * (n / 100) ** (2 / 9))
    found = {}
    for name, y, x in (
        ("mean", own - hold, np.ones(n)),
        ("regression", own, sm.add_constant(hold)),
    ):
        options = {"maxlags": lags, "use_correction": False}
        fit = sm.OLS(y, x).fit(cov_type="HAC", cov_kwds=options, use_t=False)
        halves = fit.pvalues / 2
        one_sided = np.where(fit.params > 0, halves, 1 - halves)
        found[name] = {
            "value": fit.params.tolist(),
            "error": fit.bse.tolist(),
            "p": one_sided.tolist(),
        }
    return found


if __name__ == "__main__":
    import statsmodels

    made = {"statsmodels": statsmodels.__version__}
    made["cases"] = {f"{seed}-{n}": figures(seed, n) for seed, n in CASES}
    text = json.dumps(made, indent=1) + "\n"
    (HERE / "newey_west_figures.json").write_text(text, encoding="utf-8")
