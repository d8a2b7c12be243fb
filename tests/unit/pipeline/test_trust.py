"""A name in a configuration, a run or a file loads code only from where the user allows it.

Every module that must not be loaded leaves a file `it_ran` when it is, and every function that must
not be called when it is called.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reinforcestrategycreator_pipeline import trust
from reinforcestrategycreator_pipeline.api.runs import Run
from reinforcestrategycreator_pipeline.cli.entry import run_app
from reinforcestrategycreator_pipeline.errors import ConfigError, RunError
from reinforcestrategycreator_pipeline.pipeline.config.loading import load_config
from reinforcestrategycreator_pipeline.pipeline.config.root import RunConfig
from reinforcestrategycreator_pipeline.pipeline.config.user_code import fingerprints
from reinforcestrategycreator_pipeline.registry import FAMILIES, Registry
from reinforcestrategycreator_pipeline.runs.manifest import load_manifest
from reinforcestrategycreator_pipeline.trust import allowing, may_load

RAN = "open({path!r}, 'w').close()\n"
PARTS = """
import os
from subprocess import run
from fractions import Fraction as Imported
import numpy as np
from reinforcestrategycreator_pipeline import feature, loss, reward

@feature
def gap(bars, days=1):
    return bars["close"] / bars["open"]

@reward
def cautious(growth):
    return np.log(growth)

def undeclared(*arguments, **more):
    open({path!r}, "w").close()

class Rule:
    def fit(self, train, validation, work): ...
"""

# Every key that holds a name, with a place for it.
ROADS = {
    "imports": "imports: [{module}]",
    "data.source": "data: {{source: '{name}'}}",
    "features.columns": "features: {{columns: ['{name}']}}",
    "features.columns.name": "features: {{columns: [{{name: '{name}', executable: /bin/sh}}]}}",
    "trading.reward": "trading: {{reward: '{name}'}}",
    "trading.reward.name": "trading: {{reward: {{name: '{name}'}}}}",
    "strategy": "strategy: '{name}'",
    "strategy.name": "strategy: {{name: '{name}', alpha: 1}}",
    "strategy.model": "strategy: {{name: dqn, model: '{name}'}}",
    **{
        key: f"strategy: {{{{name: dqn, hyperparameters: {{{{{key}: '{{name}}'}}}}}}}}"
        for key in ("loss", "head", "exploration_schedule", "learning_rate_schedule")
    },
    "loss.name": "strategy: {{name: dqn, hyperparameters: {{loss: {{name: '{name}'}}}}}}",
    "evaluation.benchmarks": "evaluation: {{benchmarks: ['{name}']}}",
    "deployment.broker": "deployment: {{broker: '{name}'}}",
    "thresholds.minimum": "deployment: {{thresholds: {{minimum: {{'{name}': 1}}}}}}",
    "thresholds.maximum": "deployment: {{thresholds: {{maximum: {{'{name}': 1}}}}}}",
}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder `here`, the current one, and a folder `there`, each with two modules."""
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(trust, "_LOADED", {})
    mark = {"path": str(tmp_path / "it_ran")}
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        parts = PARTS.replace("{path!r}", repr(mark["path"]))
        (tmp_path / place / f"trust_{place}.py").write_text(parts)
        (tmp_path / place / f"trust_{place}_bad.py").write_text(RAN.format(**mark))
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path
    assert not (tmp_path / "it_ran").exists()
    for name in [n for n in sys.modules if n.startswith("trust_")]:
        del sys.modules[name]


