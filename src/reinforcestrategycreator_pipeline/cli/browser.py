"""Pages shown in the user's browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from reinforcestrategycreator_pipeline.errors import RunError


def show(page: Path, what: str) -> None:
    """Open a page in the browser.

    Parameters
    ----------
    page : Path
        HTML file to show.
    what : str
        Word for the page in the error, such as ``"report"``.

    Raises
    ------
    RunError
        If there is no browser.
    """
    if not webbrowser.open(page.resolve().as_uri()):
        raise RunError(f"cannot open a browser; the {what} is {page}")
