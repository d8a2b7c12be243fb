"""The examples of the page on jobs and engines run as they stand, in their order."""

import sys

from snippets import ROOT, snippets

from reinforcestrategycreator_pipeline.experiments.engines import base
from reinforcestrategycreator_pipeline.experiments.engines.catalog import ENGINES

PAGE = (ROOT / "docs" / "how-to" / "run-many-jobs.md").read_text(encoding="utf-8")


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    blocks = [s for s in snippets(PAGE) if s.language == "python"]
    assert len(blocks) == 5
    for block in blocks:
        if block.file:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
    names = {}
    for block in blocks[1:]:  # the first is a module
        exec(block.text, names)
        assert capsys.readouterr().out == (block.printed or ""), block.place
    (tmp_path / "means" / "mean-20.txt").unlink()
    names["engine"] = ENGINES.build({"name": "processes", "workers": 1})
    names["engine"].run(names["jobs"], names["Sentences"]())
    assert capsys.readouterr().out == "mean-20: 41 closes\n"
    # The closes are 90, 90.5, ..., 110: the last 20 have the mean (100.5 + 110) / 2.
    assert (tmp_path / "means" / "mean-20.txt").read_text() == "105.25"
    sys.modules.pop("my_jobs")


def test_the_page_names_every_engine_and_its_numbers():
    for name in ENGINES:
        assert f"| `{name}` |" in PAGE
    assert base.RETRIES == 3
    assert "each up to three times" in PAGE
    assert f"have {base.GRACE:.0f} seconds" in PAGE
