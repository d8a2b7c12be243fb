"""Hooks of `make docs`: what the pages link to outside `docs/` becomes a page, too.

A Markdown file of the repository is included as it is, another text file as a code block, and a
notebook is turned into Markdown with its stored outputs. So the site needs no other host.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(\]\()([^()\s#]+)((?:#[^()\s]*)?\))")
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml"}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages for notebooks and for linked files of the repository."""
    pending = []
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            text = notebook(file.content_string)
            files.append(File.generated(config, page_of(f"docs/{file.src_uri}"), content=text))
        elif file.is_documentation_page():
            pending.append((f"docs/{file.src_uri}", file.content_string))
    while pending:
        place, text = pending.pop()
        for _, target, _ in LINK.findall(FENCE.sub("", text)):
            path = resolved(place, target)
            uri = page_of(path)
            if is_outside(path) and files.get_file_from_path(uri) is None:
                content = included(ROOT / path)
                made = File.generated(
                    config, uri, content=content, inclusion=InclusionLevel.NOT_IN_NAV
                )
                files.append(made)
                pending.append((path, content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point links at the pages that `on_files` made."""
    here = page.file.src_uri
    place = here.removeprefix("repository/") if here.startswith("repository/") else f"docs/{here}"
    if (ROOT / place.removesuffix(".md")).is_file():  # a page made from a file that is no Markdown
        place = place.removesuffix(".md")

    def moved(match: re.Match[str]) -> str:
        path = resolved(place, match[2])
        if "://" in match[2] or not (ROOT / path).exists():
            return match[0]
        uri = posixpath.relpath(page_of(path), posixpath.dirname(here))
        return f"{match[1]}{uri}{match[3]}"

    parts = re.split(f"({FENCE.pattern})", markdown, flags=FENCE.flags)
    return "".join(p if i % 2 else LINK.sub(moved, p) for i, p in enumerate(parts))


def resolved(place: str, target: str) -> str:
    """Return the path in the repository of what the file at `place` links to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(place), target))


def is_outside(path: str) -> bool:
    """Tell whether a path is that of a file of the repository outside `docs/`."""
    return not path.startswith(("docs/", "..")) and (ROOT / path).is_file()


def page_of(path: str) -> str:
    """Return where the site holds a file of the repository."""
    inside = path.startswith("docs/")
    uri = path.removeprefix("docs/") if inside else f"repository/{path}"
    if uri.endswith(".ipynb"):
        return uri.replace(".ipynb", ".md")
    return uri if inside or uri.endswith(".md") else f"{uri}.md"


def included(path: Path) -> str:
    """Return a file of the repository as Markdown."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    return f"# {path.name}\n\n```{LANGUAGES.get(path.suffix, 'text')}\n{text}```\n"


def notebook(text: str) -> str:
    """Return a notebook as Markdown, with the outputs that it holds."""
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            lines = output.get("text") or output["data"]["text/plain"]
            parts.append(f"```text\n{''.join(lines).rstrip()}\n```")
    return "\n\n".join(parts) + "\n"
