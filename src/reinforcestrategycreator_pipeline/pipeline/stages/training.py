"""Stage 3: train on the exogenous market of the training span; the best checkpoint goes on."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from reinforcestrategycreator_pipeline.envs.exogenous import ExogenousMarket
from reinforcestrategycreator_pipeline.files import write_json, write_text
from reinforcestrategycreator_pipeline.market.bars import read_bars
from reinforcestrategycreator_pipeline.models.base import MODELS, Model
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import plain
from reinforcestrategycreator_pipeline.pipeline.config.user_code import fingerprints
from reinforcestrategycreator_pipeline.pipeline.dataset import read_features, tradable
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext
from reinforcestrategycreator_pipeline.policies.dqn_training import (
    MarketTrainer,
    Row,
    history_columns,
)
from reinforcestrategycreator_pipeline.storage.checkpoints import CheckpointStore


class Training:
    """``bars``, ``features`` -> ``policy``, ``history``, ``training_summary``."""

    name = "training"
    inputs: tuple[str, ...] = ("bars", "features", "feature_spec")
    outputs: tuple[str, ...] = ("policy", "history", "training_summary")

    def section(self, config: RunConfig) -> Any:
        """Return trading, model and training, and the code from outside that they name."""
        parts = {part: plain(getattr(config, part)) for part in ("trading", "model", "training")}
        return {**parts, "code": fingerprints([config.trading.reward, config.model.name])}

    def run(self, context: StageContext) -> None:
        """Train, or continue from the newest sound checkpoint."""
        config: RunConfig = context.config
        trading = config.trading
        data = read_bars(context.path("bars"))
        features = read_features(context.path("features"), context.path("feature_spec"))
        spans = {name: tradable(data, features, name) for name in ("train", "validation")}
        for span in spans.values():
            for sentence in span.skipped:
                context.log.warning("symbol left out", reason=sentence)
        market = ExogenousMarket(
            spans["train"].assets, trading.positions, trading.costs, trading.reward
        )
        validation = ExogenousMarket(
            spans["validation"].assets,
            trading.positions,
            trading.costs,
            trading.reward,
            market.reward_scale,
        )
        model = build_model(config)
        with _progress(context.console) as progress:
            task = progress.add_task(
                "training", total=config.training.steps, loss="", validation="", speed=""
            )

            def show(row: Row) -> None:
                progress.update(task, completed=row["step"], **_texts(row))  # type: ignore[arg-type]

            trainer = MarketTrainer(
                model,
                market,
                validation,
                config.training,
                context.seed,
                CheckpointStore(context.scratch("checkpoints")),
                show,
            )
            if context.resume:
                for sentence in trainer.resume():
                    context.console.print(f"skipped a damaged checkpoint: {sentence}", markup=False)
                    context.log.warning("checkpoint skipped", reason=sentence)
                context.log.info("training resumed", step=trainer.step)
                progress.update(task, completed=trainer.step)
            result = trainer.run()
        sha256 = model.save(context.path("policy"))
        write_history(context.path("history"), result.history)
        summary = {
            "steps": result.steps,
            "stopped_early": result.stopped_early,
            "best_step": result.best_step,
            "best_validation_growth": result.best_validation_growth,
            "reward_scale": market.reward_scale,
            "loss_floor": trainer.loss_floor(),
            "policy_content_sha256": sha256,
            "skipped": [s for span in spans.values() for s in span.skipped],
        }
        write_json(context.path("training_summary"), summary)
        context.summary.update(summary)
        context.log.info("trained", **summary)


def build_model(config: RunConfig) -> Model:
    """Return the configured model, not yet built."""
    chosen: Any = MODELS.get(config.model.name)
    model: Model = chosen(
        {
            "hyperparameters": dataclasses.asdict(config.model.hyperparameters),
            "seed": config.seed,
            "dtype": config.model.dtype,
            **config.model.options,
        }
    )
    return model


def write_history(path: Path, rows: list[Row]) -> None:
    """Write the history as CSV; a value that a row does not have is left empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, history_columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _progress(console: Any) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TextColumn("validation {task.fields[validation]}"),
        TextColumn("{task.fields[speed]} steps/s"),
        TimeRemainingColumn(),
        console=console,
        transient=False,
    )


def _texts(row: Row) -> dict[str, str]:
    """Return the fields of the progress bar that a row of the history changes."""
    loss, speed = row["loss"], row["steps_per_second"]
    texts = {"loss": f"{loss:.4g}", "speed": f"{speed:,.0f}"}
    growth = row["validation_growth"]
    if growth is not None:
        texts["validation"] = f"{growth:+.1%}"
    return texts
