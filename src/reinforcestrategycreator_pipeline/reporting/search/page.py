"""The page of a search, from its folder."""

from __future__ import annotations

from pathlib import Path

from reinforcestrategycreator_pipeline.files import write_text
from reinforcestrategycreator_pipeline.reporting.html import render_page
from reinforcestrategycreator_pipeline.reporting.search import words
from reinforcestrategycreator_pipeline.reporting.search.charts import (
    figures_of,
    in_order,
    inner_windows,
    trial_map,
)
from reinforcestrategycreator_pipeline.reporting.search.data import SearchData, read_search
from reinforcestrategycreator_pipeline.reporting.search.selection_words import choice
from reinforcestrategycreator_pipeline.runs.studies import STUDY_REPORT


def render_study(data: SearchData, config_yaml: str) -> str:
    """Return the page of a search; the same data give the same bytes.

    Parameters
    ----------
    data : SearchData
        Data of the search.
    config_yaml : str
        Its resolved configuration, as YAML.
    """
    mapped = trial_map(data)
    course = [picture for picture in (in_order(data), inner_windows(data)) if picture]
    return render_page(
        "search.html.j2",
        {"times": {}, "assets": [], "run": figures_of([*mapped, *course])},
        data=data,
        config_yaml=config_yaml,
        title=words.title(data),
        finding=words.finding(data),
        caveat=words.CAVEAT,
        tiles=words.tiles(data),
        map=mapped,
        map_note=words.MAP_NOTE,
        course=course,
        rows=words.trial_rows(data),
        windows=words.windows_shown(data),
        errors=words.failures(data),
        **choice(data),
        space=words.space_rows(data),
        facts=words.facts(data),
        terms=words.terms(data),
    )


def write_study_page(study_dir: Path, config_yaml: str) -> None:
    """Write the page of a search into its folder, replacing an existing one.

    Raises
    ------
    RscError
        If the search cannot be read, or the page cannot be written.
    """
    page = render_study(read_search(study_dir), config_yaml)
    write_text(study_dir / STUDY_REPORT, page)
