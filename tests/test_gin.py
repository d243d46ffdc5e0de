"""Every gin file parses strictly, builds, steps, and differs in what its name says."""

import re

import gin
import numpy as np
import pytest
import tensorflow as tf

from models.config import checks
from models.config import gin_config
from tests.helpers import ladder_helpers

FILES = sorted(
    str(path.relative_to(ladder_helpers.REPOSITORY))
    for path in ladder_helpers.GIN.rglob("*.gin")
)
PARTS = ("gin/base.gin", "gin/dataset.gin")
OVERLAYS = [name for name in FILES if name.startswith("gin/overlays/")]
MODELS = [name for name in FILES if name not in PARTS and name not in OVERLAYS]
LADDER_PAGE = ladder_helpers.REPOSITORY / "docs" / "ladder.md"
SPANS = (slice(0, 30), slice(30, 50))  # frames before and from a change on
STAGES = [name for name in MODELS if "experiments" not in name]
PAST_TOLERANCE = 1e-6  # what float32 sums over a sequence may move
FAST_RATE = 3e-3  # ten times the stages' learning rate
AUTOENCODER = "models.autoencoder.LadderAutoencoder."
DECODER_BLOCK = (
    AUTOENCODER + "decoder",
    AUTOENCODER + "smoothing",
    "models.decoders.",
    "models.controls.",
    "models.smoothing.",
    "INPUT_KEYS",
    "WITH_TRENDS",
)
SMOOTHING = (AUTOENCODER + "smoothing", "models.controls.", "models.smoothing.")
DECODER = (AUTOENCODER + "decoder", "models.decoders.")
BATCH = ("batch_size", "models.trainer.LadderTrainer.accumulate_steps")
HEAD = (AUTOENCODER + "head", "models.heads.")
RECIPE = (  # how a stage is trained, and what it is played through; not what it is
    *BATCH,
    "models.dense.FastFcStack.first_bias",
    "models.teaching.Lessons.",
    "models.losses.TaughtControls.weight",
    "models.schedules.Ramp.",
    "learning_rate",
    "models.trainer.LadderTrainer.",
    "train.",
    "ddsp.training.train_util.train.",
    "ddsp.processors.ProcessorGroup.dag",
)
# What each file may change beside the file it is measured against.
DIFFERENCES = {
    "gin/stage1.gin": ("stage0", (*HEAD, "models.losses.SpectralTerms.logmag_weight")),
    "gin/stage2.gin": ("stage1", (*SMOOTHING, "INPUT_KEYS", "WITH_TRENDS")),
    "gin/stage3.gin": ("stage2", ("models.decoders.MlpDecoder.",)),
    "gin/stage4.gin": ("stage3", DECODER),
    "gin/stage5.gin": ("stage1", DECODER_BLOCK),
    "gin/transformer.gin": ("stage5", (*DECODER_BLOCK, *BATCH)),
    "gin/experiments/a_mlp_fir.gin": (
        "stage3",
        ("models.controls.ControlSmoothing.smoother", *BATCH),
    ),
    "gin/experiments/b_mlp.gin": (
        "experiments/a_mlp_fir",
        (AUTOENCODER + "smoothing",),
    ),
    "gin/experiments/c_transformer.gin": ("experiments/b_mlp", DECODER),
    "gin/experiments/d_transformer_onepole.gin": (
        "experiments/c_transformer",
        SMOOTHING,
    ),
    "gin/recommended.gin": ("stage3", RECIPE),
    "gin/experiments/no_warm_up.gin": ("recommended", ("models.teaching.Lessons.",)),
    "gin/experiments/no_data_start.gin": ("recommended", ("models.teaching.Lessons.",)),
    "gin/experiments/no_anchor.gin": (
        "recommended",
        ("models.losses.TaughtControls.weight",),
    ),
    "gin/experiments/untaught.gin": ("stage3", RECIPE),
    "gin/experiments/mingru.gin": ("stage4", DECODER),
    "gin/experiments/anti_collapse.gin": (
        "stage2",
        ("models.regularizers.HarmonicEntropy.weight", "models.schedules.Ramp."),
    ),
    "gin/experiments/loudness.gin": (
        "stage2",
        ("models.losses.LoudnessEnvelope.", "models.schedules.Ramp."),
    ),
    "gin/experiments/smoothing_biquad_learned.gin": (
        "experiments/smoothing_biquad",
        ("models.smoothing.Biquad.learned",),
    ),
    "gin/experiments/smoothing_before.gin": (
        "stage2",
        ("models.controls.ControlSmoothing.position",),
    ),
    "gin/experiments/smoothing_distribution.gin": (
        "stage2",
        ("models.controls.ControlSmoothing.targets",),
    ),
}
for _name in MODELS:
    if _name not in DIFFERENCES and "/smoothing_" in _name:
        DIFFERENCES[_name] = ("stage2", SMOOTHING)
    if _name not in DIFFERENCES and "/head_" in _name:
        DIFFERENCES[_name] = ("stage2", HEAD)


