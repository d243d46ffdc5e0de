"""The command line as people call it: as a file, by Python, as a console script."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.helpers import prep_helpers
from tests.helpers import programs

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = REPOSITORY / "prep" / "run_beam.py"
WAYS = {
    "file": [str(PROGRAM)],
    "python": [sys.executable, str(PROGRAM)],
    "console": [str(pathlib.Path(sys.executable).with_name("ddsp_prep"))],
}


def run(*arguments, way="python", cwd=None, timeout=240):
    """Calls ddsp_prep; returns (exit code, stdout, stderr)."""
    venv = str(pathlib.Path(sys.executable).parent)
    done = programs.run(
        *WAYS[way],
        *arguments,
        code=None,
        cwd=cwd,
        timeout=timeout,
        environment={"PATH": f"{venv}:{os.environ['PATH']}"},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def source(tmp_path):
    prep_helpers.write_tones(tmp_path / "in", [3.0, 2.0, 5.5, 4.2])
    return tmp_path / "in"


@pytest.mark.slow
def test_dry_run_shows_the_plan_and_writes_nothing(source, tmp_path):
    code, out, _ = run(
        "--input", source, "--example_secs=1", "--dry_run", way="file", cwd=tmp_path
    )
    assert code == 0
    assert "4 of 4 recordings, 14.7 s" in out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def test_preparation_goes_on_when_nobody_reads_what_it_says():
    nobody, end = os.pipe()
    os.close(nobody)
    code = "from prep import run_beam\nfor _ in range(3): run_beam._say('a line')"
    done = subprocess.run([sys.executable, "-c", code], stdout=end, cwd=REPOSITORY)
    os.close(end)
    assert done.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "way, arguments, code, message",
    [
        ("file", [], 2, "--input is missing"),
        ("console", ["--input=in", "--sample_rate=44100"], 2, "rates that do: 100, 50"),
        ("python", ["--input=in", "--projct=x"], 2, "Similar: --project"),
        ("python", ["--inptu=in"], 2, "Similar: --input"),
        ("console", ["--input=nowhere"], 1, "no such file or folder"),
        (
            "python",
            ["--input=in", "--example_secs=60", "--short=reject"],
            1,
            "none of the 4 recordings",
        ),
    ],
)
def test_what_stops_it_is_one_message_and_a_code(
    source, tmp_path, way, arguments, code, message
):
    found, out, err = run(*arguments, way=way, cwd=tmp_path)
    assert found == code
    assert message in err
    assert out == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment, seen",
    [("while importing", "out"), ("while computing", "out/.prep/audio/*.f32")],
)
def test_interrupt_is_one_line_and_a_code(source, tmp_path, moment, seen):
    """Ctrl-C goes to all processes of the terminal, as here."""
    (tmp_path / "out").mkdir()
    process = subprocess.Popen(
        [
            sys.executable,
            PROGRAM,
            "--input=in",
            "--output=out",
            "--example_secs=1",
            "--crepe_capacity=tiny",
        ],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(seen)) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1.0)  # into the imports, into TensorFlow's start
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == (
        "ddsp_prep: interrupted; the same command goes on from here."
    )
    assert "Traceback" not in err
    assert not (tmp_path / "out" / "COMPLETED").exists()


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Real recordings, copied so that they are a folder of their own."""
    recordings = REPOSITORY.parent / "shared" / "recordings"
    if not recordings.is_dir():
        pytest.skip("no real recordings beside the repository")
    folder = tmp_path_factory.mktemp("real")
    (folder / "in").mkdir()
    for path in sorted((recordings / "vsco2_flute").glob("*A*.wav")):
        shutil.copy(path, folder / "in")
    code, out, err = run(
        "--input=in", "--output=one", "--crepe_capacity=tiny", cwd=folder
    )
    assert code == 0, err
    assert "dataset.html" in out
    return folder


@pytest.mark.slow
@pytest.mark.crepe
def test_notes_of_a_flute_get_their_pitch(real):
    statistics = json.loads((real / "one" / "statistics.json").read_text())
    found = {r["name"]: r["median_pitch_midi"] for r in statistics["recordings"]}
    wanted = {"flute_A4.wav": 69, "flute_A5.wav": 81, "flute_A6.wav": 93}
    assert found == pytest.approx(wanted, abs=0.4)
    assert statistics["voiced_share"] > 0.9
    # 7.6, 7.0 and 5.0 s: nearly all of it is used.
    assert statistics["inputs"]["seconds_left_out"] < 0.3


@pytest.mark.slow
@pytest.mark.crepe
def test_killed_at_any_moment_and_run_again_gives_the_same_bytes(real):
    arguments = ["--input=in", "--output=killed", "--crepe_capacity=tiny", "--quiet"]
    venv = str(pathlib.Path(sys.executable).parent)
    watched = real / "killed" / ".prep"
    for pattern in ("audio/*.f32", "cache/*/*.npy"):
        process = subprocess.Popen(
            [sys.executable, PROGRAM, *arguments],
            cwd=real,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PATH": f"{venv}:{os.environ['PATH']}"},
        )
        deadline = time.monotonic() + 120
        while not list(watched.glob(pattern)) and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
        assert not (real / "killed" / "COMPLETED").exists()
    code, _, err = run(*arguments, cwd=real)
    assert (code, err) == (0, "")
    assert prep_helpers.contents(real / "killed") == prep_helpers.contents(real / "one")


@pytest.mark.slow
@pytest.mark.crepe
def test_two_processes_give_the_same_bytes_as_one(real):
    code, _, err = run(
        "--input=in",
        "--output=two",
        "--crepe_capacity=tiny",
        "--workers=2",
        cwd=real,
    )
    assert code == 0, err
    assert prep_helpers.contents(real / "two") == prep_helpers.contents(real / "one")
    assert "INFO" not in err
