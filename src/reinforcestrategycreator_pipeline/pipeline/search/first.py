"""The search with which a run begins, and which chooses its configuration."""

from __future__ import annotations

from pathlib import Path

from reinforcestrategycreator_pipeline.errors import RunError
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.search.space import trial_config
from reinforcestrategycreator_pipeline.pipeline.search.studies import Search
from reinforcestrategycreator_pipeline.pipeline.search.work import best_trial
from reinforcestrategycreator_pipeline.runs.artifacts import STUDIES
from reinforcestrategycreator_pipeline.runs.folder import check_run_id, new_run_id
from reinforcestrategycreator_pipeline.runs.manifest import Manifest, jsonable
from reinforcestrategycreator_pipeline.runs.studies import STUDY, load_study


def search_first(search: Search, run_dir: Path, manifest: Manifest, config: RunConfig) -> RunConfig:
    """Run the search of a run, or what is missing of it, and return the best configuration.

    The name of the search is in the run's manifest before the search begins, and the name of the
    best trial is put there. A search that was extended meanwhile keeps its number of trials.

    Parameters
    ----------
    search : Search
        Engine and console.
    run_dir : Path
        Folder of the run, which is locked.
    manifest : Manifest
        Manifest of the run.
    config : RunConfig
        Configuration with the search.

    Raises
    ------
    RscError
        If the search cannot go on, or if none of its trials can be run.
    """
    if not manifest.study:
        manifest.study = new_run_id()
        manifest.save(run_dir)
    study_dir = run_dir.parent / STUDIES / check_run_id(manifest.study)
    if (study_dir / STUDY).is_file():
        config = load_config(RunConfig, None, (), given=load_study(study_dir).config)
        search.resume(study_dir, config)
    else:
        folder = Path(manifest.folder) if manifest.folder else None
        search.start(config, run_dir.parent, folder, study_dir.name)
    if config.search is None:
        raise RunError(f"{study_dir / STUDY}: has no search. Start a new run.")
    best = best_trial(study_dir, config.search)
    manifest.trial = f"{study_dir.name}/{best.number}"
    chosen = trial_config(to_plain(config), best.parameters)
    return load_config(RunConfig, None, (), given=chosen)


def require_its_search(config: RunConfig, manifest: Manifest) -> None:
    """Require that a run is resumed with the search with which it began.

    Parameters
    ----------
    config : RunConfig
        Configuration with which the run is to be resumed.
    manifest : Manifest
        Manifest of the run.

    Raises
    ------
    RunError
        If keys of a run change that is still in its search, or if a run is given a search later.
    """
    if config.search is not None and jsonable(to_plain(config)) != manifest.config:
        raise RunError(
            f"the run {manifest.run_id!r} keeps the search with which it began, and all other keys "
            "until that is complete. Continue it without changes, or start a new run."
        )
