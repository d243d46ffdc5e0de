"""What is exported for DDSP-VST is what the plug-in loads, and plays as the model does.

The plug-in itself is not here: its calling sequence and synths are a port
(`tests.helpers.ddsp_vst_player`), its pitch tracker is the real one where it is found.
"""

import dataclasses
import functools
import pathlib

import ddsp
import numpy as np
import pytest
import soundfile
import soxr
import tensorflow as tf
from ddsp.training import models as ddsp_models
from ddsp.training import preprocessing

from evaluation import run_render
from models.config import gin_config
from models.data import provider
from models.export import ddsp_vst
from models.export import plugin_file
from models.export import stock_twin
from models.runs import loading
from models.streaming import block_controls
from models.synths import harmonic
from models.training import request
from models.training import session
from prep import command_line
from prep import errors
from tests.helpers import ddsp_vst_player as player
from tests.helpers import render_helpers
from tests.helpers import training_helpers

TOLERANCE = 1e-4  # of controls, whose full scale is 2
STATE_TOLERANCE = 1e-3  # of the state, which holds Hz and dB
LEVEL_DB, CENTS = 0.5, 2.0  # of the plug-in's synths beside ours
N_FRAMES = 200
SMALL = (
    "N_HARMONICS = 60",
    "N_NOISE_BANDS = 65",
    "FRAME_RATE = 50",
    "N_SAMPLES = 16000",
    "TIME_STEPS = 50",
    "models.heads.ExpSigmoidHead.noise_bias = -3.0",
)
HEARD = ddsp_vst.HeardRange((55.0, 84.0), (-45.0, -12.0), (58.0, 80.0), (-35.0, -15.0))
# Conversion takes seconds: one rung of all that a state may hold is enough for a check.
OTHERS = ("stage0", "stage3", "stage4", "experiments/mingru", "stage5")
STAGES = ("stage2", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS))
TRACKER = pathlib.Path(__file__).resolve().parents[4] / "shared" / "ddsp_vst"


@functools.cache
def build(stage, *bindings):
    """A small model for the plug-in, with weights that make it sound."""
    names = (f"gin/{stage}.gin", "gin/overlays/ddsp_vst.gin", "gin/overlays/tiny.gin")
    gin_config.parse_files(gin_config.Sources(gin_files=names))
    gin_config.parse_bindings((*SMALL, *bindings))
    model = ddsp_models.get_model()
    loading.build_variables(model, n_samples=16000, n_frames=50)
    render_helpers.shake(model)
    return model


@functools.cache
def exported(stage):
    """The program of a small model."""
    return plugin_file.convert(ddsp_vst.PluginStep(build(stage), HEARD))


def gestures(n_frames=N_FRAMES):
    """Pitch and power that glide and swell within what was heard."""
    frame = np.arange(n_frames)
    f0_hz = 440.0 * 2.0 ** (0.5 * np.sin(frame / 17.0))
    return f0_hz.astype("f"), (-25.0 + 10.0 * np.sin(frame / 9.0)).astype("f")


# ---- 1: the file


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_program_is_what_the_plugin_demands(stage):
    content = exported(stage)
    assert plugin_file.check(content) == []
    names = {name for name, _ in plugin_file.operations(content)}
    assert "CUSTOM" not in names
    assert not {name for name in names if name.startswith("FLEX")}


@pytest.mark.slow
def test_the_check_sees_other_tensors_and_newer_operations(monkeypatch):
    content = exported("stage2")
    monkeypatch.setitem(plugin_file.NEWEST_VERSIONS, "FULLY_CONNECTED", 0)
    assert any("FULLY_CONNECTED" in fault for fault in plugin_file.check(content))
    monkeypatch.setitem(plugin_file.INPUTS, "call_state:0", 513)
    assert any("its tensors" in fault for fault in plugin_file.check(content))


@pytest.mark.long
def test_the_file_carries_the_range_of_the_instrument(tmp_path, monkeypatch):
    content = exported("stage2")
    monkeypatch.setattr(ddsp_vst, "measure_range", lambda dataset: HEARD)
    monkeypatch.setattr(plugin_file, "convert", lambda step: content)
    run = render_helpers.make_run(tmp_path, build("stage2"), name="flute")
    data = training_helpers.write_dataset(tmp_path / "data")
    target = plugin_file.target_path(tmp_path / "out", run.path.name)
    said = plugin_file.write(run, target, data_dir=data)
    assert str(target) in said
    assert target.name == "flute.tflite"
    found = player.read_metadata(target)
    assert found["mean_min_pitch_note_hz"] == pytest.approx(233.08, abs=0.01)
    assert found["mean_max_power_note"] == -15.0
    assert (found["num_harmonics"], found["num_noise_amps"]) == (60, 65)
    assert player.Controls(target.read_bytes()).step(0.5, 0.7)[0] > 0.0

    with pytest.raises(ddsp_vst.PluginError, match="--overwrite"):
        plugin_file.write(run, target, data_dir=data)
    plugin_file.write(run, target, data_dir=data, overwrite=True)
    assert player.read_metadata(target)["export_time"] != found["export_time"]


