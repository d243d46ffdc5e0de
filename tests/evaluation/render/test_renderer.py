"""Rendering in blocks and windows: no joints, any length, stems that add up."""

import dataclasses
import types

import numpy as np
import pytest

from evaluation.render import decoding
from evaluation.render import renderer
from evaluation.render import transfer
from prep import errors
from tests.helpers import render_helpers

# Of the peak, where it passes full scale: an untrained room rings up to 4 here, and the
# float32 transforms that convolve with it round in proportion to their largest value
# (3e-6 of the peak seen). A step at a joint is a thousand times this.
JOINT_TOLERANCE = 1e-5
BLOCK_FRAMES = 25  # does not divide the performance, and is compiled once for all


def assert_same_sound(actual, expected):
    tolerance = JOINT_TOLERANCE * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def join(parts):
    """All parts of a rendering as one."""
    parts = list(parts)
    return renderer.Stems(
        *(np.concatenate([getattr(p, stem) for p in parts]) for stem in renderer.STEMS)
    )


@pytest.fixture(scope="module")
def model():
    return render_helpers.build_model("stage2")


@pytest.fixture(scope="module")
def whole(model):
    played = render_helpers.make_performance()
    options = renderer.RenderOptions(block_frames=played.n_frames)
    return join(renderer.Renderer(model, options).play(played))


@pytest.mark.long
def test_blocks_have_no_joints(model, whole):
    played = render_helpers.make_performance()
    options = renderer.RenderOptions(block_frames=BLOCK_FRAMES)
    blocks = join(renderer.Renderer(model, options).play(played))
    for stem in renderer.STEMS:
        expected = getattr(whole, stem)
        assert expected.shape == (played.n_frames * 64,)
        assert np.abs(expected).max() > 1e-3
        assert_same_sound(getattr(blocks, stem), expected)


def test_the_last_block_takes_the_graph_of_the_others(model):
    decoder = decoding.BlockDecoder(model, block_frames=20)
    parts = list(decoder.decode(render_helpers.make_performance(50)))
    assert [len(part["amps"]) for part in parts] == [20, 20, 10]
    assert decoder._traced.experimental_get_tracing_count() == 1


def test_a_decoder_that_cannot_go_on_runs_in_windows(model, monkeypatch):
    seen = {}

    def decode_windows(model, played, *, window_frames):
        seen.update(n_frames=played.n_frames, window_frames=window_frames)
        yield "controls"

    monkeypatch.setattr(decoding, "runs_in_blocks", lambda decoder: False)
    monkeypatch.setattr(decoding, "decode_windows", decode_windows)
    options = renderer.RenderOptions(window_frames=40)
    playing = renderer.Renderer(model, options)
    assert list(playing.decode(render_helpers.make_performance(50))) == ["controls"]
    assert seen == {"n_frames": 50, "window_frames": 40}


def count_up(*lengths):
    """Stretches of controls whose frames are numbered."""
    start = 0
    for length in lengths:
        frames = np.arange(start, start + length)[:, np.newaxis]
        yield dict.fromkeys(decoding.CONTROL_KEYS, frames)
        start += length


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ((3, 1), [[0, 1, 2, 3]]),
        ((2, 3, 4), [[0, 1, 2, 3], [4, 5, 6, 7], [8, 8, 8, 8]]),
        ((9, 2), [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 10]]),
        ((1,), [[0, 0, 0, 0]]),
    ],
)
def test_stretches_of_any_length_become_blocks(lengths, expected):
    blocks = renderer._reblock(count_up(*lengths), 4)
    for key in decoding.CONTROL_KEYS:
        assert [block[key][:, 0].tolist() for block in blocks] == expected
        blocks = renderer._reblock(count_up(*lengths), 4)


def test_a_block_is_given_out_as_soon_as_it_is_full():
    stretches = count_up(4, 4)
    next(renderer._reblock(stretches, 4))
    assert next(stretches)["amps"][0, 0] == 4  # nobody has asked for it yet


def test_sound_counts_until_its_end_and_from_its_beginning():
    np.testing.assert_array_equal(renderer._until(4, -2, 5), [0, 0, 1, 1, 1])
    np.testing.assert_array_equal(renderer._until(4, 2, 4), [1, 1, 0, 0])


