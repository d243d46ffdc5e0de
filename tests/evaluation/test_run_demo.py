"""What the demo does, in order."""

import pathlib
import types

import pytest

from evaluation import run_demo
from evaluation.summary import paired
from prep.plan import splits


@pytest.mark.parametrize(
    ("recordings", "page"),
    [(None, "demo/flute.html"), (pathlib.Path("my_wavs"), "demo/demo.html")],
)
def test_the_instrument_is_made_before_the_report_that_links_it(recordings, page):
    *_, instrument, report = run_demo.plan_steps(pathlib.Path("demo"), recordings)
    assert report.command[0] == "evaluation.run_report"
    assert instrument.command == (
        "evaluation.run_render",
        f"--run=demo/runs/{run_demo.CANDIDATE}",
        f"--instrument={page}",
        "--overwrite",
    )


@pytest.mark.parametrize("recordings", [None, pathlib.Path("my_wavs")])
def test_enough_recordings_are_held_out_for_intervals(recordings):
    steps = run_demo.plan_steps(pathlib.Path("demo"), recordings)
    (prepare,) = (one for one in steps if one.command[0] == "prep.run_beam")
    (flag,) = (word for word in prepare.command if "eval_split" in word)
    name, _, share = flag.partition("=")
    assert name == "--eval_split_fraction"
    # Twenty recordings, as the demo's own: 0.1, prep's default, would leave two.
    secs = {f"{number:02d}": 6.0 for number in range(20)}
    assert len(splits.choose_eval(secs, float(share))) >= paired.MIN_UNITS
    assert run_demo.MAX_CLIPS >= 2 * paired.MIN_UNITS  # spread over recordings


def test_the_page_is_named_last(monkeypatch, capsys):
    monkeypatch.setattr(run_demo, "run_steps", lambda steps: 0)
    monkeypatch.setattr(run_demo, "print_result", lambda report: None)
    assert run_demo.main(types.SimpleNamespace(input=None, output="demo")) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "play it: demo/flute.html"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("takes/flute", "flute"),
        ("takes/flute/*.wav", "flute"),
        ("takes/flute/*/soft?.wav", "flute"),
        ("takes/solo.wav", "solo"),
        ("takes/oboe [dry]", "oboe [dry]"),  # a folder that is there
    ],
)
def test_everything_of_ones_own_goes_into_a_folder_named_after_it(
    tmp_path, monkeypatch, given, name
):
    (tmp_path / "takes" / "oboe [dry]").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(run_demo, "plan_steps", lambda *given: asked.append(given))
    monkeypatch.setattr(run_demo, "run_steps", lambda steps: 1)
    run_demo.main(types.SimpleNamespace(input=given, output="demo"))
    assert asked == [(pathlib.Path("demo") / name, pathlib.Path(given))]