def flat_config(name):
    """All bindings of a file as {"selector.parameter" or macro: text}."""
    ladder_helpers.parse_stage(name)
    flat = {}
    for (scope, selector), bound in gin.config._CONFIG.items():
        for parameter, value in bound.items():
            key = scope if selector == "gin.macro" else f"{selector}.{parameter}"
            flat[key] = repr(value)
    return flat


def train_once(model, batch):
    with tf.GradientTape() as tape:
        outputs, losses = model(batch, return_losses=True, training=True)
    variables = model.trainable_variables
    gradients = tape.gradient(losses["total_loss"], variables)
    return (
        outputs,
        losses,
        dict(zip([v.name for v in variables], gradients, strict=True)),
    )


@pytest.mark.parametrize("name", FILES)
def test_header_tells_purpose_requirements_and_what_to_override(name):
    text = (ladder_helpers.REPOSITORY / name).read_text(encoding="utf-8")
    header = text.split("\n\n", 1)[0]
    assert header.startswith("# -*-Python-*-\n# ")
    assert "# Required:" in header
    assert "# Commonly overridden:" in header
    assert not re.search(r"['\"]/", text), "an absolute path"


@pytest.mark.parametrize("name", MODELS)
def test_model_files_parse_strictly(name):
    ladder_helpers.parse_stage(name)
    assert gin.query_parameter("N_SAMPLES/macro.value") * gin.query_parameter(
        "FRAME_RATE/macro.value"
    ) == gin.query_parameter("TIME_STEPS/macro.value") * gin.query_parameter(
        "SAMPLE_RATE/macro.value"
    )


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("stage", ["gin/stage2.gin", "gin/transformer.gin"])
def test_overlays_parse_strictly_over_stages(stage, overlay):
    ladder_helpers.parse_stage(stage, overlay)


