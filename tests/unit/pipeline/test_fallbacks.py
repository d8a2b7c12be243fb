"""What is said of windows whose policies are fallbacks."""

import json

from reinforcestrategycreator_pipeline.pipeline.stages.evaluation import fallbacks


def test_windows_with_the_same_fallback_share_a_sentence(tmp_path):
    fits = []
    for number, said in enumerate(("Flat.", "", "Flat.", "Long.", "Flat.")):
        fits.append(tmp_path / str(number))
        fits[-1].mkdir()
        (fits[-1] / "summary.json").write_text(json.dumps({"fallback": said} if said else {}))
    assert fallbacks(fits) == ("Windows 1, 3 and 5 of 5: Flat.", "Window 4 of 5: Long.")
    assert fallbacks(fits[:1]) == ("Flat.",)
    assert fallbacks(fits[1:2]) == ()