def test_dry_leaves_the_reverb_out_and_nothing_else(model, whole):
    played = render_helpers.make_performance()
    options = renderer.RenderOptions(block_frames=BLOCK_FRAMES, dry=True, tail_secs=1.0)
    dry = join(renderer.Renderer(model, options).play(played))
    assert not dry.reverb.any()
    np.testing.assert_allclose(dry.mix, whole.harmonic + whole.noise, atol=1e-6)


@pytest.mark.long
def test_tail_rings_on_after_the_end(model, whole):
    played = render_helpers.make_performance()
    options = renderer.RenderOptions(block_frames=BLOCK_FRAMES, tail_secs=0.05)
    long = join(renderer.Renderer(model, options).play(played))
    n_samples = whole.mix.size
    assert long.mix.size == n_samples + 800
    # 1.6 samples are two.
    options = dataclasses.replace(options, tail_secs=1e-4)
    assert join(renderer.Renderer(model, options).play(played)).mix.size == (
        n_samples + 2
    )
    assert_same_sound(long.mix[:n_samples], whole.mix)
    assert not long.harmonic[n_samples:].any()
    assert not long.noise[n_samples:].any()
    assert np.abs(long.reverb[n_samples : n_samples + 100]).max() > 1e-4


def test_seed_decides_the_noise_alone(model, whole):
    played = render_helpers.make_performance()
    other = join(
        renderer.Renderer(
            model, renderer.RenderOptions(block_frames=BLOCK_FRAMES, seed=1)
        ).play(played)
    )
    np.testing.assert_allclose(other.harmonic, whole.harmonic, atol=1e-5)
    assert np.abs(other.noise - whole.noise).max() > 0.01


def test_what_is_not_said_is_as_documented():
    options = dict(dry=False, mask_unvoiced=False, seed=0, tail_secs=0.0)
    options |= dict(block_frames=1000, window_frames=1000)
    assert dataclasses.asdict(renderer.RenderOptions()) == options


def test_a_mask_goes_on_from_stretch_to_stretch(model, monkeypatch):
    played = render_helpers.make_performance()
    weight = np.arange(played.n_frames) / 100.0
    monkeypatch.setattr(renderer.transfer, "note_weight", lambda played: weight)
    loud, masked = (
        renderer.Renderer(
            model,
            renderer.RenderOptions(block_frames=BLOCK_FRAMES, mask_unvoiced=is_masked),
        ).decode(played)
        for is_masked in (False, True)
    )
    parts = [[part["amps"][:, 0] for part in parts] for parts in (loud, masked)]
    assert len(parts[1]) > 2
    np.testing.assert_allclose(
        np.concatenate(parts[1]), weight * np.concatenate(parts[0]), rtol=1e-5
    )


def test_masked_frames_have_no_harmonics(model):
    played = render_helpers.make_performance()
    confidence = played.f0_confidence.copy()
    confidence[:30] = 0.0
    played = played.replace(f0_confidence=confidence)
    options = renderer.RenderOptions(
        block_frames=BLOCK_FRAMES, mask_unvoiced=True, dry=True
    )
    part = join(renderer.Renderer(model, options).play(played))
    assert not part.harmonic[: 20 * 64].any()
    assert np.abs(part.noise[: 20 * 64]).max() > 1e-3
    assert np.abs(part.harmonic[45 * 64 :]).max() > 1e-3


def test_a_model_of_power_plays_recordings_and_nothing_else():
    model = render_helpers.build_model(
        "stage2",
        bindings=("LEVEL_KEY = 'pw_scaled'", "LEVEL_TREND_KEY = 'power_trend'"),
    )
    playing = renderer.Renderer(
        model, renderer.RenderOptions(block_frames=BLOCK_FRAMES)
    )
    drawn = render_helpers.make_performance()
    with pytest.raises(errors.InputError, match="told unweighted power"):
        join(playing.play(drawn))
    measured = dataclasses.replace(drawn, power_db=drawn.loudness_db)
    other = dataclasses.replace(drawn, power_db=drawn.loudness_db - 20.0)
    loud, soft = (join(playing.play(x)) for x in (measured, other))
    assert np.abs(loud.mix).max() > 1e-3
    assert np.abs(loud.mix - soft.mix).max() > 1e-3