def ramps(*files):
    """The settings of every schedule, as (scope, parameter, value)."""
    ladder_helpers.parse_stage(*files)
    return {
        (scope, name, value)
        for (scope, selector), bound in gin.config._CONFIG.items()
        if selector.endswith("schedules.Ramp")
        for name, value in bound.items()
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", ["loudness", "anti_collapse"])
def test_overlays_leave_the_schedules_of_others_alone(name, overlay):
    stage = f"gin/experiments/{name}.gin"
    assert ramps(stage)
    assert ramps(stage) <= ramps(stage, overlay)


@pytest.mark.parametrize("name", MODELS)
def test_every_macro_is_used(name):
    ladder_helpers.parse_stage(name)
    config = gin.config._CONFIG
    macros = {scope for scope, selector in config if selector == "gin.macro"}
    references = gin.config.iterate_references(
        config, to=gin.get_configurable("gin.macro")
    )
    used = {ref.scoped_selector.rsplit("/", 1)[0] for ref in references}
    assert macros - used == set()


def test_every_variant_is_compared():
    assert set(MODELS) - set(DIFFERENCES) == {"gin/stage0.gin"}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_variant_differs_in_what_its_name_says(name):
    baseline_name, allowed = DIFFERENCES[name]
    baseline = flat_config(f"gin/{baseline_name}.gin")
    candidate = flat_config(name)
    changed = {
        key
        for key in baseline.keys() | candidate.keys()
        if baseline.get(key) != candidate.get(key)
    }
    assert changed
    assert [key for key in sorted(changed) if not key.startswith(allowed)] == []


@pytest.mark.parametrize("name", ["transformer", "experiments/a_mlp_fir"])
def test_accumulated_batches_are_as_large_as_the_baseline_s(name):
    size = lambda config: (
        int(config["batch_size"])
        * int(config.get("models.trainer.LadderTrainer.accumulate_steps", 1))
    )
    assert size(flat_config(f"gin/{name}.gin")) == size(flat_config("gin/stage5.gin"))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_model_builds_and_takes_a_step(rng, name):
    model = ladder_helpers.build_model(name, ladder_helpers.TINY)
    batch = ladder_helpers.make_batch(rng)
    outputs, losses, gradients = train_once(model, batch)
    assert np.isfinite(losses["total_loss"])
    assert all(gradient is not None for gradient in gradients.values())
    controls = outputs["controls"]
    assert controls["harmonic_distribution"].shape == (2, 50, 12)
    assert controls["noise_magnitudes"].shape == (2, 50, 9)
    assert outputs["audio_synth"].shape == (2, 3200)
    assert np.all(np.isfinite(outputs["audio_synth"]))


@pytest.mark.slow
def test_a_dataset_at_48_khz_needs_no_other_bindings(rng):
    rate = ("SAMPLE_RATE = 48000", "N_SAMPLES = 9600", "TIME_STEPS = 50")
    ladder_helpers.parse_stage("gin/stage2.gin", ladder_helpers.TINY, bindings=rate)
    model = ladder_helpers.ddsp_models.get_model()
    batch = ladder_helpers.make_batch(rng, sample_rate=48000)
    outputs, losses, _ = train_once(model, batch)
    assert outputs["audio_synth"].shape == (2, 9600)
    assert np.isfinite(losses["total_loss"])
    assert model.loss_objs[0].frame_sizes == (1536, 192)
    assert model.processor_group.reverb._reverb_length == 4800


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_the_future_does_not_reach_the_past_of_any_stage(rng, name):
    model = ladder_helpers.build_model(name, ladder_helpers.TINY)
    batch = ladder_helpers.make_batch(rng)
    model(batch, training=False)
    for variable in model.decoder.trainable_variables:  # small at the start
        variable.assign_add(tf.constant(0.3 * rng.normal(size=variable.shape), "float"))
    later = tf.cast(tf.range(50) >= 30, tf.float32)[tf.newaxis, :, tf.newaxis]
    changed = dict(batch)
    changed["f0_hz"] = batch["f0_hz"] * (1.0 + 0.3 * later)
    changed["loudness_db"] = batch["loudness_db"] + 9.0 * later
    before, after = (model.decode(item)["controls"] for item in (batch, changed))
    for key in ("amps", "harmonic_distribution", "noise_magnitudes"):
        past, future = (np.abs(before[key] - after[key])[:, part] for part in SPANS)
        assert past.max() <= PAST_TOLERANCE, key
        assert future.max() > 10 * PAST_TOLERANCE, key


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "gin/stage5.gin",
        "gin/experiments/head_softmax_db.gin",
        "gin/experiments/smoothing_ar_residual.gin",
        "gin/experiments/smoothing_biquad_learned.gin",
    ],
)
def test_training_stays_finite_at_ten_times_the_learning_rate(rng, name):
    model = ladder_helpers.build_model(name, ladder_helpers.TINY)
    batch = ladder_helpers.make_batch(rng)
    model(batch, training=False)
    optimizer = tf.keras.optimizers.Adam(FAST_RATE)
    optimizer.build(model.trainable_variables)

    @tf.function(autograph=False)
    def train():
        with tf.GradientTape() as tape:
            _, losses = model(batch, return_losses=True, training=True)
        variables = model.trainable_variables
        gradients = tape.gradient(losses["total_loss"], variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return losses["total_loss"], tf.linalg.global_norm(gradients)

    values = np.array([train() for _ in range(200)])
    assert np.all(np.isfinite(values))
    assert np.mean(values[-10:, 0]) < values[0, 0]


def documented_rungs():
    """Gin file and decoder weights of each row of the table of rungs."""
    text = LADDER_PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(gin/\S+\.gin)` .*\| ([\d ]+) \|$", text, re.MULTILINE)
    return [(name, int(count.replace(" ", ""))) for name, count in rows]


@pytest.mark.slow
@pytest.mark.parametrize("name, n_weights", documented_rungs())
def test_the_documented_weights_are_the_model_s(rng, name, n_weights):
    model = ladder_helpers.build_model(name, n_frames=10)
    model.decode(ladder_helpers.make_batch(rng, n_frames=10))
    counts = [np.prod(item.shape) for item in model.decoder.trainable_variables]
    assert sum(counts) == n_weights


def test_the_ladder_s_page_names_parameters_that_exist():
    assert len(documented_rungs()) == 8
    ladder_helpers.parse_stage("gin/transformer.gin")
    by_class = {name.rsplit(".", 1)[-1]: name for name in gin_config.registered()}
    text = LADDER_PAGE.read_text(encoding="utf-8")
    named = re.findall(r"\b([A-Z][A-Za-z]+)\.([a-z]\w+)", text)
    assert len(named) > 40
    for short, parameter in named:
        selector = by_class[short]
        known = checks.constructor_parameters(gin.get_configurable(selector))
        known = known or gin_config.parameter_names(selector)
        assert parameter in known, f"{short}.{parameter}"
