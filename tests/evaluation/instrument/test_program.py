"""Models described for the page: the engine's numbers beside the player's."""

import numpy as np
import pytest

from evaluation.instrument import decoder_program
from evaluation.instrument import page
from evaluation.instrument import program as program_lib
from evaluation.instrument import tensors
from evaluation.render import transfer
from models.streaming import block_model
from models.streaming import lite
from prep import errors
from tests.helpers import instrument_helpers as helpers
from tests.helpers import render_helpers

N_FRAMES = 120
# The promise, of controls and of full scale; measured are 2e-5.
TOLERANCE = 1e-3
PLAYED = {
    "stage0": ("stage0",),
    "stage3": ("stage3",),
    "micro_rnn": ("stage4",),
    "gru": ("stage5",),
    "mingru": ("experiments/mingru",),
    "fir": ("experiments/smoothing_fir",),
    "biquad": ("experiments/smoothing_biquad",),
    "before": ("experiments/smoothing_before",),
    "ar_residual": ("experiments/smoothing_ar_residual",),
    "distribution": ("experiments/smoothing_distribution",),
    "legacy": ("experiments/head_legacy",),
    "normalized": ("experiments/head_normalized",),
    "softmax_db": ("experiments/head_softmax_db",),
}


def play(folder, program, played):
    """Stems [3, n_samples] and controls of the page's engine in node."""
    helpers.write_program(folder, program)
    smoothing = program.description["controls"]["smoothing"]
    late = smoothing["latency_frames"] if smoothing else 0
    hop = program.description["synth"]["hop_size"]
    noise = helpers.noise_of_frames(played.n_frames, hop, late)
    values = (played.f0_hz, played.loudness_db, played.f0_confidence)
    np.stack(values).astype("<f4").tofile(folder / "features.f32")
    noise.astype("<f4").tofile(folder / "noise.f32")
    script = helpers.JAVASCRIPT / "play_frames.mjs"
    helpers.run_node(str(script), str(folder), str(played.n_frames))
    controls = np.fromfile(folder / "controls.f32", "<f4")
    stems = np.fromfile(folder / "stems.f32", "<f4").reshape(3, -1)
    return stems, controls.reshape(played.n_frames, -1)


def check_parity(files, folder):
    model = render_helpers.build_model(*files)
    played = render_helpers.make_performance(N_FRAMES)
    program = program_lib.describe(model)
    stems, controls = play(folder, program, played)
    step = lite.convert(lite.FlatStep(block_model.BlockModel(model)))
    for with_reverb, found in (
        (False, stems[:2].sum(axis=0)),
        (True, stems.sum(axis=0)),
    ):
        expected = helpers.player_audio(
            model, played, with_reverb=with_reverb, content=step
        )
        scale = np.abs(expected).max()
        assert scale > 0.05  # something was compared
        np.testing.assert_allclose(found / scale, expected / scale, atol=TOLERANCE)
    decoded = model.decode(render_helpers.as_batch(played))["controls"]
    late = model.smoothing.latency_frames if model.smoothing else 0
    keys = ("f0_hz", "amps", "harmonic_distribution", "noise_magnitudes")
    expected = np.concatenate([decoded[key][0] for key in keys], axis=1)
    # The end of a curve is held by smoothers that look ahead; a stream has not ended.
    n_known = N_FRAMES - 2 * late
    np.testing.assert_allclose(
        controls[late : late + n_known, 1:], expected[:n_known, 1:], atol=TOLERANCE
    )


@pytest.mark.slow
@pytest.mark.parametrize("files", PLAYED.values(), ids=PLAYED.keys())
def test_engine_plays_as_the_player(files, tmp_path):
    check_parity(files, tmp_path)


@pytest.mark.slow
def test_engine_plays_stage2_as_the_player(tmp_path):
    check_parity(("stage2",), tmp_path)


@pytest.mark.slow
def test_eight_bits_stay_near(tmp_path):
    model = render_helpers.build_model("stage5")
    played = render_helpers.make_performance(N_FRAMES)
    exact, coarse = (
        play(tmp_path, program_lib.describe(model, eight_bits=bits), played)[1]
        for bits in (False, True)
    )
    difference = np.abs(exact[:, 1:] - coarse[:, 1:]).max()
    assert 1e-6 < difference < 0.02  # two hundredths of an amplitude of 1


