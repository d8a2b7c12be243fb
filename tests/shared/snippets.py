"""The fenced snippets of a Markdown page.

A snippet whose first line is a comment with a file's name, ``# my.yaml``, is that file. A ``text``
snippet directly behind a Python one is what that prints.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# (\w+\.(?:py|yaml))\n")


@dataclass(frozen=True)
class Snippet:
    """One fenced block.

    Attributes
    ----------
    language : str
        What the fence says; "" if nothing.
    text : str
        With its last line end.
    place : str
        ``page:line`` of its first line.
    file : str or None
        Whose content it is.
    printed : str or None
        What it prints, if the page shows it.
    """

    language: str
    text: str
    place: str
    file: str | None
    printed: str | None


def pages() -> list[Path]:
    """Return all pages for people."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def snippets(page: str, name: str = "page") -> list[Snippet]:
    """Return the fenced blocks of a page's text."""
    found = list(_FENCE.finditer(page))
    result = []
    for i, match in enumerate(found):
        language, text = match.groups()
        following = found[i + 1] if i + 1 < len(found) else None
        printed = None
        if language == "python" and following and following[1] == "text":
            between = page[match.end() : following.start()]
            printed = following[2] if not between.strip() else None
        line = page.count("\n", 0, match.start()) + 2
        file = _FILE.match(text)
        result.append(Snippet(language, text, f"{name}:{line}", file[1] if file else None, printed))
    return result


def commands(snippet: Snippet) -> list[str]:
    """Return the lines of a shell snippet, continued ones joined, comments left out."""
    joined = snippet.text.replace("\\\n", " ")
    lines = (re.sub(r"(^|\s)#.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]


def prose(page: str) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", page)


def links(page: str) -> list[str]:
    """Return the targets of all links and pictures that do not leave the repository."""
    found = re.findall(r"\]\(([^()\s]+)\)", prose(page))
    found += re.findall(r'(?:src|href)="([^"]+)"', prose(page))
    return [t for t in found if not re.match(r"[a-z]+:", t)]


def anchors(page: str) -> set[str]:
    """Return the names of a page's headings, as links write them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def tables(page: str) -> dict[str, list[dict[str, str]]]:
    """Return the rows of each table, keyed by the heading above it."""
    result: dict[str, list[dict[str, str]]] = {}
    heading, columns = "", None
    for line in prose(page).splitlines():
        if line.startswith("#"):
            heading, columns = line.lstrip("# "), None
        elif not line.startswith("|"):
            columns = None
        else:
            cells = [c.strip() for c in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
            if columns is None:
                columns = cells
            elif set(line) - set("|-: "):
                result.setdefault(heading, []).append(dict(zip(columns, cells, strict=True)))
    return result
