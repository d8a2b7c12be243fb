"""What the pages say of a training in stages, and of the features on which agents agree."""

import pandas as pd

from reinforcestrategycreator_pipeline.reporting import markdown
from reinforcestrategycreator_pipeline.reporting.charts.base import CHARTS, Times
from reinforcestrategycreator_pipeline.reporting.charts.training import (
    MOST_FEATURES,
    agreement_figure,
    loss_figure,
)
from reinforcestrategycreator_pipeline.reporting.contents import contents
from reinforcestrategycreator_pipeline.reporting.words import STAGES_NOTE, screening_note


def test_the_bars_show_what_is_read_and_what_is_needed(report_kit, report_data):
    figure = agreement_figure(report_kit.with_screening(report_data), "", Times())
    read, unread = figure["data"]
    assert (read["name"], read["y"], read["x"]) == ("read", ["&lt;fast&gt;"], [1.0])
    assert (unread["name"], unread["y"], unread["x"]) == ("not read", ["rsi_14"], [0.25])
    assert [shape["x0"] for shape in figure["layout"]["shapes"]] == [0.5]
    assert figure["layout"]["annotations"][0]["text"] == "needed: 0.5"


def test_without_a_screening_there_is_no_chart(report_data):
    assert agreement_figure(report_data, "", Times()) is None
    assert CHARTS.get("agreement").caption_of(report_data) == ""
    assert loss_figure(report_data, "", Times())["layout"]["shapes"] == []


def test_of_many_features_those_with_the_most_agreement_are_drawn(report_kit, report_data):
    many = [(f"f{k}", 0.01 * (k + 1)) for k in range(30)]
    data = report_kit.with_screening(report_data, many, needed=0.255)
    read, unread = agreement_figure(data, "", Times())["data"]
    assert read["y"] == ["f29", "f28", "f27", "f26", "f25"]
    assert len(read["y"]) + len(unread["y"]) == MOST_FEATURES
    caption = CHARTS.get("agreement").caption_of(data)
    assert caption.endswith("Drawn are the 20 of 30 features with the most agreement.")
    assert "The policy reads 5 of 30 features: f29, f28, f27, f26, f25." in caption


def test_the_note_counts_the_features(report_kit, report_data):
    def note(*agreement, needed=0.5):
        return screening_note(report_kit.with_screening(report_data, agreement, needed).screening)

    some = note(("a", 1.0), ("b", 0.25))
    assert "It must exceed 0.5; below, the effect is put down to chance." in some
    assert some.endswith("The policy reads 1 of 2 features: a.")
    assert note(("a", 1.0), ("b", 2.0)).endswith("The policy reads all 2 features: b, a.")
    assert note(("a", 0.1), ("b", 0.2)).endswith(
        "That is the case for none of the 2 features, so nothing was learned from them, and the "
        "policy holds its baseline."
    )
    many = note(*((f"f{k:02}", 2.0) for k in range(12)))
    assert many.endswith("f08, f09, and 2 more.")


def test_the_stages_are_marked_and_their_losses_told_apart(report_kit, report_data):
    """Ten rows a stage, so a tenth is one row: 10 to 1, then 2 to 11."""
    loss = [10.0, 9, 8, 7, 6, 5, 4, 3, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    history = pd.DataFrame({"step": range(300, 6001, 300), "loss": loss})
    staged = report_kit.with_screening(report_kit.replace(report_data, history=history))
    layout = loss_figure(staged, "", Times())["layout"]
    assert [(a["x"], a["text"]) for a in layout["annotations"]] == [(3000, "deciding")]
    assert [shape["x0"] for shape in layout["shapes"]] == [3000]
    assert CHARTS.get("loss").caption_of(staged).startswith(STAGES_NOTE)
    text = markdown.render_markdown(contents(staged))
    assert (
        "20 logged steps, up to step 6,000. Mean loss of stage screening: 10 over the first tenth, "
        "1 over the last tenth. Mean loss of stage deciding: 2 over the first tenth, 11 over the "
        f"last tenth. {STAGES_NOTE} The floor"
    ) in text
    table = text.partition("| Feature | Agreement | Factor in the policy |")[2].splitlines()
    assert table[2:4] == ["| &lt;fast&gt; | 1 | 0.5 |", "| rsi\\_14 | 0.25 | 0 |"]
