import dataclasses
import json

import pytest

from prep import checked_json
from prep import settings as settings_lib


@pytest.mark.parametrize(
    "sample_rate, frame_rate",
    [(16000, 250), (24000, 250), (32000, 250), (44100, 100), (48000, 250), (48000, 50)],
)
def test_rates_that_fit_keep_frames_on_whole_samples(sample_rate, frame_rate):
    settings = settings_lib.Settings(sample_rate=sample_rate, frame_rate=frame_rate)
    assert settings.hop_size * frame_rate == sample_rate
    assert settings.hop_16k * frame_rate == 16000
    assert settings.n_samples * frame_rate == settings.example_frames * sample_rate


def test_four_seconds_have_a_thousand_frames():
    assert settings_lib.Settings().feature_frames == 1000
    assert settings_lib.Settings(framing="ddsp_same").feature_frames == 1000
    assert settings_lib.Settings(framing="ddsp_center").feature_frames == 1001


def test_example_of_a_third_of_a_second_is_rounded_not_truncated():
    # 0.29 * 100 is 28.999999999999996 in floating point.
    settings = settings_lib.Settings(frame_rate=100, example_secs=0.29, hop_secs=0.29)
    assert settings.example_frames == 29


@pytest.mark.parametrize(
    "values, match",
    [
        ({"sample_rate": 44100}, r"176\.40 samples.*Nearest.*100, 50"),
        ({"frame_rate": 300}, r"does not divide.*320, 250"),
        ({"sample_rate": 8000}, "outside 16000 to"),
        ({"example_secs": 0.0101}, "Nearest: example_secs=0.012"),
        ({"example_secs": 0.0}, "at least 1"),
        ({"example_secs": float("inf")}, r"is inf frames .* is needed\.$"),
        ({"example_secs": 1e307}, r"is inf frames .* is needed\.$"),
        ({"example_secs": 1e18}, r"is outside 0 to 3600\.$"),
        ({"hop_secs": float("nan")}, r"is nan frames .* is needed\.$"),
        ({"hop_secs": 0.0005}, "hop_secs"),
        ({"framing": "left"}, "aligned, ddsp_same, ddsp_center"),
        ({"normalize": "rms"}, "none, peak"),
        ({"crepe_capacity": "huge"}, "full, tiny"),
        ({"crepe_precision": "float16"}, "float32, bfloat16"),
        ({"f0_decoder": "hmm"}, "viterbi, argmax"),
        ({"voiced_confidence": 1.5}, "outside 0 to 1"),
        ({"min_loudness_db": float("nan")}, "outside -80"),
        ({"eval_split_fraction": 0.8}, r"outside 0 to 0\.5"),
        ({"transpose_cents": ()}, "leaves out 0"),
        ({"transpose_cents": (-50.0, 50.0)}, "leaves out 0"),
        ({"transpose_cents": (0.0, 0.0)}, "twice"),
        ({"transpose_cents": (0.0, 5000.0)}, "outside -1200"),
        ({"n_shards": -1}, "n_shards"),
    ],
)
def test_bad_value_is_named_with_what_is_allowed(values, match):
    with pytest.raises(ValueError, match=match):
        settings_lib.Settings(**values)


def test_settings_survive_json():
    settings = settings_lib.Settings(transpose_cents=(-50.0, 0.0), sample_rate=48000)
    values = json.loads(json.dumps(dataclasses.asdict(settings)))
    assert checked_json.build(settings_lib.Settings, values, "plan.json") == settings


def test_tracker_is_named_by_all_that_decides_its_answers():
    settings = settings_lib.Settings(crepe_capacity="tiny", f0_decoder="argmax")
    assert settings.tracker_id == "crepe-tiny-argmax"
    rounded = settings_lib.Settings(crepe_precision="bfloat16")
    assert rounded.tracker_id == "crepe-full-viterbi-bfloat16"
