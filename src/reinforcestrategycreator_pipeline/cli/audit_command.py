"""``rsc audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from reinforcestrategycreator_pipeline.cli.options import ConfigOption, SetOption, TrustOption

_COLUMNS = {
    "warm-up": ("warm-up",),
    "truncation": ("truncation",),
    "perturbation": ("perturbation",),
    "stream": ("lookback",),
    "level": ("level",),
    "stress": ("stress",),
    "inputs": ("repetition", "rounding", "files", "clock", "environment", "computation"),
    "foresight": ("foresight",),
}
"""Columns of the table of features, and the checks of each."""
_BY_CUT = ("truncation", "perturbation", "lookback")


def audit(
    config: ConfigOption = None,
    overrides: SetOption = None,
    features: Annotated[
        list[str] | None,
        typer.Option(
            "--feature",
            "-f",
            metavar="NAME",
            help="Audit this feature, 'module:function' or a name from 'rsc list features', in "
            "place of those of the configuration, and no strategy. May be repeated.",
        ),
    ] = None,
    cuts: Annotated[
        int | None,
        typer.Option(
            "--cuts",
            metavar="N",
            help="Number of cuts per feature and symbol. Default: all, if the time allows.",
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="S", help="Time that the audit may take, about.")
    ] = 60.0,
    newest: Annotated[
        int | None,
        typer.Option("--newest", metavar="N", help="Audit the newest N bars of each symbol."),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", help="Number of processes.")
    ] = 2,
    to_json: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Also write all checks and findings as JSON."),
    ] = None,
    trust: TrustOption = None,
) -> None:
    """Prove a configuration free of look-ahead on its data; exit code 1 if it is not.

    Every feature is computed again after every bar, from the bars up to there alone, in processes
    that have never seen a later one; with other later bars; from its lookback alone, as a stream
    does; and at other price levels. What came beside the prices, what is trained, what is decided
    and what is filled must not change with later bars either.
    """
    from reinforcestrategycreator_pipeline.api.audits import audit as audit_
    from reinforcestrategycreator_pipeline.api.console import output
    from reinforcestrategycreator_pipeline.files import write_json

    found = audit_(
        config,
        features=features or None,
        overrides=overrides or (),
        cuts=cuts,
        seconds=seconds,
        newest=newest,
        workers=workers,
        trust=trust or (),
        progress=True,
    )
    if to_json is not None:
        write_json(to_json, found.to_json())
    _show(output(), found)
    if not found.passed:
        raise typer.Exit(1)


def _show(console: Any, found: Any) -> None:
    """Print the checks by feature, the other checks, the findings, and what it comes to."""
    from reinforcestrategycreator_pipeline.cli.results import print_fields, print_rows

    subjects = dict.fromkeys(x.subject for x in (*found.proofs, *found.faults))
    features = [s for s in subjects if s.startswith("feature ")]
    by_check = {(p.subject, p.check): p for p in found.proofs}
    faults = {(f.subject, f.check) for f in found.faults}
    if features:
        known = {*by_check, *faults}
        shown = {
            title: checks
            for title, checks in _COLUMNS.items()
            if any((s, c) in known for s in features for c in checks)
        }
        print_rows(
            console,
            [
                {"feature": s.removeprefix("feature ")}
                | {
                    title: _cell(
                        next((by_check[s, c] for c in checks if (s, c) in by_check), None),
                        any((s, c) in faults for c in checks),
                    )
                    for title, checks in shown.items()
                }
                for s in features
            ],
        )
    others = [p for p in found.proofs if p.subject not in features]
    lines = [(p.subject, _line(p, (p.subject, p.check) in faults)) for p in others]
    print_fields(console, lines)
    lines = [("note", note) for note in found.notes]
    lines += [("finding", f"{fault}.") for fault in found.faults]
    print_fields(console, [*lines, ("audit", f"{found}, in {found.seconds:.0f} s")])


def _cell(proof: Any, is_found: bool) -> str:
    """Return a check of a feature as a cell: how many cuts, and whether all."""
    if is_found:
        return "FOUND"
    if proof is None:
        return "-"
    if proof.check == "warm-up":
        return f"{proof.tried:,}"
    if proof.check not in _BY_CUT:
        return "ok"
    if proof.complete:
        return f"all {proof.tried:,}"
    return f"{proof.tried:,} of {proof.possible:,}"


def _line(proof: Any, is_found: bool) -> str:
    """Return another check as a sentence."""
    if not proof.tried:
        return f"{proof.check}: not done, {proof.how}"
    count = f"all {proof.tried:,}" if proof.complete else f"{proof.tried:,} of {proof.possible:,}"
    return f"{proof.check}: {'FOUND' if is_found else 'ok'}, {proof.how} ({count})"
