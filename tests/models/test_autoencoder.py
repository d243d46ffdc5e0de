import ddsp
import gin
import numpy as np
import pytest
import tensorflow as tf
from ddsp.training import ddsp_run
from ddsp.training import models as ddsp_models
from ddsp.training import trainers

from models import autoencoder
from models import schedules
from models.controls import conditioning
from models.controls import control_smoothing
from models.controls import smoothing
from models.decoders import mlp
from models.losses import regularizers
from models.losses import terms as loss_terms
from models.runs import warm_start
from tests.helpers import ladder_helpers

AUDIO_TOLERANCE = 2e-6  # float32 sums in another order
FEATURES = ("f0_hz", "loudness_db", "f0_confidence")


def small_model(
    *,
    loss_objs=(),
    n_frames=20,
    input_keys=("ld_scaled", "f0_scaled"),
    effect=None,
    **kwargs,
):
    n_samples = n_frames * 64
    splits = (("amps", 1), ("harmonic_distribution", 5), ("noise_magnitudes", 9))
    added = effect() if effect else None
    group = ddsp.processors.ProcessorGroup(
        dag=[
            (
                ddsp.synths.Harmonic(n_samples=n_samples, scale_fn=None),
                ["amps", "harmonic_distribution", "f0_hz"],
            ),
            (
                ddsp.synths.FilteredNoise(
                    n_samples=n_samples, window_size=0, scale_fn=None
                ),
                ["noise_magnitudes"],
            ),
            (ddsp.processors.Add(), ["filtered_noise/signal", "harmonic/signal"]),
            *([(added, ["add/signal"])] if added else []),
        ]
    )
    decoder = mlp.MlpDecoder(hidden=8, output_splits=splits, input_keys=input_keys)
    return autoencoder.LadderAutoencoder(
        decoder=decoder, processor_group=group, losses=loss_objs, **kwargs
    )


def copy_weights(source, target):
    for part in ("rnn", "out_stack", "dense_out"):
        weights = getattr(source.decoder, part).get_weights()
        getattr(target.decoder, part).set_weights(weights)
    for a, b in zip(
        source.decoder.input_stacks, target.decoder.input_stacks, strict=True
    ):
        b.set_weights(a.get_weights())
    reverb = source.processor_group.reverb.get_weights()
    target.processor_group.reverb.set_weights(reverb)


def stock_model(*bindings):
    gin.clear_config()
    gin.add_config_file_search_path(ddsp_run.GIN_PATH)
    with gin.unlock_config():
        gin.parse_config_file("models/solo_instrument.gin")
        gin.parse_config(list(bindings))
    return ddsp_models.get_model()


STOCK_BINDINGS = (
    "F0LoudnessPreprocessor.compute_loudness = False",
    "F0LoudnessPreprocessor.time_steps = 50",
    "Harmonic.n_samples = 3200",
    "FilteredNoise.n_samples = 3200",
    "RnnFcDecoder.rnn_channels = 32",
    "RnnFcDecoder.ch = 16",
    "Reverb.reverb_length = 1600",
)
OUR_BINDINGS = (
    "models.decoders.GruDecoder.rnn_channels = 32",
    "models.decoders.GruDecoder.ch = 16",
    "models.rates.n_samples_of.secs = 0.1",
    "models.losses.SpectralTerms.log_epsilon = 0.0",
)


@pytest.mark.slow
def test_stage5_computes_what_solo_instrument_does(rng):
    batch = ladder_helpers.make_batch(rng)
    ours = ladder_helpers.build_model("gin/stage5.gin", bindings=OUR_BINDINGS)
    ours(batch)
    theirs = stock_model(*STOCK_BINDINGS)
    theirs(batch)
    reverb = 0.01 * rng.normal(size=1600)
    theirs.processor_group.reverb.set_weights([reverb])
    copy_weights(theirs, ours)
    results = []
    for model in (ours, theirs):
        tf.random.set_seed(5)  # the same noise
        results.append(model(batch, return_losses=True, training=True))
    (found, our_losses), (expected, their_losses) = results
    # ddsp sums phases in float32, ours are exact: 12800 cycles drift apart by 1e-4.
    np.testing.assert_allclose(
        found["noise_audio"], expected["filtered_noise"]["signal"], atol=AUDIO_TOLERANCE
    )
    for key, name in (
        ("amps", "amplitudes"),
        ("harmonic_distribution", "harmonic_distribution"),
    ):
        np.testing.assert_allclose(
            found["controls"][key],
            expected["harmonic"]["controls"][name],
            atol=AUDIO_TOLERANCE,
        )
    level = np.abs(expected["audio_synth"]).max()
    np.testing.assert_allclose(
        found["audio_synth"], expected["audio_synth"], atol=5e-3 * level
    )
    np.testing.assert_allclose(
        our_losses["total_loss"], their_losses["total_loss"], rtol=1e-3
    )


