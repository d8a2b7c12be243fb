"""Planted faults of each kind are found, and what is sound is not accused."""

import importlib
import subprocess
import sys
import textwrap

import faulty_features
import numpy as np
import pytest

from reinforcestrategycreator_pipeline import feature
from reinforcestrategycreator_pipeline.errors import FeatureError
from reinforcestrategycreator_pipeline.features import audit, fresh
from reinforcestrategycreator_pipeline.features.base import FeatureSpec
from reinforcestrategycreator_pipeline.features.catalog import DEFAULT_FEATURES, build_feature
from reinforcestrategycreator_pipeline.features.fresh import FreshProcesses, Here
from reinforcestrategycreator_pipeline.features.landlock import restrict
from reinforcestrategycreator_pipeline.features.store import FeatureSet
from reinforcestrategycreator_pipeline.features.table import bars_of
from reinforcestrategycreator_pipeline.features.vetting import vet
from reinforcestrategycreator_pipeline.features.warm_up import settle
from reinforcestrategycreator_pipeline.testing.feature_contract import make_bars, with_halt

FRAME = make_bars(900, seed=3)
PROCESSES = FreshProcesses()


@pytest.fixture(scope="module", autouse=True)
def _data(tmp_path_factory):
    """Bars in files, where the fault's own process looks for them."""
    folder = tmp_path_factory.mktemp("later")
    FRAME.to_csv(folder / "later.csv")
    FRAME.to_parquet(folder / "later.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAULTY_FEATURES", str(folder))
        patch.setattr(faulty_features, "DATA", folder)
        yield
        PROCESSES.close()


def spec_of(name, **params):
    return FeatureSpec(f"faulty_features:{name}", params)


def findings(name, frame=FRAME, cuts=8, **params):
    return audit.audit_features(frame, [spec_of(name, **params)], cuts=cuts, processes=PROCESSES)


def checks(name, **params):
    return {finding.check for finding in findings(name, **params)}


# -- memory ---------------------------------------------------------------------------------------


def test_a_module_that_remembers_the_history_is_found():
    full = build_feature(spec_of("remembers_the_history")).compute(bars_of(FRAME))
    again = build_feature(spec_of("remembers_the_history")).compute(bars_of(FRAME[:500]))
    assert (again == full[:500]).all()  # so in one process no cut shows the leak
    assert {"truncation", "perturbation"} <= checks("remembers_the_history")


def test_a_scaler_of_the_first_call_is_found():
    faulty_features._scaler = None
    assert {"truncation", "perturbation"} <= checks("scales_by_the_first_call")
    # Another symbol's bars were the first here: what is computed here is of no use.
    faulty_features._scaler = (0.1, 0.2)
    assert "repetition" in checks("scales_by_the_first_call")


def test_random_values_are_found():
    (finding,) = findings("draws")
    assert "is computed from more than its bars: its row 0" in str(finding)
    assert "draw random numbers" in str(finding)


# -- files, hosts, programs -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("reads_csv", r"the open of '.*later.csv' \(faulty_features.py:\d+\)"),
        ("reads_if_it_can", r"the open of '.*later.csv'"),
        ("connects", r"the socket.connect of .*127.0.0.1.* \(faulty_features.py:\d+\)"),
        ("runs_a_program", r"the subprocess.Popen of 'true' \(faulty_features.py:\d+\)"),
    ],
)
def test_files_hosts_and_programs_are_denied_and_named(name, what):
    with pytest.raises(FeatureError, match=f"must use its bars alone, .* denied was {what}") as e:
        findings(name)
    assert "Load such data as side data" in str(e.value)


HAS_LANDLOCK = "from reinforcestrategycreator_pipeline.features.landlock import restrict as r\n"
HAS_LANDLOCK += "import sys; sys.exit(not r([], []))"


@pytest.mark.skipif(
    subprocess.run([sys.executable, "-c", HAS_LANDLOCK], check=False).returncode != 0,
    reason="the kernel has no Landlock",
)
def test_landlock_denies_files_to_compiled_code():
    with pytest.raises(FeatureError, match=r"later.parquet.*Permission denied.*only code"):
        findings("reads_parquet")


