"""The pages on a phone: nothing is wider than the screen but tables, which scroll in their boxes.

The rules are read from the pages and the style sheet; where Chromium is installed, it lays the
pages out as well.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from compared import a_run, compared
from test_report_html import render_html
from test_search_page import TRIALS, search

from reinforcestrategycreator_pipeline.reporting.comparison.page import render_comparison
from reinforcestrategycreator_pipeline.reporting.html import _source
from reinforcestrategycreator_pipeline.reporting.search.page import render_study

LONG = "strategy.ensemble.hyperparameters.a_name_that_no_phone_can_show_in_one_line"
VOID = {"meta", "link", "br", "img", "input", "hr"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""


@pytest.fixture(scope="module")
def pages(report_kit):
    """A run's report, and a search over a key with a long name."""
    data = report_kit.with_screening(report_kit.with_chance(report_kit.with_confidence(
        report_kit.build(bars=300)
    )), ((LONG, 0.25), ("rsi_14", 1.0)))  # fmt: skip
    space = {LONG: {"low": 0.0, "high": 1.0}, "strategy.name": ["linear", "dqn"]}
    trials = tuple(
        replace(t, parameters={LONG: t.number / 10, "strategy.name": "dqn"}) for t in TRIALS
    )
    data = report_kit.with_behavior(data, ("rsi_14", "a_feature_of_a_rather_long_name_20_2"))
    many = report_kit.build(symbols=tuple(f"S{k:02d}" for k in range(42)), bars=120)
    return {
        "report": render_html(data),
        "many": render_html(many),
        "search": render_study(search(trials, space=space), f"{LONG}: 1\n"),
        "comparison": render_comparison(compared_runs()),
    }