@pytest.mark.long
def test_the_range_is_that_of_the_notes(tmp_path):
    dataset = provider.PreparedDataset(
        training_helpers.write_dataset(tmp_path / "data"), frame_rate=50
    )
    heard = ddsp_vst.measure_range(dataset)
    batch = dataset.examples(range(dataset.n_examples))
    pitch = 69.0 + 12.0 * np.log2(batch["f0_hz"] / 440.0)
    assert heard.note_midi == pytest.approx(np.quantile(pitch, (0.05, 0.95)), abs=0.01)
    assert heard.power_db[0] < heard.note_power_db[0] < heard.note_power_db[1]
    assert heard.power_db[1] <= batch["power_db"].max()


def test_a_dataset_that_is_gone_is_asked_for(tmp_path):
    run = render_helpers.make_run(tmp_path, build("stage0"), name="flute")
    with pytest.raises(ddsp_vst.PluginError, match="--data_dir"):
        plugin_file.write(run, tmp_path / "a.tflite")


def test_a_file_may_be_named(tmp_path):
    named = tmp_path / "oboe.tflite"
    assert plugin_file.target_path(named, "run") == named


# ---- 2: the controls


@pytest.mark.parametrize("stage", STAGES)
def test_steps_are_the_models_own_sequence(stage):
    model = build(stage)
    f0_hz, power_db = gestures()
    batch = lambda values: tf.constant(values[np.newaxis, :, np.newaxis])
    expected = model.decode({"f0_hz": batch(f0_hz), "power_db": batch(power_db)})
    expected = {key: np.asarray(x)[0] for key, x in expected["controls"].items()}
    controls = player.Controls(exported(stage))
    for again in range(2):  # zeros are a reset
        for frame in range(N_FRAMES if again == 0 else 3):
            amplitude, harmonics, noise = controls.step(
                player.scale_pitch(f0_hz[frame]), power_db[frame] / 80.0 + 1.0
            )
            assert abs(amplitude - expected["amps"][frame, 0]) < TOLERANCE
            for found, key in (
                (harmonics, "harmonic_distribution"),
                (noise, "noise_magnitudes"),
            ):
                np.testing.assert_allclose(found, expected[key][frame], atol=TOLERANCE)
        controls.reset()


def test_the_papers_gru_fills_the_state_exactly():
    model = build("stage5", "models.decoders.GruDecoder.rnn_channels = 512")
    ddsp_vst.check_model(model)
    assert ddsp_vst.StateVector(block_controls.BlockControls(model)).n_numbers == 512


def test_states_go_round():
    vector = ddsp_vst.StateVector(block_controls.BlockControls(build("stage4")))
    numbers = np.zeros(512, np.float32)
    numbers[: vector.n_numbers] = np.arange(1, vector.n_numbers + 1)
    again = vector.pack(vector.unpack(tf.constant(numbers)))
    np.testing.assert_allclose(again, numbers, atol=STATE_TOLERANCE)


# ---- 3: the sound


@pytest.mark.long
def test_the_plugins_synths_sound_as_ours():
    model, content = build("stage2"), exported("stage2")
    f0_hz, power_db = np.full(N_FRAMES, 330.0, "f"), np.full(N_FRAMES, -20.0, "f")
    theirs = player.play(content, f0_hz, power_db / 80.0 + 1.0)
    batch = lambda values: tf.constant(values[np.newaxis, :, np.newaxis])
    decoded = model.decode({"f0_hz": batch(f0_hz), "power_db": batch(power_db)})
    audio = _synthesize(decoded["controls"])
    settled = slice(20 * player.HOP, None)
    level = lambda x: 10.0 * np.log10(np.mean(np.square(x[settled])))
    assert abs(level(theirs) - level(audio)) < LEVEL_DB