def test_the_confinement_by_audit_hook_alone(tmp_path):
    """In a process of its own, since a hook stays. Parts: reads, imports, a library's imports."""
    (tmp_path / "data.txt").write_text("1\n")
    (tmp_path / "neighbor.py").write_text("x = 1\n")
    (tmp_path / "bad_neighbor.py").write_text(f"x = open({str(tmp_path / 'data.txt')!r}).read()\n")
    script = textwrap.dedent(f"""
        import pkgutil, sys
        from reinforcestrategycreator_pipeline.features.confined import Confinement, library_folders
        sys.path.append({str(tmp_path)!r})
        c = Confinement(library_folders())
        c.armed = True
        import neighbor, wave, decimal
        assert not c.attempts, c.attempts
        for action in (
            lambda: open({str(tmp_path / "data.txt")!r}),
            lambda: open({str(tmp_path / "new.txt")!r}, "w"),
            lambda: __import__("bad_neighbor"),
            lambda: pkgutil.get_data("neighbor", "data.txt"),
            lambda: __import__("os").listdir({str(tmp_path)!r}),
            lambda: __import__("sqlite3").connect({str(tmp_path / "base")!r}),
        ):
            before = len(c.attempts)
            try:
                action()
            except PermissionError as error:
                assert "must use its bars alone" in str(error)
            assert len(c.attempts) == before + 1, (before, c.attempts)
        c.armed = False
        open({str(tmp_path / "data.txt")!r}).close()
    """)
    file = tmp_path / "script.py"
    file.write_text(script)
    done = subprocess.run([sys.executable, "-B", file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_package_that_is_installed_is_the_users_too(tmp_path):
    site = tmp_path / "site-packages" / "installed_features"
    site.mkdir(parents=True)
    (site / "__init__.py").write_text("")
    (site / "one.py").write_text(
        "from reinforcestrategycreator_pipeline import feature\n@feature\ndef opens(bars):\n"
        f"    open({str(tmp_path / 'later.csv')!r}).close()\n"
        "    return bars['close'] / bars['open']\n"
    )
    (tmp_path / "later.csv").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site.parent))
        importlib.import_module("installed_features.one")
        spec = FeatureSpec("installed_features.one:opens")
        with pytest.raises(FeatureError, match=r"the open of '.*later.csv' \(one.py:4\)"):
            audit.audit_features(FRAME, [spec], cuts=2, processes=PROCESSES)


def test_libraries_and_neighbors_may_be_imported_when_called():
    assert findings("imports_when_called") == ()