@pytest.mark.slow
def test_stage5_with_ddsp_s_own_synth_gives_the_same_samples(rng):
    batch = ladder_helpers.make_batch(rng)
    ours = ladder_helpers.build_model("gin/stage5.gin", bindings=OUR_BINDINGS)
    ours.processor_group.harmonic = ddsp.synths.Harmonic(n_samples=3200, scale_fn=None)
    ours(batch)
    theirs = stock_model(*STOCK_BINDINGS)
    theirs(batch)
    copy_weights(theirs, ours)
    audio = []
    for model in (ours, theirs):
        tf.random.set_seed(5)
        audio.append(model(batch, training=False)["audio_synth"])
    np.testing.assert_allclose(*audio, atol=AUDIO_TOLERANCE)


@pytest.mark.slow
def test_ddsp_s_own_checkpoint_loads_into_stage5(rng, tmp_path):
    batch = ladder_helpers.make_batch(rng)
    theirs = stock_model(*STOCK_BINDINGS)
    theirs(batch)
    trainer = trainers.Trainer(theirs, tf.distribute.get_strategy())
    trainer.save(str(tmp_path))
    expected = theirs(batch, training=False)["harmonic"]["controls"]
    ours = ladder_helpers.build_model("gin/stage5.gin", bindings=OUR_BINDINGS)
    ours(batch)
    report = warm_start.restore_matching(ours, str(tmp_path))
    assert not report.initial and not report.ignored and not report.mismatched
    found = ours(batch, training=False)["controls"]
    np.testing.assert_allclose(
        found["harmonic_distribution"],
        expected["harmonic_distribution"],
        atol=1e-5,
    )


@pytest.mark.slow
def test_ddsp_s_own_trainer_trains_the_ladder(rng):
    ramp = schedules.Ramp(start=0.0, end=1.0, warmup_steps=1, ramp_steps=2)
    model = small_model(loss_objs=[loss_terms.WaveformMse(ramp)])
    batch = ladder_helpers.make_batch(rng, n_frames=20)
    trainer = trainers.Trainer(model, tf.distribute.get_strategy())
    trainer.build(batch)
    model.set_step(0)
    model._step_is_set = False
    values = [trainer.train_step(batch) for _ in range(5)]
    assert set(values[0]) == {"mse", "total_loss"}
    # Nobody sets the step: the model counts, so the ramp runs all the same.
    assert [float(value["mse"]) > 0.0 for value in values] == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert int(model.step) == 5


class ScaledByLength(ddsp.processors.Processor):
    """An effect whose variable is as long as what it is given."""

    def build(self, input_shape):
        self.gain = self.add_weight(name="gain", shape=[int(input_shape[-1])])

    def get_controls(self, audio):
        return {"audio": audio}

    def get_signal(self, audio):
        return audio + self.gain


def with_effect(effect):
    return small_model(
        effect=effect, smoothing=control_smoothing.ControlSmoothing(learned_one_pole)
    )


def learned_one_pole(**kwargs):
    return smoothing.OnePole(learned=True, **kwargs)


@pytest.mark.long
@pytest.mark.parametrize(
    "effect",
    [
        None,
        lambda: ddsp.effects.Reverb(trainable=True, reverb_length=50, name="room"),
        lambda: ScaledByLength(name="scaled"),
    ],
    ids=["none", "reverb", "by length"],
)
def test_variables_are_created_as_by_a_call(rng, effect):
    batch = ladder_helpers.make_batch(rng, n_frames=20)
    found = []
    for create in (
        lambda model: model(batch, training=False),
        lambda model: model.create_variables(batch),
    ):
        tf.keras.backend.clear_session()
        tf.keras.utils.set_random_seed(1)
        model = with_effect(effect)
        create(model)
        assert model.built
        found.append({v.name: v.numpy() for v in model.variables})
    called, created = found
    assert list(created) == list(called)
    for name, value in called.items():
        if "room" in name:  # drawn after the synth's noise, or before
            assert created[name].shape == value.shape == (50,)
        else:
            np.testing.assert_array_equal(created[name], value, name)
    assert any("alpha" in name for name in created)


def test_outputs_keep_the_contract(rng):
    model = small_model()
    batch = ladder_helpers.make_batch(rng, n_frames=20)
    outputs = model(batch, training=False)
    for name in ("controls", "raw_controls"):
        assert {key: tuple(value.shape) for key, value in outputs[name].items()} == {
            "amps": (2, 20, 1),
            "harmonic_distribution": (2, 20, 5),
            "noise_magnitudes": (2, 20, 9),
            "f0_hz": (2, 20, 1),
        }
    np.testing.assert_allclose(
        outputs["audio_synth"],
        outputs["harmonic_audio"] + outputs["noise_audio"],
        atol=1e-7,
    )
    assert set(batch) < set(outputs)
    assert model.get_audio_from_outputs(outputs) is outputs["audio_synth"]


def test_the_batch_is_not_changed(rng):
    batch = ladder_helpers.make_batch(rng, n_frames=20)
    keys = set(batch)
    small_model()(batch, training=False)
    assert set(batch) == keys


