import dataclasses
import json

import jsonschema
import numpy as np
import pytest
import soundfile

from evaluation import evaluate_pairs
from evaluation import run_score
from evaluation.pairs import pairing
from evaluation.pairs import reading
from evaluation.report import page
from evaluation.summary import builder
from prep import command_line
from prep import errors
from tests.helpers import evaluation_helpers

SECS = 0.8


def note(midi, rate, *, rng, gain=0.3, is_flat=False, secs=SECS):
    """A note whose level and brightness swell and fall."""
    times = np.arange(round(secs * rate)) / rate
    swell = np.full(times.size, 0.6) if is_flat else np.sin(np.pi * times / secs)
    f0_hz = 440.0 * 2.0 ** ((midi - 69) / 12)
    audio = 0.003 * rng.standard_normal(times.size)
    for k in range(1, 9):
        strength = 0.5 * (0.2 if is_flat else 1.0) if k > 1 else 1.0
        tone = np.sin(2 * np.pi * k * f0_hz * times)
        audio += strength * swell ** (1 + (0 if is_flat else 0.3 * k)) / k * tone
    return gain * audio


def write(folder, rate, midis=(60, 64, 67, 71, 74), ending="wav", **how):
    folder.mkdir()
    rng = np.random.default_rng(rate)
    for number, midi in enumerate(midis):
        audio = note(midi, rate, rng=rng, **how)
        soundfile.write(folder / f"{number}.{ending}", audio, rate)
    return str(folder)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Two systems of other rates, one softer, later and longer, one with no life."""
    place = tmp_path_factory.mktemp("judged")
    refs = write(place / "refs", 44100)
    alive = write(place / "alive", 22050, gain=0.2, ending="flac")
    for path in (place / "alive").iterdir():
        audio, rate = soundfile.read(path)
        late = np.concatenate([np.zeros(round(0.05 * rate)), audio, 0 * audio])
        soundfile.write(path, late, rate)
    dead = write(place / "dead", 48000, is_flat=True)
    code = command_line.run_words(
        program_with(evaluation_helpers.track),
        [
            f"--reference={refs}",
            f"--estimate={alive}",
            f"--estimate={dead}",
            f"--output={place / 'score'}",
            "--fail_if_collapsed",
        ],
    )
    return place / "score", code


def program_with(tracker):
    """The program, with another tracker of pitch."""

    def main(values):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                evaluate_pairs.pitch_tracker, "CrepeTracker", lambda capacity: tracker
            )
            return run_score.run(values)

    return dataclasses.replace(run_score.PROGRAM, main=main)


@pytest.mark.long
def test_files_alone_give_the_verdict_of_what_is_heard(judged):
    folder, code = judged
    document = builder.read_summary(folder / "summary.json")
    jsonschema.validate(document, evaluation_helpers.SUMMARY_SCHEMA)
    alive, dead = document["systems"]
    assert document["index_key"] == "heard_collapse_index"
    assert alive["name"] == "alive" and alive["is_baseline"]
    assert alive["index"]["point_state"] == "healthy"
    assert dead["index"]["point_state"] == "collapsed"
    assert dead["index"]["severities"]["flat"] > 0.9
    assert code == 1  # the gate for scripts: a candidate has collapsed
    # Every number of the audio has an interval; there are no controls to judge.
    for key in ("heard_collapse_index", "spectral_loss", "loudness_distance"):
        assert dead["metrics"][key]["low"] is not None, key
    missing = dead["metrics"]["collapse_index"]
    assert missing["mean"] is None
    assert list(missing["reasons"]) == ["only audio was given"]
    assert document["n_recordings"] == 5 and document["unit"] == "recording"


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["dead"], 1),
        (["dead-seed0", "dead-seed1"], 1),
        (["dead", "alive"], 0),
        (["dead-seed0", "dead-seed1", "alive"], 0),
    ],
)
@pytest.mark.long
def test_the_gate_counts_the_only_system_and_excuses_the_baseline(
    judged, tmp_path, names, code
):
    place = judged[0].parent
    words = [f"--estimate={n}={place / n.partition('-')[0]}" for n in names]
    words += [f"--reference={place / 'refs'}", f"--output={tmp_path}"]
    words += ["--baseline=dead", "--fail_if_collapsed", "--max_embedded_clips=0"]
    assert command_line.run_words(program_with(evaluation_helpers.track), words) == code


def test_the_heard_index_of_files_is_that_of_all_clips_together(judged):
    folder, _ = judged
    document = builder.read_summary(folder / "summary.json")
    for system in document["systems"]:
        heard = system["metrics"]["heard_collapse_index"]
        assert heard["mean"] == system["index"]["interval"]["mean"]
    rows = [json.loads(line) for line in (folder / "scores.jsonl").open()]
    assert all("sums" not in one for row in rows for one in row["runs"].values())


def test_rates_delays_and_gains_are_told_and_levels_left(judged):
    folder, _ = judged
    document = builder.read_summary(folder / "summary.json")
    assert document["dataset"]["sample_rate"] == 16000  # 22050 allows no more
    alive = document["runs"]["alive"]
    for one in alive["alignment"]:
        assert one["is_removed"]
        assert one["delay_secs"] == pytest.approx(0.05, abs=0.005)
        assert one["gain_db"] == pytest.approx(-3.5, abs=0.3)
        assert one["extra_secs"] > 0.7
    assert "dB softer than the recordings" in " ".join(alive["notes"])
    assert "late, removed" in " ".join(alive["notes"])
    loudness = document["systems"][0]["metrics"]["loudness_distance"]["mean"]
    assert loudness == pytest.approx(3.5, abs=1.0)  # the gain is not hidden


def test_the_page_speaks_of_files_and_not_of_training(judged):
    folder, _ = judged
    html = (folder / page.PAGE_NAME).read_text("utf-8")
    assert "alive" in html and "Collapse index as heard" in html
    assert 'id="files"' in html and "+50" in html
    for word in ('id="training"', 'id="runs"', 'id="gates"', "was trained once"):
        assert word not in html, word
    text = (folder / page.TEXT_NAME).read_text("utf-8")
    assert "## Files" in text and "## Runs" not in text


def test_a_long_file_is_cut_into_equal_clips_and_stays_one_recording(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("ref", "est"):
        audio = np.concatenate([note(60, 16000, rng=rng) for _ in range(12)])
        soundfile.write(tmp_path / f"{name}.wav", audio, 16000)
    paired = pairing.match(str(tmp_path / "ref.wav"), [str(tmp_path / "est.wav")])
    found, _ = reading.read_pair(paired.pairs[0], sample_rate=16000)
    assert [one.clip.audio.size for one in found] == [76800, 76800]
    assert {one.clip.recording_id for one in found} == {"ref"}
    assert found[1].clip.name == "ref @ 4.80 s"
    assert found[1].renderings["est"].size == 76800


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"no audio at all", "cannot be judged"),
        (np.full(8000, np.nan), "holds NaN or infinity"),
        (np.zeros(100), "it lasts 0.006 s, and 0.1 s are needed"),
    ],
    ids=["text", "nan", "short"],
)
def test_a_file_that_cannot_be_judged_is_named(tmp_path, content, told):
    path = tmp_path / "bad.wav"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        soundfile.write(path, content, 16000, subtype="FLOAT")
    with pytest.raises(errors.InputError, match=told) as caught:
        reading.read_audio(path, 16000)
    assert "bad.wav" in str(caught.value)


def test_rates_below_the_lowest_are_refused(tmp_path):
    for name in ("ref", "est"):
        soundfile.write(tmp_path / f"{name}.wav", np.ones(6000) / 2, 6000)
    paired = pairing.match(str(tmp_path / "ref.wav"), [str(tmp_path / "est.wav")])
    with pytest.raises(errors.InputError, match="6000 samples a second"):
        reading.choose_rate(paired.pairs)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "--reference is missing"),
        (["--reference=refs"], "--estimate is missing"),
        (["--reference=refs", "--pairs=x.csv"], "leave out --reference"),
        (["--pairs=x.csv", "--sample_rate=44100"], "8000, 16000, 24000"),
    ],
)
def test_flags_that_contradict_are_refused(words, told):
    with pytest.raises(command_line.UsageError, match=told):
        command_line.read_flags(run_score.PROGRAM, words)


def test_rates_of_the_flag_are_those_that_can_be_judged():
    for rate in reading.RATES:
        command_line.read_flags(
            run_score.PROGRAM, ["--pairs=x.csv", f"--sample_rate={rate}"]
        )
        assert rate % reading.FRAME_RATE == 0


def test_a_baseline_that_is_no_system_is_refused(tmp_path):
    paired = pairing.Pairing([], {"gru": "outs"}, "refs", {})
    with pytest.raises(errors.InputError, match="none of the systems gru"):
        evaluate_pairs.evaluate(
            paired, output=tmp_path, options=evaluate_pairs.Options(baseline="cnn")
        )