def test_restrict_says_no_where_there_is_no_landlock(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert restrict([], []) is False


def test_a_process_that_ends_or_never_answers_is_an_error(monkeypatch):
    with pytest.raises(FeatureError, match="ended its process by exit code 3"):
        findings("ends_its_process")
    monkeypatch.setattr(fresh, "_DEADLINE", 0.3)
    place = PROCESSES.place(spec_of("never_returns"))
    with pytest.raises(FeatureError, match=r"took more than 0.3 s"):
        list(place.compute([bars_of(FRAME)]))
    monkeypatch.undo()
    assert findings("side_column") == ()  # by new processes


def test_without_fork_every_computation_starts_an_interpreter(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('hides a library')")
    monkeypatch.chdir(tmp_path)
    with FreshProcesses(forks=False) as processes:
        place = processes.place(spec_of("guarded_ratio"))
        for _ in range(2):
            (values,) = place.compute([bars_of(FRAME)])
    (expected,) = Here(spec_of("guarded_ratio")).compute([bars_of(FRAME)])
    np.testing.assert_array_equal(values, expected)


def test_what_no_process_can_import_is_computed_here():
    @feature
    def inner(bars):
        return bars["close"] / bars["open"]

    faulty_features.inner = inner
    assert type(PROCESSES.place(spec_of("inner"))) is Here
    assert type(PROCESSES.place(spec_of("log_price"))) is fresh.Fresh
    assert type(PROCESSES.place(DEFAULT_FEATURES[0])) is Here
    assert findings("inner") == ()


# -- levels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["log_price", "dollar_volume", "above_a_price"])
def test_a_feature_that_a_later_split_or_dividend_changes_is_found(name):
    (finding,) = findings(name)
    assert "a later split or dividend changes its row" in str(finding)


@pytest.mark.parametrize("name", ["guarded_ratio", "side_column"])
def test_small_guards_and_side_data_pass(name):
    assert findings(name) == ()


# -- history --------------------------------------------------------------------------------------


def settled(name, frame=FRAME, **params):
    (spec,), notes = settle({"ACME": frame}, [spec_of(name, **params)], PROCESSES)
    return spec, notes


def test_an_exponential_mean_gets_the_history_that_it_needs():
    """By hand: (59/61)^n < 1e-7 / (deviation of some 5%) at n = 400 to 700."""
    frame = make_bars(1500, seed=5)
    spec, notes = settled("slow_mean", frame)
    found = spec.params["lookback"]
    assert 400 <= found <= 700
    assert notes == (
        f"feature 'faulty_features:slow_mean' needs a lookback of {found} bars, but states 60: "
        f"{found} is used.",
    )
    # Every row from its window alone is as from all bars, to what float32 keeps of an input.
    table = FeatureSet.compute({"ACME": frame}, [spec])
    assert table.inputs.lookback == found
    values = table.frames["ACME"]["slow_mean"].to_numpy()
    for row in range(found, 1500, 25):
        part = build_feature(spec).compute(bars_of(frame[row - found : row + 1]))
        assert abs(part[-1] - values[row - found]) < 1e-7 * values.std()
    assert audit.audit_features(frame, [spec], cuts=8, processes=PROCESSES) == ()


def test_a_dataclass_gets_it_too_and_keeps_its_parameters():
    spec, _ = settled("SlowMean", make_bars(900, seed=5), span=20)
    assert 130 <= spec.params["lookback"] <= 300
    built = build_feature(spec)
    assert (built.lookback, built.columns) == (spec.params["lookback"], ("slow_mean",))
    assert built.feature.span == 20


def test_a_stated_lookback_is_kept_if_it_is_enough():
    assert settled("guarded_ratio") == (spec_of("guarded_ratio", lookback=19), ())
    assert settled("guarded_ratio", lookback=50) == (spec_of("guarded_ratio", lookback=50), ())
    spec, notes = settled("slow_mean", make_bars(1500, seed=5), lookback=100)
    assert spec.params["lookback"] >= 400
    assert "but states 100" in notes[0]
    shipped = tuple(DEFAULT_FEATURES)
    assert settle({"ACME": FRAME}, shipped, PROCESSES) == (shipped, ())


def test_the_symbol_that_needs_most_counts():
    bars = {"ACME": make_bars(900, seed=5), "BIG": make_bars(900, seed=7)}
    one, other = (settled("slow_mean", frame, span=15)[0] for frame in bars.values())
    (both,), _ = settle(bars, [spec_of("slow_mean", span=15)], PROCESSES)
    needs = [spec.params["lookback"] for spec in (one, other)]
    assert min(needs) <= both.params["lookback"] <= max(needs)


@pytest.mark.parametrize("name", ["highest_ever", "on_balance_share"])
def test_cumulative_features_are_rejected_with_the_reason(name):
    with pytest.raises(
        FeatureError, match=r"ACME: .*more than 600 earlier.*a sum or maximum since"
    ):
        settled(name)


def test_a_parameter_named_lookback_cannot_state_it():
    with pytest.raises(FeatureError, match="lookback is one of its own parameters"):
        settled("own_lookback", make_bars(900, seed=5), lookback=20)


def test_a_leak_is_named_before_the_history_that_it_needs():
    with pytest.raises(FeatureError, match="looks ahead"):
        vetted("remembers_the_history")


def vetted(name, frame=FRAME, training=600, **params):
    end = frame.index[training - 1]
    specs = [spec_of(name, **params)]
    return vet({"ACME": frame}, specs, training_end=end, cuts=8, seed=0)


def test_bars_after_the_training_do_not_choose_the_lookback():
    frame = make_bars(900, seed=5)
    other = frame.copy()
    other.iloc[800:] *= 1000.0  # after which a mean remembers longer
    first, second = (vetted("slow_mean", bars, span=15) for bars in (frame, other))
    assert first == second
    assert first != vetted("slow_mean", other, training=900, span=15)


# -- rounding -------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [100.0, 60_000.0])
@pytest.mark.parametrize("name", ["fourier_convolution", "sign_of_fourier", "matrix_product"])
def test_rounding_is_no_look_ahead(name, level):
    frame = with_halt(make_bars(887, seed=6, level=level))  # 887 is prime: a transform's worst case
    assert findings(name, frame, cuts=24) == ()
    spec, notes = settled(name, frame)
    assert notes == ()
    assert audit.audit_features(frame, [spec], cuts=8, processes=PROCESSES) == ()


@pytest.mark.parametrize("name", ["leaks_little", "leaks_beside_an_outlier", "leaks_under_fourier"])
def test_a_leak_cannot_hide_under_the_tolerance(name):
    assert {"truncation", "perturbation"} <= checks(name)


def test_what_an_exponential_mean_keeps_of_other_prices_is_no_look_ahead():
    """A price that grows a thousandfold: an older one, replaced, still shows a little."""
    frame = make_bars(900, seed=5)
    growth = np.exp(np.linspace(0.0, 7.0, 900))
    for name in ("open", "high", "low", "close"):
        frame[name] *= growth
    frame.iloc[700:] *= 100.0
    (spec,), _ = settle({"ACME": frame[:700]}, [spec_of("slow_mean", span=15)], PROCESSES)
    found = audit.audit_features(frame, [spec], cuts=8, processes=PROCESSES)
    assert {f.check for f in found} <= {"lookback"}


def test_noise_that_could_hide_a_leak_is_found():
    assert "rounding" in checks("chaotic")


def test_single_bars_replaced_far_apart_find_what_few_cuts_miss():
    """One row in a hundred looks ahead; with the lookback known, every cut is tried."""
    import user_features  # noqa: F401 - the module of the other audit test

    spec = FeatureSpec("user_features:rare_leak", {"lookback": 0})
    found = audit.audit_features(FRAME, [spec], cuts=2, processes=PROCESSES)
    assert [(f.check, f.row, f.cut) for f in found] == [("perturbation", 37, 37)]
