"""The evidence for a run's answer: the test among all that was tried, and the look."""

from __future__ import annotations

from reinforcestrategycreator_pipeline.backtesting.metrics.catalog import MAIN_METRICS
from reinforcestrategycreator_pipeline.backtesting.results import PORTFOLIO
from reinforcestrategycreator_pipeline.envs.span import MarketSpan
from reinforcestrategycreator_pipeline.files import sha256_bytes
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
from reinforcestrategycreator_pipeline.pipeline.progress import Bars
from reinforcestrategycreator_pipeline.pipeline.stage import StageContext
from reinforcestrategycreator_pipeline.policies.walk_forward import WalkForward
from reinforcestrategycreator_pipeline.runs.manifest import load_manifest, now
from reinforcestrategycreator_pipeline.seeding import Seeds
from reinforcestrategycreator_pipeline.verdict.answer import STRONG, WEAK
from reinforcestrategycreator_pipeline.verdict.chance import against_chance
from reinforcestrategycreator_pipeline.verdict.family import family_of
from reinforcestrategycreator_pipeline.verdict.free import free_sharpe
from reinforcestrategycreator_pipeline.verdict.judgement import Judgement, Tested
from reinforcestrategycreator_pipeline.verdict.looks import Look, fingerprint, sketch_of


def held_against_chance(
    context: StageContext, turns: WalkForward, test: MarketSpan, hashes: list[str], bars: Bars
) -> Tested:
    """Compare the policies, and all others that were tried on these bars, with chance."""
    family = family_of(context.run_dir, test, fingerprint(hashes), turns.starts)
    chance, p = against_chance(
        turns,
        test,
        Seeds(context.seed).generator("verdict/orders"),
        (STRONG, WEAK),
        family.rivals,
        progress=lambda done, total: bars.show("orders of bars", done, total),
    )
    return Tested(chance, family.adjusted(p), family.size, free_sharpe(test))


def look_of(
    context: StageContext, test: MarketSpan, judgement: Judgement, policies: list[str]
) -> Look:
    """Return the entry of this evaluation in the ledger of looks."""
    config: RunConfig = context.config
    bars = {
        a.symbol: [sha256_bytes(x.tobytes()) for x in (a.times, a.open, a.close)]
        for a in test.assets
    }
    conditions = {
        "data": bars,
        "policy": policies,
        "trading": to_plain(config.trading),
        "thresholds": to_plain(config.deployment.thresholds),
    }
    own = judgement.metrics[PORTFOLIO][judgement.strategy]
    manifest = load_manifest(context.run_dir)
    return Look(
        run=context.run_dir.name,
        started=manifest.created,
        time=now(),
        config=fingerprint(to_plain(config)),
        start=min(a.timestamps[0] for a in test.assets).isoformat(),
        end=max(a.timestamps[-1] for a in test.assets).isoformat(),
        symbols=tuple(bars),
        conditions={name: fingerprint(part) for name, part in conditions.items()},
        bars=sketch_of(test),
        figures={key: own[key].value for key in MAIN_METRICS},
        promoted=judgement.decision.promoted,
        sentence=judgement.decision.sentence,
        trial=manifest.trial,
    )