def test_large_models_are_in_eight_bits(monkeypatch):
    model = render_helpers.build_model("stage2")
    whole = program_lib.describe(model)
    monkeypatch.setattr(program_lib, "MAX_FLOAT_WEIGHTS", 10)
    small = program_lib.describe(model)
    assert (whole.eight_bits, small.eight_bits) == (False, True)
    assert len(small.content) < len(whole.content)
    kinds = {entry["dtype"] for entry in small.description["tensors"]}
    assert kinds == {"f32", "i8"}


@pytest.mark.slow
@pytest.mark.parametrize("window", [None, 8])
def test_transformers_are_refused(window):
    binding = f"models.decoders.TransformerDecoder.window = {window}"
    model = render_helpers.build_model("transformer", bindings=(binding,))
    with pytest.raises(decoder_program.InstrumentError, match="counts its frames"):
        program_lib.describe(model)


def test_rows_are_rounded_to_half_a_scale(rng):
    rows = rng.normal(size=(7, 30)).astype(np.float32)
    rows[3] = 0.0
    whole, scales = tensors.quantize_rows(rows)
    error = np.abs(whole * scales[:, np.newaxis] - rows)
    assert np.all(error <= 0.5001 * scales[:, np.newaxis])
    assert np.abs(whole).max() == tensors.MAX_I8
    assert scales[3] == 1.0


def test_tensors_begin_where_typed_arrays_may():
    packer = tensors.Packer(eight_bits=True)
    packer.add("a", np.ones(3))
    packer.add_matrix("b", np.ones((5, 3)))
    packer.add("c", np.full((2, 2), 7.0))
    assert all(entry.offset % tensors.ALIGNMENT == 0 for entry in packer.entries)
    entry = packer.entries[2]
    read = np.frombuffer(packer.content, "<f4", 4, entry.offset)
    np.testing.assert_array_equal(read, 7.0)
    assert packer.entries[1].shape == (3, 5)


# ---- the page


def make_text(**changes):
    program = program_lib.describe(render_helpers.build_model("stage2"))
    arguments = {"name": "my_flute", "facts": "A <b>test</b>."} | changes
    return page.make_page(program, helpers.PROFILE, **arguments)


def test_page_is_the_same_twice_and_fetches_nothing():
    text = make_text()
    assert text == make_text()
    assert "my flute" in text
    for word in ("http://", "https://", "fetch(", "importScripts", " src=", "@import"):
        assert word not in text, word
    assert "A &lt;b&gt;test&lt;/b&gt;." in text


def test_page_of_a_hostile_name_stays_whole():
    text = make_text(name='"><script>alert(1)</script>')
    assert "<script>alert" not in text


def test_profile_of_a_missing_dataset_is_a_middling_instrument(tmp_path):
    profile = page.read_profile(tmp_path)
    assert len(profile["loudness_db"]) == page.N_QUANTILES
    assert profile["floor_db"] < profile["loudness_db"][0]


def test_a_page_of_quiet_notes_falls_silent_all_the_same(tmp_path, monkeypatch):
    quiet = transfer.Heard(np.linspace(60.0, 70.0, 5), np.linspace(-79.0, -40.0, 5))
    monkeypatch.setattr(page.transfer, "read_heard", lambda _: quiet)
    assert page.read_profile(tmp_path)["floor_db"] == -79.0  # silence is at -80


def test_models_of_power_are_refused():
    power = ("LEVEL_KEY = 'pw_scaled'", "LEVEL_TREND_KEY = 'power_trend'")
    model = render_helpers.build_model("stage2", bindings=power)
    with pytest.raises(errors.InputError, match="told unweighted power"):
        program_lib.describe(model)


@pytest.mark.parametrize(
    ("name", "message"),
    [("flute.wav", "name an .html file"), ("missing/flute.html", "no folder")],
)
def test_places_that_cannot_be_written_are_refused(name, message, tmp_path):
    class Run:
        path = tmp_path / "run"

    with pytest.raises(errors.InputError, match=message):
        page.write(tmp_path / name, Run())