def compared_runs():
    """Return runs with long names, two seeds of each configuration, on other assets."""
    runs = [a_run(f"{LONG[: 20 + 3 * i]}-{i}", symbols=(f"ASSET{i // 4}",)) for i in range(8)]
    return compared(*runs, seed="12121212", **{LONG: [LONG[i // 2 :] for i in range(8)]})


class Nesting(HTMLParser):
    """Collects the classes of all elements around each table and each block of code."""

    def __init__(self, page):
        super().__init__()
        self._open, self.around = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag in ("table", "pre"):
            self.around.append((tag, {c for _, classes in self._open for c in classes}))
        if tag not in VOID:
            self._open.append((tag, (dict(attrs).get("class") or "").split()))

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass


@pytest.mark.parametrize("name", ["report", "many", "search", "comparison"])
def test_every_table_scrolls_in_its_box(pages, name):
    around = Nesting(pages[name]).around
    tables = [classes for tag, classes in around if tag == "table"]
    assert len(tables) > 2
    assert all("scroll" in classes for classes in tables)
    assert '<meta name="viewport" content="width=device-width' in pages[name]


def rules(css):
    """Yield selector and declarations of each rule of a style sheet, outside comments."""
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.S)
    for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", css):
        yield selector.strip(), dict(re.findall(r"([-\w]+)\s*:\s*([^;]+)", body))


def test_the_style_sheet_lets_nothing_else_be_wide():
    found = list(rules(_source("report.css")))
    plain = {s: dict(d) for s, d in reversed(found)}
    assert plain["body"]["overflow-wrap"] == "break-word"
    assert plain["pre"]["overflow-x"] == plain[".scroll"]["overflow-x"] == "auto"
    assert plain[".grid > *"]["min-width"] == "0"
    columns = [d["grid-template-columns"] for s, d in found if ".grid" in s and len(d) > 0
               and "grid-template-columns" in d]  # fmt: skip
    assert len(columns) == 3
    assert all(re.fullmatch(r"(minmax\(0, 1fr\) ?)+", text) for text in columns)
    for selector, declared in found:
        width = re.fullmatch(r"(\d+)px", declared.get("width", ""))
        assert not width or selector == ".paper body", selector


FRAME = """<!doctype html><iframe id="f" style="border:0;height:900px;width:WIDEpx"></iframe>
<pre id="o"></pre><script>
function found() {
  const d = f.contentDocument, root = d.documentElement, cut = [];
  for (const chart of d.querySelectorAll(".chart")) {
    if (!chart.offsetWidth) continue;
    const box = chart.getBoundingClientRect();
    const svg = chart.querySelector(".main-svg").getBoundingClientRect();
    if (Math.abs(svg.left - box.left) + Math.abs(svg.right - box.right) > 2) {
      cut.push(chart.dataset.chart);
    }
    for (const text of chart.querySelectorAll("text")) {
      const t = text.getBoundingClientRect();
      if (t.width && (t.left < box.left - 1 || t.right > box.right + 1)) {
        cut.push(chart.dataset.chart + ": " + text.textContent);
      }
    }
  }
  const wide = [...d.body.querySelectorAll("*")].filter((e) => {
    const b = e.getBoundingClientRect();
    return b.width && b.right > root.clientWidth + 1 && !e.closest(".scroll, pre, .chart, .skip");
  });
  const shown = d.querySelectorAll(".main-svg").length;
  const names = wide.map((e) => e.tagName + "." + e.className);
  const seen = [...d.querySelectorAll(".chart")].filter((e) => e.offsetWidth);
  const lines = (e) => e.querySelectorAll(".scatterlayer .js-line").length;
  const charts = seen.map((e) => [e.dataset.chart, lines(e)]);
  return { charts, client: root.clientWidth, scroll: root.scrollWidth, cut, wide: names, shown };
}
f.onload = () => setTimeout(() => {
  const select = f.contentDocument.getElementById("asset");
  if (select && CHOOSE) {
    select.selectedIndex = select.options.length - 1;
    select.dispatchEvent(new Event("change"));
  }
  f.style.width = "NARROWpx";
  f.contentWindow.dispatchEvent(new Event("resize"));  // without a screen there is none
  setTimeout(() => { o.textContent = JSON.stringify(found()); }, 2000);
}, 2000);
f.src = "PAGE";
</script>"""


def laid_out(folder: Path, page: str, first: int, width: int, choose: bool = False):
    """Lay a page out in a frame of one width, then of another, as when a phone is turned.

    With `choose`, the page shows its last asset.
    """
    frame = FRAME.replace("WIDE", str(first)).replace("NARROW", str(width))
    return said_by(folder, page, frame.replace("CHOOSE", str(choose).lower()))


def said_by(folder: Path, page: str, frame: str):
    """Return what the script of a frame around a page writes as JSON."""
    (folder / "page.html").write_text(page, encoding="utf-8")
    (folder / "frame.html").write_text(frame.replace("PAGE", "page.html"), encoding="utf-8")
    options = (
        "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-sync "
        "--disable-component-update --disable-web-security --allow-file-access-from-files "
        "--hide-scrollbars --window-size=1700,1000 --virtual-time-budget=20000 --dump-dom"
    )
    made = subprocess.run(
        [CHROMIUM, *options.split(), f"--user-data-dir={folder / 'profile'}",
         (folder / "frame.html").as_uri()],
        capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    [text] = re.findall(r'<pre id="o">(.*?)</pre>', made.stdout, re.S)
    return json.loads(html.unescape(text))


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
@pytest.mark.parametrize("name", ["report", "search", "comparison"])
@pytest.mark.parametrize(("first", "width"), [(400, 400), (860, 400), (400, 1600)])
def test_chromium_cuts_nothing(tmp_path, pages, name, first, width):
    found = laid_out(tmp_path, pages[name], first, width)
    nothing_is_cut(found, width)
    assert found["shown"] > 4


def nothing_is_cut(found, width):
    assert found["client"] == width
    assert found["scroll"] == width
    assert found["wide"] == []
    assert found["cut"] == []


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
@pytest.mark.parametrize("width", [400, 1600])
def test_chromium_draws_an_asset_that_is_not_in_full(tmp_path, pages, width):
    nothing_is_cut(laid_out(tmp_path, pages["many"], 400, width), width)
    found = laid_out(tmp_path, pages["many"], 400, width, choose=True)
    nothing_is_cut(found, width)
    once = ["loss", "q", "validation", "exploration", "norms"]
    assert [name for name, _ in found["charts"]] == ["equity", *once]
    assert found["charts"][0][1] == 2  # the policy, buy and hold


LINES = """<!doctype html><iframe id="f" style="width:900px;height:900px"></iframe>
<pre id="o"></pre><script>
f.onload = () => setTimeout(() => {
  const d = f.contentDocument, Event = f.contentWindow.Event;
  const chart = d.querySelector('[data-chart="runs-equity"]');
  const [one, two] = d.querySelectorAll(".lines button");
  const seen = [];
  const look = () => seen.push(chart.data.slice(0, 2).map((trace) => trace.opacity));
  two.dispatchEvent(new Event("pointerenter")); look();
  two.dispatchEvent(new Event("pointerleave")); look();
  one.click(); look();
  two.dispatchEvent(new Event("focus")); look();
  two.dispatchEvent(new Event("blur")); look();
  one.click(); look();
  o.textContent = JSON.stringify(seen);
}, 2000);
f.src = "page.html";
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
def test_a_line_stands_out_while_its_name_is_pointed_at_or_kept(tmp_path, pages):
    faint = 0.12
    assert said_by(tmp_path, pages["comparison"], LINES) == [
        [faint, 1],
        [1, 1],
        [1, faint],
        [faint, 1],
        [1, faint],
        [1, 1],
    ]
