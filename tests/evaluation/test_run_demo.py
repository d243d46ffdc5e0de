"""What the demo does, in order."""

import pathlib

import pytest

from evaluation import run_demo


@pytest.mark.parametrize(
    ("recordings", "page"),
    [(None, "demo/flute.html"), (pathlib.Path("my_wavs"), "demo/demo.html")],
)
def test_last_step_makes_an_instrument_of_the_candidate(recordings, page):
    *_, report, instrument = run_demo.plan_steps(pathlib.Path("demo"), recordings)
    assert report.command[0] == "evaluation.run_report"
    assert instrument.command == (
        "evaluation.run_render",
        f"--run=demo/runs/{run_demo.CANDIDATE}",
        f"--instrument={page}",
        "--overwrite",
    )