def test_what_is_trained_on_is_the_sum_of_weighted_terms(rng):
    model = small_model(
        loss_objs=[
            loss_terms.SpectralTerms(fft_sizes=(64,)),
            regularizers.HarmonicEntropy(weight=2.0),
        ]
    )
    batch = ladder_helpers.make_batch(rng, n_frames=20)
    outputs, values = model(batch, return_losses=True, training=True)
    names = {"spectral_mag", "spectral_logmag", "harmonic_entropy"}
    assert set(values) == {*names, "total_loss"}
    total = sum(float(values[name]) for name in names)
    np.testing.assert_allclose(values["total_loss"], total, rtol=1e-6)
    terms = outputs["loss_terms"]
    np.testing.assert_allclose(
        2.0 * terms["harmonic_entropy"], values["harmonic_entropy"], rtol=1e-6
    )


def test_outside_training_no_losses_are_computed(rng):
    model = small_model(loss_objs=[loss_terms.SpectralTerms(fft_sizes=(64,))])
    batch = ladder_helpers.make_batch(rng, n_frames=20)
    assert "loss_terms" not in model(batch, training=False)
    outputs = model(batch, training=False)
    weighted, terms = model.compute_losses(outputs)
    assert set(weighted) == set(terms) == {"spectral_mag", "spectral_logmag"}


@pytest.mark.slow
def test_schedules_move_without_retracing(rng):
    ramp = schedules.Ramp(start=0.0, end=1.0, warmup_steps=0, ramp_steps=10)
    model = small_model(loss_objs=[loss_terms.WaveformMse(weight=ramp)])
    batch = ladder_helpers.make_batch(rng, n_frames=20)
    model(batch)
    n_traces = 0

    @tf.function(autograph=False)
    def mse():
        nonlocal n_traces
        n_traces += 1
        _, values = model(batch, return_losses=True, training=True)
        return values["mse"]

    shares = []
    for step in (0, 5, 10, 20):
        model.set_step(step)
        tf.random.set_seed(1)
        shares.append(float(mse()))
    assert n_traces == 1
    assert shares[0] == 0.0
    np.testing.assert_allclose(shares[1] / shares[2], 0.5, rtol=0.1)
    assert int(model.step) == 20


def test_audio_losses_of_ddsp_can_be_used(rng):
    model = small_model(loss_objs=[ddsp.losses.SpectralLoss(fft_sizes=(64,))])
    batch = ladder_helpers.make_batch(rng, n_frames=20)
    _, values = model(batch, return_losses=True, training=True)
    assert set(values) == {"spectral_loss", "total_loss"}


def test_two_losses_of_one_name_are_refused(rng):
    model = small_model(
        loss_objs=[loss_terms.WaveformMse(1.0), loss_terms.WaveformMse(2.0)]
    )
    with pytest.raises(ValueError, match="rename one"):
        model(ladder_helpers.make_batch(rng, n_frames=20), training=True)


def test_examples_of_a_batch_do_not_mix(rng):
    model = small_model()
    batch = ladder_helpers.make_batch(rng, batch_size=3, n_frames=20)
    together = model.decode(batch)["controls"]
    alone = model.decode({key: value[1:2] for key, value in batch.items()})["controls"]
    for key, value in alone.items():
        np.testing.assert_allclose(together[key][1:2], value, atol=1e-6)


# What reaches a model that reads one input alone.
REACHES = {
    "ld_scaled": {"louder", "twice the range"},
    "loudness_trend": {"twice the range"},
    "f0_scaled": {"an octave up", "wider intervals"},
    "f0_trend": {"wider intervals"},
    "voicing": {"less sure"},
}


@pytest.mark.parametrize("key", REACHES)
def test_each_input_is_switched_by_its_key(rng, key):
    batch = ladder_helpers.make_batch(rng, n_frames=20)
    f0_hz, loudness_db = batch["f0_hz"], batch["loudness_db"]
    changes = {
        "louder": {"loudness_db": loudness_db + 3.0},
        "twice the range": {"loudness_db": 2.0 * loudness_db},
        "an octave up": {"f0_hz": 2.0 * f0_hz},
        "wider intervals": {"f0_hz": 440.0 * (f0_hz / 440.0) ** 2.0},
        "less sure": {"f0_confidence": 0.5 * batch["f0_confidence"]},
    }
    model = small_model(
        input_keys=(key,), conditioning=conditioning.Conditioning(with_trends=True)
    )
    raw = lambda features: model.decoder(model.conditioning(features))["amps"]
    before = raw(batch)
    moved = {
        name: np.abs(before - raw(batch | arrays)).max()
        for name, arrays in changes.items()
    }
    # How far anything moves hangs on the drawn weights; rounding is a share of it.
    above_rounding = 1e-3 * max(moved.values())
    assert {name for name in moved if moved[name] > above_rounding} == REACHES[key]


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: small_model(input_keys=("f0_scaled", "f0_trend")),
            "f0_trend, which .* set WITH_TRENDS = True",
        ),
        (
            lambda: small_model(input_keys=("f0_scaled", "pw_scaled")),
            "set LEVEL_KEY = 'pw_scaled'",
        ),
    ],
)
def test_bad_conditioning_is_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()
