"""Samples in, samples out: the same sound in any blocks, a constant time later."""

import dataclasses

import numpy as np
import pytest

from evaluation.live import ear as ear_lib
from evaluation.live import instrument as instrument_lib
from evaluation.render import performance
from evaluation.render import renderer
from models.streaming import player as player_lib
from prep import errors
from tests.evaluation.live import test_ear
from tests.helpers import render_helpers

AUDIO_TOLERANCE = 1e-4  # the player's promise against the renderer; full scale is 1


@pytest.fixture(scope="module")
def player():
    return player_lib.Player(render_helpers.build_model("stage2"))


def make_instrument(player, **options):
    ear = test_ear.make_ear(player.sample_rate, frame_rate=player.frame_rate)
    return instrument_lib.Instrument(player, ear=ear, **options)


def process(instrument, samples, block_size):
    return np.concatenate(
        [
            instrument.process(samples[start : start + block_size])
            for start in range(0, len(samples), block_size)
        ]
    )


@pytest.mark.slow
def test_blocks_of_any_size_give_the_same_sound(player):
    tune = test_ear.make_tune(16000, secs=0.4)
    whole = make_instrument(player).process(tune)
    assert np.abs(whole).max() > 0.01
    for block_size in (1, 64, 1000):
        played = process(make_instrument(player), tune, block_size)
        np.testing.assert_array_equal(played, whole, err_msg=str(block_size))


@pytest.mark.slow
def test_the_sound_is_the_renderers_so_many_samples_later(player):
    tune = test_ear.make_tune(16000, secs=0.8)
    instrument = make_instrument(player)
    assert instrument.latency_samples == 511 + 64  # the window's half, and one frame
    played = process(instrument, np.pad(tune, (0, instrument.latency_samples)), 100)
    model = render_helpers.build_model("stage2")
    heard = make_instrument(player).ear.push(np.pad(tune, (0, 600)))
    parts = list(renderer.Renderer(model).play(heard))
    expected = np.concatenate([part.mix for part in parts])
    live = played[instrument.latency_samples :]
    np.testing.assert_allclose(live, expected[: len(live)], atol=AUDIO_TOLERANCE)


@pytest.mark.slow
def test_a_model_that_gives_nan_begins_anew(player):
    tune = test_ear.make_tune(16000, secs=0.4)
    instrument = make_instrument(player)
    instrument.process(tune)
    instrument._state.vector[:] = np.nan
    played = instrument.process(tune)
    assert instrument.n_restarts == 1
    assert np.isfinite(played).all()
    assert np.abs(played[-1000:]).max() > 0.01


@pytest.mark.slow
def test_reset_is_a_new_instrument(player):
    tune = test_ear.make_tune(16000, secs=0.3)
    instrument = make_instrument(player)
    first = instrument.process(tune)
    instrument.reset()
    np.testing.assert_array_equal(instrument.process(tune), first)


def test_shift_moves_what_is_heard():
    heard = performance.Performance(
        250,
        np.float32([440.0, 7000.0]),
        np.ones(2, np.float32),
        np.float32([-30.0, -79.0]),
    )
    moved = instrument_lib.Shift(transpose=12.0, loudness_db=-6.0).apply(heard)
    np.testing.assert_allclose(moved.f0_hz, [880.0, 8192.0])
    np.testing.assert_allclose(moved.loudness_db, [-36.0, -80.0])


def test_an_ear_or_player_that_does_not_fit_is_refused():
    @dataclasses.dataclass
    class Other:
        frames_per_step: int = 1
        sample_rate: int = 16000
        frame_rate: int = 250
        n_samples: int = 64
        latency_frames: int = 1

    with pytest.raises(ValueError, match="one frame at a time"):
        instrument_lib.Instrument(Other(frames_per_step=2), ear=test_ear.make_ear())
    ear = ear_lib.Ear(48000, network=test_ear.StubNetwork())
    with pytest.raises(
        ValueError, match="a frame every 192 samples, the player every 64"
    ):
        instrument_lib.Instrument(Other(), ear=ear)


@pytest.mark.slow
def test_a_model_of_power_is_refused():
    power = ("LEVEL_KEY = 'pw_scaled'", "LEVEL_TREND_KEY = 'power_trend'")
    player = player_lib.Player(render_helpers.build_model("stage2", bindings=power))
    ear = test_ear.make_ear()
    with pytest.raises(errors.InputError, match="told unweighted power"):
        instrument_lib.Instrument(player, ear=ear)