def test_rates_that_differ_are_refused(model):
    played = render_helpers.make_performance()
    other = type(played)(100, played.f0_hz, played.f0_confidence, played.loudness_db)
    with pytest.raises(ValueError, match="100 frames/s, the model 250"):
        next(renderer.Renderer(model).decode(other))


@pytest.mark.parametrize(
    ("n_frames", "size", "expected"),
    [
        (1000, 1000, [0]),
        (1100, 1000, [0, 100]),
        (2000, 1000, [0, 500, 1000]),
        (2100, 1000, [0, 500, 1000, 1100]),
        (3, 3, [0]),
    ],
)
def test_windows_cover_everything(n_frames, size, expected):
    assert decoding.window_starts(n_frames, size) == expected


def test_windows_cross_fade_after_their_first_quarter():
    """Each window takes its own first frame from all: its start is seen in the sound.

    Windows of 8 begin at 0, 4, 8 and 9; two frames fade, by 1/3 and 2/3.
    """

    def decode(features):
        f0_hz = features["f0_hz"]
        own = f0_hz - f0_hz[:, :1]
        return {"controls": dict.fromkeys(decoding.CONTROL_KEYS, own)}

    level = types.SimpleNamespace(feature="loudness_db")
    model = types.SimpleNamespace(
        decode=decode, conditioning=types.SimpleNamespace(level=level)
    )
    played = render_helpers.make_line([60.0] * 17).replace(f0_hz=np.arange(17.0))
    stretches = list(decoding.decode_windows(model, played, window_frames=8))
    fade = np.array([1.0, 2.0]) / 3.0
    starts = [
        *([0.0] * 6, 4.0 * fade, [4.0] * 2, 4.0 + 4.0 * fade),
        *(8.0 + 1.0 * fade, [9.0] * 3),
    ]
    for key in decoding.CONTROL_KEYS:
        found = np.concatenate([stretch[key][:, 0] for stretch in stretches])
        wanted = np.arange(17.0) - np.concatenate(starts)
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("n_frames", [5, 40, 41, 77, 101])
def test_windows_of_a_framewise_model_equal_the_whole(model, n_frames):
    # Trends look four frames back; the first quarter of a window is not used.
    played = render_helpers.make_performance(n_frames)
    model.smoothing, smoothing = None, model.smoothing
    try:
        stretches = decoding.decode_windows(model, played, window_frames=40)
        amps = np.concatenate([stretch["amps"] for stretch in stretches])
        expected = model.decode(render_helpers.as_batch(played))["controls"]["amps"]
    finally:
        model.smoothing = smoothing
    np.testing.assert_allclose(amps, expected[0], atol=1e-5)


@pytest.mark.slow
def test_transformer_renders_in_windows():
    model = render_helpers.build_model("transformer")
    assert not decoding.runs_in_blocks(model.decoder)
    played = render_helpers.make_performance(90)
    options = renderer.RenderOptions(window_frames=40, block_frames=30)
    part = join(renderer.Renderer(model, options).play(played))
    assert part.mix.shape == (90 * 64,)
    assert np.isfinite(part.mix).all()
    stretches = decoding.decode_windows(model, played, window_frames=40)
    amps = np.concatenate([stretch["amps"] for stretch in stretches])[:, 0]
    assert amps.shape == (90,)
    # Windows disagree, but no step between frames is larger where they cross over.
    alone = model.decode(render_helpers.as_batch(played))["controls"]["amps"][0, :, 0]
    assert np.abs(np.diff(amps)).max() < 3.0 * np.abs(np.diff(alone)).max()


def test_note_weight_is_smooth():
    played = render_helpers.make_performance()
    weight = transfer.note_weight(played)
    assert weight.min() >= 0.0
    assert weight.max() <= 1.0 + 1e-6
    assert np.abs(np.diff(weight)).max() <= 1.0 / 11 + 1e-6  # 2 * 5 + 1 frames