def refused(text: str, file: Path = Path("c.yaml")) -> str:
    file.write_text(text)
    with pytest.raises(ConfigError) as found:
        load_config(RunConfig, file)
    message = str(found.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


@pytest.mark.parametrize("road", ROADS)
def test_the_standard_library_is_closed_on_every_road(world: Path, road: str) -> None:
    for name in ("subprocess:run", "os:system", "os.path:os.system", "webbrowser:open"):
        text = ROADS[road].format(name=name, module=name.partition(":")[0])
        assert "a module of the standard library has no components" in refused(text)


@pytest.mark.parametrize("road", ROADS)
def test_a_configuration_from_elsewhere_loads_nothing(world: Path, road: str) -> None:
    file = world / "there" / "c.yaml"
    text = ROADS[road].format(name="trust_there_bad:f", module="trust_there_bad")
    message = refused(text, file)
    assert f"modules in {world / 'there'} are not trusted; if you trust them, add --" in message
    # Nor does it load what lies in the current folder, or in Python's way.
    sys.path.append(str(world / "there"))
    assert "are not trusted" in refused(text, file)
    text = ROADS[road].format(name="trust_here_bad:f", module="trust_here_bad")
    assert "cannot import 'trust_here_bad'" in refused(text, file)


@pytest.mark.parametrize("road", [road for road in ROADS if road != "imports"])
@pytest.mark.parametrize("name", ["undeclared", "run", "os.system"])
def test_what_is_not_declared_is_refused_on_every_road(world: Path, road: str, name: str) -> None:
    text = ROADS[road].format(name=f"trust_here:{name}", module="")
    message = refused(text)
    assert re_any(message, "is not declared as a", "cannot find", "it lacks", "must be a class or")


def re_any(text: str, *parts: str) -> bool:
    return any(part in text for part in parts)


def test_what_is_declared_in_the_current_folder_works(world: Path) -> None:
    Path("c.yaml").write_text(
        "features: {columns: ['trust_here:gap']}\ntrading: {reward: 'trust_here:cautious'}\n"
    )
    config = load_config(RunConfig, Path("c.yaml"))
    assert config.trading.reward is sys.modules["trust_here"].cautious
    overrides = ["strategy.name=dqn", "strategy.hyperparameters.loss=trust_here:gap"]
    with pytest.raises(ConfigError, match=r"Put @loss above it \(from reinforce\w+ import loss\)"):
        load_config(RunConfig, None, overrides)


def test_folders_are_allowed_by_the_caller_and_in_the_settings(world: Path) -> None:
    file = world / "there" / "c.yaml"
    file.write_text("trading: {reward: 'trust_there:cautious'}\n")
    with pytest.raises(ConfigError, match="are not trusted"):
        load_config(RunConfig, file)
    with allowing([world / "there"]):
        assert may_load("trust_there")
    (world / "settings" / "rsc").mkdir(parents=True)
    settings = world / "settings" / "rsc" / "trusted-folders"
    settings.write_text(f"# mine\n\n{world / 'there'}  # and my friend's\n/no/such/folder\n")
    assert load_config(RunConfig, file).trading.reward.__module__ == "trust_there"
    settings.write_text("there\n")
    with pytest.raises(ConfigError, match=r"trusted-folders:1: must be an absolute path. Got 'the"):
        load_config(RunConfig, file)
    settings.unlink()
    with pytest.raises(ConfigError, match="no such folder"), allowing([world / "nowhere"]):
        pass


def test_a_name_that_is_taken_is_not_ones_own_module(world: Path) -> None:
    for name in ("random.py", "numpy.py", "_trust_unused.py"):
        (world / "here" / name).write_text(RAN.format(path=str(world / "it_ran")))
    assert "standard library" in refused("imports: [random]")
    assert "is not declared" in refused("trading: {reward: 'numpy:exp'}")
    for name in ("", ".", "..here", "a b", "1", "../there/trust_there_bad", "trust_here_bad.py/x"):
        assert re_any(refused(f"imports: ['{name}']"), "not the name of a module", "cannot import")


def test_a_link_out_of_the_folder_is_not_followed(world: Path) -> None:
    bad = world / "there" / "trust_there_bad.py"
    (world / "here" / "trust_link.py").symlink_to(bad)
    (world / "here" / "trust_linked").symlink_to(world / "there")
    assert f"{bad} lies outside of" in refused("imports: [trust_link]")
    assert "outside of" in refused("imports: [trust_linked.trust_there_bad]")


def test_packages_are_not_imported_to_look_inside(world: Path) -> None:
    package = world / "there" / "trust_package"
    package.mkdir()
    (package / "__init__.py").write_text(RAN.format(path=str(world / "it_ran")))
    (package / "inner.py").write_text("")
    sys.path.append(str(world / "there"))
    text = "features: {columns: ['trust_package.inner:f']}"
    assert "are not trusted" in refused(text, world / "there" / "c.yaml")
    # A value that only looks like a name is not looked up at all.
    assert fingerprints({"path": "trust_package.inner:f"}) == {}


def test_an_installed_package_declares_its_components(world: Path, monkeypatch) -> None:
    site = world / "site"
    for name in ("trust_open", "trust_closed"):
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").write_text("")
        (site / name / "parts.py").write_text(PARTS.replace("{path!r}", "'it_ran'"))
        (site / f"{name}-1.0.dist-info").mkdir()
        (site / f"{name}-1.0.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
    points = f"[{trust.GROUP}]\nparts = trust_open.parts\n"
    (site / "trust_open-1.0.dist-info" / "entry_points.txt").write_text(points)
    monkeypatch.setattr(trust, "_libraries", lambda: (site,))
    sys.path.append(str(site))
    file = Path("c.yaml")
    assert "declares no components by an entry point" in refused("imports: [trust_open]")
    assert "declares no components" in refused("imports: [trust_closed.parts]")
    file.write_text("trading: {reward: 'trust_open.parts:cautious'}")
    assert load_config(RunConfig, file).trading.reward.__module__ == "trust_open.parts"
    # Metadata in the current folder declare nothing, even if Python looks there.
    shutil.copytree(site / "trust_open-1.0.dist-info", "trust_there_bad-1.0.dist-info")
    points = f"[{trust.GROUP}]\nbad = trust_there_bad\nmore = subprocess\n"
    Path("trust_there_bad-1.0.dist-info/entry_points.txt").write_text(points)
    sys.path[:] = [str(world / "here"), *sys.path, str(world / "there")]
    assert "are not trusted" in refused("imports: [trust_there_bad]")
    assert "standard library" in refused("imports: [subprocess]")


def test_environment_and_overrides_follow_the_same_rule(world: Path) -> None:
    for environ, sets in (
        ({"RSC_CONFIG__IMPORTS": "[subprocess]"}, ()),
        ({"RSC_CONFIG__TRADING__REWARD": "os:abort"}, ()),
        ({}, ("trading.reward=os:abort",)),
        ({}, ("imports=[antigravity]",)),
    ):
        with pytest.raises(ConfigError, match="a module of the standard library"):
            load_config(RunConfig, None, sets, environ)


def test_objects_that_the_user_passes_need_no_declaration() -> None:
    def own(growth):
        return growth - 1.0

    assert RunConfig(trading={"reward": own}).trading.reward is own
    config = load_config(RunConfig, None, given={"trading": {"reward": own}})
    assert config.trading.reward is own


def test_every_family_needs_a_declaration(world: Path) -> None:
    with allowing([world / "here"]):
        for family in FAMILIES:
            for name in ("undeclared", "run", "np.load", "os", "np", "gap.__globals__", "Imported"):
                with pytest.raises(ConfigError):
                    family.get(f"trust_here:{name}")


def test_a_class_is_declared_by_its_methods_where_it_is_defined(world: Path) -> None:
    plans: Registry = Registry("plan", ("fit",))
    with allowing([world / "here"]):
        assert plans.get("trust_here:Rule").__module__ == "trust_here"
    borrowed = "from trust_there import Rule\n"
    (world / "here" / "trust_here_too.py").write_text(borrowed)
    with allowing([world / "here", world / "there"]):
        assert plans.get("trust_here_too:Rule").__module__ == "trust_there"
    with (
        allowing([world / "here"]),
        pytest.raises(ConfigError, match="must be a class with fit, in a trusted module"),
    ):
        plans.get("trust_here_too:Rule")


# -- runs -----------------------------------------------------------------------------------------


def run_folder(world: Path, **changes: object) -> Path:
    """Return the folder of a run that names a module, as someone else could write it."""
    from reinforcestrategycreator_pipeline.pipeline.config.sections import to_plain
    from reinforcestrategycreator_pipeline.runs.manifest import Manifest, StageRecord

    folder = world / "here" / "runs" / "foreign"
    folder.mkdir(parents=True)
    config = {**to_plain(RunConfig()), "imports": ["trust_there_bad"], **changes}
    manifest = Manifest("foreign", 7, "0.1.0", config, folder=str(world / "there"))
    manifest.stages = {"evaluation": StageRecord("complete")}
    manifest.save(folder)
    (folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML
    for name in ("trust_there_bad.py", "trust_there.py"):
        shutil.copy(world / "there" / name, folder)
    return folder


def test_a_run_folder_from_elsewhere_loads_nothing(world: Path, capsys, monkeypatch) -> None:
    def rsc(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["rsc", *arguments])
        assert run_app() == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        return lines[0]

    run_folder(world)
    for run in ("foreign", "./runs/foreign"):
        with pytest.raises(ConfigError, match=f"modules in {world / 'there'} are not trusted"):
            Run.open(run).policy  # noqa: B018
        assert "are not trusted; if you trust them, add --trust" in rsc("run", "--resume", run)
    assert "are not trusted" in rsc("report", "foreign", "--render")


def test_the_module_option_keeps_the_current_folder_out(world: Path) -> None:
    for name in ("typer", "click", "rich"):
        Path(f"{name}.py").write_text(RAN.format(path=str(world / "it_ran")))
    command = [sys.executable, "-m", "reinforcestrategycreator_pipeline", "--version"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.startswith("rsc ")


def test_a_run_of_ones_own_is_remembered_at_its_place_alone(world: Path) -> None:
    folder = run_folder(world)
    created = load_manifest(folder).created
    assert trust.remembered(folder, created) == ()
    trust.remember(folder, created, [world / "there"])
    assert trust.remembered(folder, created) == (world / "there",)
    assert trust.remembered(folder, "another time") == ()
    shutil.copytree(folder, world / "here" / "runs" / "copy")
    assert trust.remembered(world / "here" / "runs" / "copy", created) == ()
    (note,) = (world / "state" / "rsc" / "runs").iterdir()
    for damage in ("", "[]", '{"run": 3}', '{"folders": 3, "run": "", "created": ""}'):
        note.write_text(damage)
        assert trust.remembered(folder, created) == ()


def test_without_a_place_for_the_note_nothing_is_remembered(world: Path, monkeypatch) -> None:
    (world / "state").write_text("a file")
    trust.remember(world, "now", [world])
    assert trust.remembered(world, "now") == ()


@pytest.mark.parametrize("name", ["manifest.json", "data", "evaluation/metrics.json"])
def test_a_link_in_a_run_folder_is_refused(world: Path, name: str) -> None:
    folder = run_folder(world)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(world / "there")
    with pytest.raises(RunError, match=rf"{name}: is a symbolic link"):
        Run.open("foreign")


def test_hints_for_the_names_of_modules(tmp_path: Path) -> None:
    (tmp_path / "own_part.py").write_text("import numpy as np\n\n\ndef gap(bars): ...\n")
    with allowing([tmp_path]):
        with pytest.raises(ConfigError, match=r"named without \.py: 'own_part'"):
            trust.load_object("own_part.py:gap")
        with pytest.raises(ConfigError, match=r"Valid names: gap\."):  # not numpy's name
            trust.load_object("own_part:nope")
