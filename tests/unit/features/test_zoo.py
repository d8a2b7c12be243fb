"""Every planted leak is found, no honest feature is accused, and the table of both is true."""

import re

import pytest
import zoo

from reinforcestrategycreator_pipeline.features import audit, stress, tolerance

CUTS, DRAWN = 12, {"perturbation", "stress"}


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    found = zoo.Zoo(tmp_path_factory.mktemp("zoo"))
    with pytest.MonkeyPatch.context() as patch:
        # The cuts are enough, and quicker.
        patch.setattr(audit, "_COMBS", 0)
        patch.setattr(audit, "_SUSPECTS", 1)
        patch.setattr(stress, "_MOST", 8)
        yield found.audited
    found.close()


ROWS = {
    name: [mark.strip() == "x" for mark in marks.split("|")[:9]]
    for name, marks in re.findall(r"^\| `(\w+)` \|((?:[ x]*\|){9})", zoo.PAGE.read_text(), re.M)
}


@pytest.mark.parametrize("name", zoo.LEAKS)
def test_leak_is_found_as_the_table_says(audited, name, monkeypatch):
    monkeypatch.setattr(tolerance, "JITTERS", 1)  # no rounding is to be explained
    cuts = None if name in zoo.RARE else CUTS
    checks = {fault.check for fault in audited("leak_zoo", name, cuts).faults}
    shown = {check for check, mark in zip(zoo.DETECTORS, ROWS[name], strict=True) if mark}
    assert checks
    # What is drawn at the cuts, which are others here, may find it or not.
    assert checks - DRAWN == shown - DRAWN


@pytest.mark.parametrize("name", zoo.HONEST)
def test_honest_feature_is_not_accused(audited, name):
    assert audited("honest_zoo", name, CUTS).faults == []


def test_the_page_lists_the_whole_zoo():
    assert len(zoo.LEAKS) >= 40
    assert len(zoo.HONEST) >= 40
    shown = {n: {c for c, x in zip(zoo.DETECTORS, ROWS[n], strict=True) if x} for n in zoo.LEAKS}
    assert zoo.page(shown) == zoo.PAGE.read_text(encoding="utf-8")