def _synthesize(controls):
    """Our own synths, whatever length the model was built for."""
    n_samples = N_FRAMES * player.HOP
    tones = harmonic.synthesize_harmonics(
        controls["amps"] * controls["harmonic_distribution"],
        controls["f0_hz"],
        n_samples=n_samples,
        sample_rate=player.RATE,
        fade="linear",
    )
    white = np.random.default_rng(1).uniform(-1, 1, [1, n_samples]).astype("f")
    noise = ddsp.core.frequency_filter(
        white, controls["noise_magnitudes"], window_size=0
    )
    return np.asarray(tones + noise)[0]


def test_the_plugins_harmonics_have_the_pitch_and_the_level():
    synths = player.Synths()
    shares = np.r_[1.0, np.zeros(59)]
    audio = np.concatenate([synths.harmonic(0.5, shares, 440.0) for _ in range(100)])
    steady = audio[player.HOP :]
    assert np.sqrt(np.mean(steady**2)) == pytest.approx(0.5 / np.sqrt(2), rel=1e-2)
    spectrum = np.abs(np.fft.rfft(steady * np.hanning(steady.size), 2**20))
    found = np.argmax(spectrum) * player.RATE / 2**20
    assert abs(1200.0 * np.log2(found / 440.0)) < CENTS
    assert not synths.harmonic(1.0, shares, 9000.0)[player.HOP // 2 :].any()


def test_the_plugins_noise_has_the_level_of_its_bands():
    synths = player.Synths()
    flat = np.concatenate([synths.noise(np.full(65, 0.3)) for _ in range(200)])
    assert np.sqrt(np.mean(flat**2)) == pytest.approx(0.3 / np.sqrt(3), rel=0.02)


# ---- 4: what the plug-in may ask for


@pytest.mark.parametrize("stage", STAGES)
def test_silence_is_silent_and_full_scale_no_louder_than_heard(stage):
    controls = player.Controls(exported(stage))
    pitch = player.scale_pitch(547.7)  # what its tracker answers in silence
    for _ in range(20):
        amplitude, _, noise = controls.step(pitch, 0.0)
        assert amplitude == 0.0
        assert not noise.any()

    loudest, beyond = player.Controls(exported(stage)), player.Controls(exported(stage))
    for _ in range(20):
        expected = loudest.step(0.5, HEARD.power_db[1] / 80.0 + 1.0)
        found = beyond.step(0.5, 1.0)
    for value, limit in zip(found, expected, strict=True):
        assert np.isfinite(value).all()
        np.testing.assert_allclose(value, limit, atol=TOLERANCE)


@pytest.mark.parametrize("f0_scaled", [0.0, 1.0, 2.0])
def test_pitches_never_heard_are_the_nearest_heard(f0_scaled):
    controls = player.Controls(exported("stage2"))
    nearest = 54.0 if f0_scaled == 0.0 else 85.0
    expected = player.Controls(exported("stage2")).step(nearest / 127.0, 0.7)
    found = controls.step(f0_scaled, 0.7)
    for value, limit in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, limit, atol=TOLERANCE)


def test_what_is_quieter_than_heard_fades_out():
    powers = np.array([-45.0, -48.0, -51.0, -54.0, -57.0, -70.0])
    levels = [
        player.Controls(exported("stage2")).step(0.55, power / 80.0 + 1.0)[0]
        for power in powers
    ]
    assert levels[0] > 0.0
    assert levels[4:] == [0.0, 0.0]
    assert levels[3] > 0.0


def test_a_dataset_that_is_quiet_throughout_still_fades():
    quiet = dataclasses.replace(HEARD, power_db=(-80.0, -78.0))
    assert -80.0 < quiet.silent_db < quiet.full_db


# ---- refusals


def refusal(stage, *bindings, overlay=True):
    names = [f"gin/{stage}.gin", "gin/overlays/tiny.gin"]
    if overlay:
        names.insert(1, "gin/overlays/ddsp_vst.gin")
    gin_config.parse_files(gin_config.Sources(gin_files=tuple(names)))
    gin_config.parse_bindings((*SMALL, *bindings))
    model = ddsp_models.get_model()
    loading.build_variables(model, n_samples=16000, n_frames=50)
    with pytest.raises((ddsp_vst.PluginError, block_controls.StreamError)) as caught:
        ddsp_vst.check_model(model)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


CONDITIONING = "models.conditioning.Conditioning."


@pytest.mark.parametrize(
    ("stage", "bindings", "said"),
    [
        ("transformer", (), "without a window"),
        (
            "transformer",
            ("models.decoders.TransformerDecoder.window = 64",),
            "keeps 512",
        ),
        ("experiments/smoothing_fir", (), "frames ahead"),
        ("stage0", ("N_HARMONICS = 40",), "40 harmonics"),
        ("stage0", (f"{CONDITIONING}use_confidence = True",), "confidence"),
        (
            "stage0",
            ("FRAME_RATE = 100", "N_SAMPLES = 8000"),
            "100 frames/s at 16000 Hz",
        ),
        (
            "experiments/mingru",
            ("models.decoders.MinGruDecoder.hidden = 500",),
            "keeps 512",
        ),
    ],
    ids=["transformer", "window", "fir", "counts", "confidence", "rate", "state"],
)
@pytest.mark.long
def test_what_the_plugin_cannot_play_is_refused(stage, bindings, said):
    assert said in refusal(stage, *bindings)


def test_a_model_of_loudness_is_refused_with_the_way_out():
    assert "gin/overlays/ddsp_vst.gin" in refusal("stage0", overlay=False)


# ---- ddsp's own model for the plug-in


@functools.cache
def stock_model():
    """ddsp's models/vst/vst.gin, made small."""
    gin_config.parse_files(gin_config.Sources(gin_files=("models/vst/vst.gin",)))
    gin_config.parse_bindings(
        (
            "RnnFcDecoder.rnn_channels = 24",
            "RnnFcDecoder.ch = 16",
            "n_samples = 16320",
            "FilteredNoiseReverb.reverb_length = 2000",
        )
    )
    model = ddsp_models.get_model()
    loading.build_variables(model, n_samples=16000, n_frames=50)
    for number, variable in enumerate(model.decoder.trainable_variables):
        variable.assign_add(
            0.3 * tf.random.stateless_normal(variable.shape, [number, 7])
        )
    return model


@pytest.mark.slow
def test_ddsps_own_model_is_exported_as_it_plays():
    model = stock_model()
    f0_hz, power_db = gestures(51)
    scaled = {
        "f0_scaled": preprocessing.scale_f0_hz(tf.constant(f0_hz[None, :, None])),
        "pw_scaled": preprocessing.scale_db(tf.constant(power_db[None, :, None])),
    }
    raw = model.decoder(scaled)
    group = model.processor_group
    expected = group.harmonic.get_controls(
        raw["amps"], raw["harmonic_distribution"], f0_hz[None, :, None]
    )
    noise = group.filtered_noise.get_controls(raw["noise_magnitudes"])["magnitudes"]

    twin = stock_twin.twin_of(model)
    ddsp_vst.check_model(twin)
    content = plugin_file.convert(ddsp_vst.PluginStep(twin, HEARD))
    controls = player.Controls(content)
    for frame in range(51):
        found = controls.step(
            player.scale_pitch(f0_hz[frame]), power_db[frame] / 80.0 + 1.0
        )
        assert abs(found[0] - expected["amplitudes"][0, frame, 0]) < TOLERANCE
        np.testing.assert_allclose(
            found[1], expected["harmonic_distribution"][0, frame], atol=TOLERANCE
        )
        np.testing.assert_allclose(found[2], noise[0, frame], atol=TOLERANCE)


def test_other_models_of_ddsp_are_refused():
    with pytest.raises(ddsp_vst.PluginError, match="is neither"):
        stock_twin.twin_of(tf.keras.Sequential())


# ---- from data to file

SHORT = (
    "batch_size = 2",
    "models.loop.LoopOptions.held_out_examples = 2",
    "train.steps_per_save = 2",
)
LADDER = (
    "models.teaching.Lessons.warm_up_steps = 2",
    "models.losses.SpectralTerms.fft_sizes = (256,)",
    "models.decoders.MlpDecoder.hidden = 8",
    "models.decoders.MlpDecoder.stack_ch = 8",
)
VST_GIN = (
    "RnnFcDecoder.rnn_channels = 8",
    "RnnFcDecoder.ch = 8",
    "FilteredNoiseReverb.reverb_length = 2000",
    "SpectralLoss.fft_sizes = (256,)",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gin_files", "bindings"),
    [
        (("gin/recommended.gin", "gin/overlays/ddsp_vst.gin"), LADDER),
        (("models/vst/vst.gin",), VST_GIN),
    ],
    ids=["recommended", "vst.gin"],
)
def test_a_run_is_trained_and_exported(tmp_path, capsys, gin_files, bindings):
    data = training_helpers.write_dataset(tmp_path / "data")
    result = session.train(
        request.TrainingRequest(
            save_dir=str(tmp_path / "reed"),
            gin_files=gin_files,
            bindings=(*SHORT, *bindings),
            data_dir=str(data),
            num_steps=2,
            quiet=True,
        )
    )
    assert result.step == 2
    words = [f"--run={tmp_path / 'reed'}", f"--export={tmp_path}", "--for=ddsp_vst"]
    assert command_line.run_words(run_render.PROGRAM, words) == 0
    content = (tmp_path / "reed.tflite").read_bytes()
    assert "reed.tflite" in capsys.readouterr().out
    assert plugin_file.check(content) == []
    loud = player.Controls(content).step(player.scale_pitch(300.0), 0.6)
    assert all(np.isfinite(values).all() for values in loud)


def test_a_dataset_of_another_rate_does_not_train_vst_gin(tmp_path):
    data = training_helpers.write_dataset(tmp_path / "data", sample_rate=48000)
    with pytest.raises(errors.InputError, match="is for 16000 Hz"):
        request.configure(
            request.TrainingRequest(
                save_dir=str(tmp_path / "run"),
                gin_files=("models/vst/vst.gin",),
                data_dir=str(data),
            )
        )


# ---- 5: the plug-in's own ears

LAG = 2  # hops from a frame's analysis to the middle of the frame that hears it played
MIN_CORRELATION = 0.9  # of levels in dB
MAX_CENTS = 5.0  # median


@functools.cache
def taught():
    """A small model that some steps have taught: a sawtooth, as loud as it is told."""
    model = build("stage0", "models.decoders.MlpDecoder.hidden = 24")
    shares = 1.0 / np.arange(1.0, 61.0)
    shares = tf.constant(shares / shares.sum(), tf.float32)
    optimizer = tf.keras.optimizers.Adam(1e-2, jit_compile=False)
    optimizer.build(model.decoder.trainable_variables)

    @tf.function(autograph=False)
    def teach(f0_hz, power_db):
        with tf.GradientTape() as tape:
            batch = {"f0_hz": f0_hz, "power_db": power_db}
            controls = model.decode(batch)["controls"]
            level = 20.0 / np.log(10.0) * tf.math.log(controls["amps"] + 1e-5)
            loss = tf.reduce_mean(tf.abs(level - power_db - 6.0)) / 10.0
            loss += tf.reduce_mean(tf.abs(controls["harmonic_distribution"] - shares))
            loss += tf.reduce_mean(controls["noise_magnitudes"])
        weights = model.decoder.trainable_variables
        optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )
        return level

    rng = np.random.default_rng(0)
    draw = lambda low, high: tf.constant(rng.uniform(low, high, [1, 256, 1]), "float32")
    for _ in range(300):
        teach(440.0 * 2.0 ** (draw(-14.0, 15.0) / 12.0), draw(-60.0, -8.0))
    return plugin_file.convert(ddsp_vst.PluginStep(model, HEARD))


@pytest.fixture
def plugin_ears():
    if not TRACKER.is_dir():
        pytest.skip("the plug-in's tracker is not at ../shared/ddsp_vst")
    return player.Ears(TRACKER / "extract_features_micro.tflite")


@pytest.mark.slow
def test_the_plugins_ears_play_its_recording(plugin_ears):
    audio, rate = soundfile.read(TRACKER / "ddsp_input_48k.wav", dtype="float32")
    audio = audio if audio.ndim == 1 else audio.mean(axis=1)
    f0_hz, pw_scaled = player.listen(plugin_ears, soxr.resample(audio, rate, 16000))
    played = player.play(taught(), f0_hz, pw_scaled)
    assert played.shape == (len(f0_hz) * player.HOP,)
    again_hz, again_scaled = player.listen(plugin_ears, played)

    # The same curves, as far as the recording is as loud as what was heard in training.
    last = len(f0_hz) - LAG
    asked_for = pw_scaled[:last] * 80.0 - 80.0
    found = again_scaled[LAG : LAG + last] * 80.0 - 80.0
    loud = (asked_for > HEARD.power_db[0]) & (asked_for < HEARD.power_db[1])
    assert loud.sum() > 50
    assert np.corrcoef(asked_for[loud], found[loud])[0, 1] > MIN_CORRELATION
    ratio = again_hz[LAG : LAG + last][loud] / f0_hz[:last][loud]
    assert np.median(np.abs(1200.0 * np.log2(ratio))) < MAX_CENTS
