"""Every gin parameter of ours, turned from its value, changes what comes out.

Each class that gin can build has a probe, which builds it and returns what it does:
outputs, gradients, weights, what it hands on. A parameter is turned to what `VALUES`
says, or by its type; where it acts only beside others, `BESIDE` binds these first. A
class without a probe, a parameter that cannot be turned and one that changes nothing
fail here, and so does a binding of a gin file that is in none of the tables.
"""

import contextlib
import inspect
import itertools
import pathlib
import types
from collections.abc import Callable
from typing import Any

import gin
import numpy as np
import pytest
import tensorflow as tf

from models import registry  # noqa: F401  registers what is probed
from models.config import gin_config
from models.controls import control_smoothing
from models.layers import dense
from models.losses import teacher
from models.synths import seeded_noise
from models.teaching import lessons
from models.training import assembly
from models.training import loop
from models.training import options as training_options
from models.training import selection
from tests.helpers import ladder_helpers
from tests.helpers import training_helpers

pytestmark = pytest.mark.usefixtures("clean_gin")
N_FRAMES, HOP, N_HARMONICS, N_BANDS = 20, 64, 6, 5
N_SAMPLES = N_FRAMES * HOP
N_STEPS = 110  # of a loop: two measurements by default
SPLITS = f"(('amps', 1), ('harmonic_distribution', {N_HARMONICS}), "
SPLITS += f"('noise_magnitudes', {N_BANDS}))"

GIN_FILES = sorted(ladder_helpers.GIN.rglob("*.gin"))

# --- what is bound, and what it is turned to, in gin's notation ---

# What stands while the parameters of a class are turned; sizes that are quick.
DECODER = {
    "input_keys": "('ld_scaled', 'f0_scaled')",
    "output_splits": SPLITS,
    "stack_layers": "1",
    "stack_ch": "4",
}
BASE = {
    "GruDecoder": {
        "input_keys": DECODER["input_keys"],
        "output_splits": SPLITS,
        "rnn_channels": "3",
        "ch": "4",
        "layers_per_stack": "1",
    },
    "MlpDecoder": DECODER | {"hidden": "4", "n_layers": "1"},
    "MicroRnnDecoder": DECODER | {"hidden": "16"},
    "MinGruDecoder": DECODER | {"hidden": "4"},
    "TransformerDecoder": {
        "input_keys": DECODER["input_keys"],
        "output_splits": SPLITS,
        "d_model": "4",
        "n_layers": "1",
    },
    "FastRnnFcDecoder": {
        "input_keys": DECODER["input_keys"],
        "output_splits": SPLITS,
        "rnn_channels": "3",
        "ch": "4",
        "layers_per_stack": "1",
    },
    "FastFcStack": {"ch": "4", "layers": "1"},
    "FastHarmonic": {"n_samples": str(N_SAMPLES)},
    "FastFilteredNoise": {"n_samples": str(N_SAMPLES), "window_size": "0"},
    "FastReverb": {"trainable": "True", "reverb_length": "60"},
    "SpectralTerms": {"fft_sizes": "(128, 64)"},
    "FastSpectralLoss": {"fft_sizes": "(128, 64)", "logmag_weight": "1.0"},
    "LoudnessEnvelope": {"weight": "1.0"},
    "WaveformMse": {"weight": "1.0"},
    "HarmonicEntropy": {"weight": "1.0"},
    "HarmonicConcentration": {"weight": "1.0"},
    "NoiseDominance": {"weight": "1.0", "target_ratio": "0.1"},
    "TaughtControls": {"weight": "1.0"},
    "Ramp": {"start": "1.0", "end": "2.0", "warmup_steps": "2", "ramp_steps": "4"},
    "n_samples_of": {"secs": "0.5", "rate": "100"},
    "PreparedDataset": {"data_dir": "'{whole}'"},
    "Lessons": {"warm_up_steps": "3"},
    "LadderTrainer": {"lr_decay_steps": "10", "total_steps": "100"},
}
# By class and parameter, or by the parameter's name alone.
VALUES = {
    "name": "'another'",
    "product_precision": "'bfloat16'",
    "sample_rate": "8000",
    "frame_rate": "125",
    "scale_fn": "None",
    "amp_resample_method": "'linear'",
    "loss_type": "'L2'",
    "fft_sizes": "(256, 64)",
    "noise_activation": "'sigmoid'",
    "LegacyHead.noise_activation": "'exp_sigmoid'",
    "temperature": "3.0",
    "amp_floor": "0.5",
    "position": "'before'",
    "targets": "('harm_dist',)",
    "smoother": "@models.smoothing.Fir",
    "alpha": "0.5",
    "leak": "0.5",
    "mode": "'linear_l2'",
    "source": "'audio'",
    "input_keys": "('f0_scaled',)",
    "output_splits": SPLITS.replace(f"{N_BANDS}))", f"{N_BANDS + 1}))"),
    "activation": "'leaky_relu'",
    "level_keys": "('pw_scaled', 'power_trend')",
    "n_frames": str(N_FRAMES - 1),
    "window": "2",
    "n_heads": "2",
    "n_samples": str(2 * N_SAMPLES),
    "memory_budget_bytes": "100",
    "rnn_type": "'lstm'",
    "nonlinearity": "'relu'",
    "split": "'eval'",
    "max_examples": "2",
    "data_dir": "'{other}'",
    "early_stop_loss_value": "9.0",
    "held_out_split": "'train'",
    "lr_schedule": "'cosine'",
    "clip_mode": "'element'",
    "lr_min": "1e-4",
    "lr_decay_rate": "0.5",
    "restore_keys": "['decoder']",
    "decoder": "@models.decoders.MinGruDecoder()",
    "head": "@models.heads.NormalizedHead()",
    "smoothing": "@models.controls.ControlSmoothing()",
    "losses": "[@models.losses.WaveformMse()]",
    "conditioning": "@other/models.conditioning.Conditioning()",
    "processor_group": "@other/processors.ProcessorGroup()",
}
# Where a parameter acts only beside others.
BESIDE = {
    "Conditioning.sample_rate": {"recompute_loudness": "True"},
    "Conditioning.frame_rate": {"with_trends": "True"},
    "Conditioning.delta_secs": {"with_trends": "True"},
    "LoudnessEnvelope.sample_rate": {"source": "'audio'"},
    "LoudnessEnvelope.frame_rate": {"source": "'audio'"},
    "PreparedDataset.require_completed": {"data_dir": "'{unfinished}'"},
    "PreparedDataset.include_audio_16k": {"data_dir": "'{other}'"},
    "LadderTrainer.total_steps": {"lr_schedule": "'cosine'"},
    "LadderTrainer.lr_warmup_steps": {"lr_warmup_steps": "2"},
    "LadderAutoencoder.conditioning": {
        "other/models.conditioning.Conditioning.use_confidence": "False"
    },
    "LadderAutoencoder.losses": {"models.losses.WaveformMse.weight": "1.0"},
}
# Whose effect is that something is refused. The first two have one value, which ddsp's
# gin files and the configurations of finished runs say.
REFUSED = {
    "FastRnnFcDecoder.rnn_type",
    "FastFcStack.nonlinearity",
    "TransformerDecoder.memory_budget_bytes",
    "PreparedDataset.require_completed",
}


def own_classes() -> dict[str, str]:
    """Selector of everything of ours that gin builds, by its last name."""
    names = [name for name in gin_config.registered() if name.startswith("models.")]
    return {name.rsplit(".", 1)[-1]: name for name in names}


def own_parameters(name: str) -> list[str]:
    """What a class of ours takes, with what its parents of ours take."""
    target = gin.config._REGISTRY.get_match(own_classes()[name]).wrapped
    if not inspect.isclass(target):
        return list(inspect.signature(target).parameters)
    found: list[str] = []
    for parent in target.__mro__:
        constructor = vars(parent).get("__init__")
        if constructor is None or not parent.__module__.startswith(("models.", "ddsp")):
            continue
        parameters = inspect.signature(constructor).parameters.values()
        kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        found += [p.name for p in parameters if p.kind not in kinds]
        hands_on = any(p.kind == inspect.Parameter.VAR_KEYWORD for p in parameters)
        if not hands_on or not parent.__module__.startswith("models."):
            break
        if not any(m.__module__.startswith("models.") for m in parent.__mro__[1:]):
            break  # what it hands on is Keras's and ddsp's
    return [name for name in dict.fromkeys(found) if name != "self"]


# --- what is put in ---


def arrays() -> dict[str, tf.Tensor]:
    """Features, raw and scaled controls and two signals, the same each time."""
    rng = np.random.default_rng(0)
    shape = [2, N_FRAMES]
    normal = lambda *size: rng.normal(size=[*shape, *size])
    shares = rng.uniform(0.1, 1.0, [*shape, N_HARMONICS])
    values = {
        "f0_hz": rng.uniform(300.0, 1500.0, [*shape, 1]),  # some cross Nyquist
        "f0_confidence": rng.uniform(0.0, 1.0, [*shape, 1]),
        "loudness_db": rng.uniform(-60.0, -10.0, [*shape, 1]),
        "power_db": rng.uniform(-60.0, -10.0, [*shape, 1]),
        "ld_scaled": rng.uniform(0.1, 0.9, [*shape, 1]),
        "f0_scaled": rng.uniform(0.1, 0.9, [*shape, 1]),
        "voicing": rng.uniform(0.0, 1.0, [*shape, 1]),
        "audio": 0.1 * rng.normal(size=[2, N_SAMPLES]),
        "audio_synth": 0.1 * rng.normal(size=[2, N_SAMPLES]),
        "raw_amps": normal(1),
        "raw_distribution": normal(N_HARMONICS),
        "raw_noise": normal(N_BANDS),
        "amps": rng.uniform(0.1, 0.5, [*shape, 1]),
        "distribution": shares / shares.sum(axis=-1, keepdims=True),
        "noise": rng.uniform(0.01, 0.5, [*shape, N_BANDS]),
        teacher.HARMONICS_KEY: rng.uniform(-60.0, -20.0, [*shape, N_HARMONICS]),
        teacher.NOISE_KEY: rng.uniform(-60.0, -20.0, [*shape, N_BANDS]),
        teacher.WEIGHTS_KEY: rng.uniform(0.1, 1.0, [*shape, 2]),
    }
    return {key: tf.constant(value, tf.float32) for key, value in values.items()}


def few_frames() -> dict[str, tf.Tensor]:
    """What decoders read, for as many frames as show a memory."""
    given = arrays()
    return {key: given[key][:, :4] for key in ("ld_scaled", "f0_scaled")}


def raw_controls() -> dict[str, tf.Tensor]:
    """Outputs of a decoder."""
    given = arrays()
    return {
        "amps": given["raw_amps"],
        "harmonic_distribution": given["raw_distribution"],
        "noise_magnitudes": given["raw_noise"],
    }


def model_outputs() -> dict[str, Any]:
    """Outputs of a model, as its losses read them."""
    given = arrays()
    controls = {
        "amps": given["amps"],
        "harmonic_distribution": given["distribution"],
        "noise_magnitudes": given["noise"],
        "f0_hz": given["f0_hz"],
    }
    return {**given, "controls": controls}


# --- probes: what a class does ---


def build(name: str) -> Any:
    """Makes what gin makes of a class, with weights of a fixed seed."""
    tf.keras.utils.set_random_seed(0)
    return gin.get_configurable(own_classes()[name])()


def weights_of(layer: Any) -> list[Any]:
    """Values of the weights."""
    return [variable.numpy() for variable in layer.trainable_variables]


def probe_head(name: str) -> Any:
    head = build(name)
    controls = head(raw_controls(), arrays()["f0_hz"])
    return controls, head.amps_limits


def probe_smoother(name: str) -> Any:
    smoother = build(name)
    return smoother(arrays()["amps"]), weights_of(smoother)


def probe_smoothing(name: str) -> Any:
    smooth = build(name)
    head = gin.get_configurable("models.heads.ExpSigmoidHead")()
    return control_smoothing.scale_and_smooth(
        raw_controls(),
        arrays()["f0_hz"],
        head=head,
        smooth=smooth,
        position=smooth.position,
    )


def probe_conditioning(name: str) -> Any:
    keys = ("f0_hz", "loudness_db", "f0_confidence", "audio", "power_db")
    given = arrays()
    return build(name)(**{key: given[key] for key in keys})


def probe_decoder(name: str) -> Any:
    decoder = build(name)
    return dict(decoder(few_frames())), weights_of(decoder)


def probe_ddsp_decoder(name: str) -> Any:
    decoder = build(name)
    state = tf.zeros([2, decoder.rnn.rnn.units])
    outputs = decoder({**few_frames(), "state": state})
    return dict(outputs), weights_of(decoder)


def probe_stack(name: str) -> Any:
    stack = build(name)
    given = arrays()["ld_scaled"]
    asked = []

    def record(*arguments, **flags):
        asked.append(flags)
        return fully_connected(*arguments, **flags)

    fully_connected = dense.fully_connected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense, "fully_connected", record)
        return stack(given), weights_of(stack), asked


def probe_harmonic(name: str) -> Any:
    synth, given = build(name), arrays()
    f0_hz = given["f0_hz"]
    with tf.GradientTape() as tape:
        tape.watch(f0_hz)
        audio = synth(given["amps"], given["distribution"], f0_hz)
    return synth.name, audio, tape.gradient(audio, f0_hz) is None


def probe_noise(name: str) -> Any:
    synth = build(name)
    with seeded_noise.reproducible(seeded_noise.NoiseKey(0, 0)):
        return synth.name, synth(arrays()["raw_noise"])


def probe_reverb(name: str) -> Any:
    reverb, audio = build(name), arrays()["audio"]
    if not reverb.trainable:
        return reverb.name, reverb(audio, tf.ones([2, 60]))
    return reverb.name, reverb(audio), weights_of(reverb)


def probe_loss(name: str) -> Any:
    loss, outputs = build(name), model_outputs()
    steps = [None, tf.constant(0), tf.constant(3)]
    return loss.name, [loss.get_losses_dict(outputs, step) for step in steps]


def probe_ddsp_loss(name: str) -> Any:
    given = arrays()
    return build(name).get_losses_dict(given["audio"], given["audio_synth"])


def probe_ramp(name: str) -> Any:
    ramp = build(name)
    return [float(ramp(tf.constant(step))) for step in range(12)]


def probe_dataset(name: str) -> Any:
    dataset = build(name)
    order = [int(index) for index in dataset._epoch(0, shuffle=True)]
    return dataset.examples([0]), order


class RecordedLoop(loop.Loop):
    """A loop that notes what it would do."""

    def __init__(self, *arguments, **flags):
        self.done: list[Any] = []
        super().__init__(*arguments, **flags)

    step = 0

    def _dump(self, step, *measured):
        self.done.append(("dump", step))

    def _write_row(self, step, row):
        self.done.append(("row", step))

    def _save(self, step):
        self.done.append(("save", step))

    def _measured(self):
        self.done.append("measured")
        return np.array([5.0 - 0.01 * len(self.done)]), {}


def probe_loop(name: str) -> Any:
    """What a loop asks for when it is made, and does at each of its steps."""
    options, asked = build(name), []
    watch = types.SimpleNamespace(observe=lambda *a, **k: {}, has_collapsed=False)
    means = types.SimpleNamespace(last=lambda key: 8.0)
    stepper = types.SimpleNamespace(means=means)
    recorder = lambda made: (
        lambda *a, **flags: (
            asked.append({k: v for k, v in flags.items() if k != "progress"}) or made
        )
    )
    training = assembly.Training(
        block=assembly.TrainBlock(None, 1, N_STEPS, 1000),
        options=options,
        trainer=types.SimpleNamespace(model=None),
        held_out=None,
        progress=selection.Progress(),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.held_out_lib, "measurement", recorder(None))
        patch.setattr(loop.observer, "Observer", recorder(watch))
        patch.setattr(loop.stepper, "Stepper", recorder(stepper))
        patch.setattr(assembly.Training, "trackables", {})
        patch.setattr(
            loop.selection,
            "note_measurement",
            lambda progress, **flags: asked.append(flags) or False,
        )
        clock = itertools.count(0.0, 10.0)
        run = RecordedLoop(training, run_dir=None, clock=lambda: next(clock))
        run._budget.start()
        run.progress.stale.assign(7)
        reasons = [run._after(step) for step in range(1, N_STEPS + 1)]
    return asked, run.done, reasons, held_out_asked(options)


def held_out_asked(options: training_options.LoopOptions) -> list[Any]:
    """Which examples a run would be judged by."""
    asked = []
    info = types.SimpleNamespace(n_examples=lambda split: 4, data_dir="data")
    with pytest.MonkeyPatch.context() as patch:
        for module, function in (
            (assembly.held_out_lib, "held_out_batch"),
            (assembly.held_out_lib, "first_batch"),
            (assembly.data_provider, "PreparedDataset"),
        ):
            made = type(function, (), {"__init__": lambda s, *a, **k: None})
            note = lambda *a, function=function, **k: asked.append((function, k))
            patch.setattr(
                module, function, note if module is assembly.held_out_lib else made
            )
        assembly.make_held_out(object(), info, options=options)
    return asked


def probe_trainer(name: str) -> Any:
    """What the run's optimiser, its checkpoints and its noise are made of."""
    model = types.SimpleNamespace()
    strategy = tf.distribute.get_strategy()
    trainer = assembly.make_trainer(model, strategy, num_steps=40, seed=3)
    rates = [float(trainer.optimizer._learning_rate(s)) for s in (0, 1, 5, 20, 80)]
    gradients = [tf.constant([3.0, -40.0])]
    clipped, _ = assembly.trainer_lib.optimizer.clip_gradients(
        gradients, settings=trainer.settings
    )
    handed_on = ("accumulate_steps", "checkpoints_to_keep", "restore_keys", "seed")
    handed_on += ("product_precision",)
    return rates, clipped, [getattr(trainer.options, name) for name in handed_on]


def probe_lessons(name: str) -> Any:
    """What the warm-up is asked for, and whether layers start from the data."""
    asked, settings = [], build(name)
    warm_up = types.SimpleNamespace(
        optimizer=None, progress=None, fit_output_bias=lambda: asked.append("bias")
    )
    note = lambda *a, **flags: asked.append(flags) or warm_up
    means = types.SimpleNamespace(harmonics=0.0, noise=0.0)
    with pytest.MonkeyPatch.context() as patch:
        material = types.SimpleNamespace(inputs={})
        patch.setattr(lessons.material_lib, "gather", lambda *a: material)
        patch.setattr(lessons.warm_up_lib, "WarmUp", note)
        fit = lambda *a, seed: asked.append(seed)
        patch.setattr(lessons.warm_up_lib, "fit_first_layers", fit)
        patch.setattr(lessons.checkpoints, "CheckpointStore", lambda *a, **k: None)
        patch.setattr(lessons.checkpoints, "newest_sound", lambda folder: None)
        patch.setattr(lessons, "_advance", lambda *a, **k: means)
        lessons.teach(
            types.SimpleNamespace(decoder=None),
            types.SimpleNamespace(info=types.SimpleNamespace(sample_rate=16000)),
            {},
            settings=settings,
            run_dir=pathlib.Path("nowhere"),
            seed=0,
            measuring_secs=0.0,
            show=print,
        )
    return asked


def probe_model(name: str) -> Any:
    """A tiny stage 1: its outputs and losses."""
    del name
    tf.keras.utils.set_random_seed(0)
    model = ladder_helpers.ddsp_models.get_model()
    with seeded_noise.reproducible(seeded_noise.NoiseKey(0, 0)):
        keys = ("f0_hz", "loudness_db", "f0_confidence", "audio")
        given = arrays()
        batch = {key: given[key] for key in keys}
        outputs, losses = model(batch, return_losses=True, training=True)
    return outputs["controls"], outputs["raw_controls"], outputs["audio_synth"], losses


PROBES: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(
        ("ExpSigmoidHead", "LegacyHead", "NormalizedHead", "SoftmaxDbHead"), probe_head
    ),
    **dict.fromkeys(("OnePole", "Biquad", "ArResidual", "Fir"), probe_smoother),
    "ControlSmoothing": probe_smoothing,
    "Conditioning": probe_conditioning,
    **dict.fromkeys(
        (
            "MlpDecoder",
            "MicroRnnDecoder",
            "MinGruDecoder",
            "GruDecoder",
            "TransformerDecoder",
        ),
        probe_decoder,
    ),
    "FastRnnFcDecoder": probe_ddsp_decoder,
    "FastFcStack": probe_stack,
    "FastHarmonic": probe_harmonic,
    "FastFilteredNoise": probe_noise,
    "FastReverb": probe_reverb,
    **dict.fromkeys(
        (
            "SpectralTerms",
            "LoudnessEnvelope",
            "WaveformMse",
            "HarmonicEntropy",
            "HarmonicConcentration",
            "NoiseDominance",
            "TaughtControls",
        ),
        probe_loss,
    ),
    "FastSpectralLoss": probe_ddsp_loss,
    "Ramp": probe_ramp,
    "n_samples_of": build,
    "PreparedDataset": probe_dataset,
    "LoopOptions": probe_loop,
    "LadderTrainer": probe_trainer,
    "Lessons": probe_lessons,
    "LadderAutoencoder": probe_model,
}


# --- turning ---


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    """Folders of datasets: two whole ones of different rate, one unfinished."""
    folder = tmp_path_factory.mktemp("data")
    size = {"n_train": 4, "n_eval": 2, "example_secs": 0.08}
    training_helpers.write_dataset(folder / "whole", **size)
    training_helpers.write_dataset(folder / "other", **size, sample_rate=32000)
    training_helpers.write_dataset(folder / "unfinished", **size, completed=False)
    return {path.name: str(path) for path in folder.iterdir()}


@contextlib.contextmanager
def eagerly():
    """Compiles nothing: each turn would be a kernel of its own."""
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


TINY_MODEL = (
    f"N_SAMPLES = {N_SAMPLES}",
    f"TIME_STEPS = {N_FRAMES}",
    "models.losses.SpectralTerms.fft_sizes = (128,)",
    "models.decoders.MlpDecoder.hidden = 4",
    "models.rates.n_samples_of.secs = 0.01",
    "models.decoders.MinGruDecoder.output_splits = %OUTPUT_SPLITS",
    "other/processors.ProcessorGroup.dag = [(@models.synths.FastHarmonic(), "
    "['amps', 'harmonic_distribution', 'f0_hz'])]",
)


def observe(name: str, bound: dict[str, str], datasets: dict[str, str]) -> Any:
    """What a class does under some bindings; the error where it refuses them."""
    if name == "LadderAutoencoder":
        ladder_helpers.parse_stage(
            "gin/stage1.gin", ladder_helpers.TINY, bindings=TINY_MODEL
        )
    elif name == "LadderTrainer":
        gin_config.parse_files(gin_config.Sources())
    else:
        gin.clear_config()
    selector = own_classes()[name]
    for key, value in bound.items():
        where = key if "." in key else f"{selector}.{key}"
        value = value.format(**datasets) if "'{" in value else value
        gin_config.parse_bindings([f"{where} = {value}"])
    # Pipelines of data are graphs, whatever is asked for.
    quick = contextlib.nullcontext() if name == "PreparedDataset" else eagerly()
    with quick, contextlib.suppress(ValueError, FileNotFoundError):
        return PROBES[name](name)
    return "refused"


def turned(name: str, parameter: str, bound: dict[str, str]) -> str:
    """Another value of a parameter, in gin's notation."""
    for key in (f"{name}.{parameter}", parameter):
        if key in VALUES:
            return VALUES[key]
    if parameter in bound:
        value = gin.config.parse_value(bound[parameter])
    else:
        target = gin.config._REGISTRY.get_match(own_classes()[name]).wrapped
        value = default_of(target, parameter)
    if isinstance(value, bool):
        return repr(not value)
    if isinstance(value, int | float):
        return repr(2 * value + 1)
    raise AssertionError(
        f"{name}.{parameter} is {value!r}, which turns to nothing by itself: give it a "
        "line in VALUES."
    )


def default_of(target: Any, parameter: str) -> Any:
    """A parameter's default, the class's own before its parents'."""
    makers = inspect.getmro(target) if inspect.isclass(target) else (target,)
    for maker in makers:
        function = vars(maker).get("__init__") if inspect.isclass(maker) else maker
        if function and parameter in inspect.signature(function).parameters:
            return inspect.signature(function).parameters[parameter].default
    raise AssertionError(f"{target} has no {parameter}")


def leaves(value: Any) -> list[Any]:
    """All that a probe saw, as a flat list of keys, texts and arrays."""
    if isinstance(value, dict):
        return [x for key in sorted(value) for x in (key, *leaves(value[key]))]
    if isinstance(value, list | tuple):
        return [len(value), *(x for item in value for x in leaves(item))]
    return [np.asarray(value)]


def differ(before: Any, after: Any) -> bool:
    one, other = leaves(before), leaves(after)
    if len(one) != len(other):
        return True
    for left, right in zip(one, other, strict=True):
        left, right = np.asarray(left), np.asarray(right)
        if left.shape != right.shape or not np.array_equal(left, right):
            return True
    return False


def test_everything_that_gin_builds_has_a_probe():
    assert set(PROBES) == set(own_classes())


@pytest.mark.parametrize("name", PROBES)
@pytest.mark.long
def test_every_parameter_changes_what_comes_out(name, datasets):
    base = BASE.get(name, {})
    plain = observe(name, base, datasets)
    # Seen twice the same, or every parameter would seem to change something.
    assert not differ(plain, observe(name, base, datasets))
    unchanged, refused = [], []
    for parameter in own_parameters(name):
        beside = BESIDE.get(f"{name}.{parameter}", {})
        before = observe(name, base | beside, datasets) if beside else plain
        turn = {parameter: turned(name, parameter, base | beside)}
        after = observe(name, base | beside | turn, datasets)
        if not differ(before, after):
            unchanged.append(parameter)
        if isinstance(before, str) or isinstance(after, str):
            refused.append(f"{name}.{parameter}")
    assert unchanged == []
    assert set(refused) <= REFUSED, "turn them to what is allowed"


# --- what the gin files bind beside ---

# Bound for ddsp's `Trainer`, and for ours, which then counts alone.
OF_TRAINER = {
    "learning_rate": ("0.01", "0.02"),
    "lr_decay_steps": ("77", "88"),
    "lr_decay_rate": ("0.5", "0.25"),
    "grad_clip_norm": ("7.0", "8.0"),
    "checkpoints_to_keep": ("9", "8"),
}
OF_TRAIN_BLOCK = {"batch_size": 5, "num_steps": 6, "steps_per_save": 7}
OTHERS = {
    *(f"ddsp.training.trainers.Trainer.{name}" for name in OF_TRAINER),
    *(f"ddsp.training.train_util.train.{name}" for name in OF_TRAIN_BLOCK),
    "ddsp.training.train_util.train.data_provider",
    "ddsp.training.models.get_model.model",
    "ddsp.processors.ProcessorGroup.dag",
    "ddsp.processors.Add.name",
    "ddsp.training.models.Autoencoder.decoder",
    "ddsp.training.models.Autoencoder.losses",
}


def test_every_binding_of_a_gin_file_is_turned_somewhere():
    names = [path.relative_to(ladder_helpers.REPOSITORY) for path in GIN_FILES]
    assert len(names) > 30
    found: dict[str, str] = {}
    gin_config.parse_files(gin_config.Sources())
    for name in names:
        gin.clear_config()
        gin.parse_config_file(str(name))
        found |= {
            f"{selector}.{parameter}": str(name)
            for (_, selector), bound in gin_config.current().items()
            for parameter in bound
            if selector != "gin.macro"
        }
    ours = {
        f"{selector}.{parameter}"
        for name, selector in own_classes().items()
        for parameter in own_parameters(name)
    }
    assert {key: found[key] for key in found.keys() - ours - OTHERS} == {}
    assert set(found) >= OTHERS


@pytest.mark.parametrize(("parameter", "values"), OF_TRAINER.items())
def test_what_is_bound_for_ddsps_trainer_counts_for_ours(parameter, values, datasets):
    base = BASE["LadderTrainer"]
    base = {key: value for key, value in base.items() if key != parameter}
    seen = lambda bound: observe("LadderTrainer", base | bound, datasets)
    stock = {f"ddsp.training.trainers.Trainer.{parameter}": values[0]}
    own = {parameter: values[1]}
    assert differ(seen({}), seen(stock))
    assert differ(seen(own), seen(stock))
    assert not differ(seen(own), seen(own | stock))


def test_the_run_s_seed_and_length_count_where_none_is_bound():
    gin_config.parse_files(gin_config.Sources())
    strategy = tf.distribute.get_strategy()
    make = lambda: assembly.make_trainer(None, strategy, num_steps=40, seed=3).options
    assert (make().seed, make().total_steps) == (3, 40)
    gin_config.parse_bindings(
        ["models.trainer.LadderTrainer.seed = 5", "LadderTrainer.total_steps = 60"]
    )
    assert (make().seed, make().total_steps) == (5, 60)


def test_the_train_block_says_the_lengths_of_a_run(datasets):
    gin_config.parse_files(gin_config.Sources())
    lines = [f"train.{name} = {value}" for name, value in OF_TRAIN_BLOCK.items()]
    provider = "train.data_provider = @models.data.PreparedDataset()"
    where = f"models.data.PreparedDataset.data_dir = '{datasets['whole']}'"
    gin_config.parse_bindings([*lines, provider, where])
    block = assembly.train_block(seed=11)
    found = {name: getattr(block, name) for name in OF_TRAIN_BLOCK}
    assert found == OF_TRAIN_BLOCK
    assert str(block.provider.info.data_dir) == datasets["whole"]
    assert block.provider.seed == 11  # the run's


def test_the_graph_of_processors_is_the_configuration_s(datasets):
    dry = (
        "[(@models.synths.FastHarmonic(), ['amps', 'harmonic_distribution', 'f0_hz'])]"
    )
    key = "ddsp.processors.ProcessorGroup.dag"
    before, after = (
        observe("LadderAutoencoder", bound, datasets) for bound in ({}, {key: dry})
    )
    assert differ(before, after)
    gin_config.parse_bindings(["processors.Add.name = 'sum'"])
    assert gin.get_configurable("processors.Add")().name == "sum"


def test_the_fast_overlay_puts_our_classes_into_ddsps_model():
    stock = "papers/iclr2020/solo_instrument.gin"
    parts = []
    for files in ((stock,), (stock, "gin/overlays/fast.gin")):
        gin_config.parse_files(gin_config.Sources(gin_files=files))
        model = ladder_helpers.ddsp_models.get_model()
        processors = model.processor_group.processors
        parts.append([model.decoder, *model.loss_objs, *processors])
    names = [[type(part).__name__ for part in one] for one in parts]
    plain = ["RnnFcDecoder", "SpectralLoss", "Harmonic", "FilteredNoise"]
    assert names[0] == [*plain, "Add", "Reverb"]
    assert names[1] == [*(f"Fast{name}" for name in plain), "Add", "FastReverb"]
    # Built alike: an argument that is lost or another would show.
    ours, theirs = (one[0] for one in parts[::-1])
    assert ours.input_keys == theirs.input_keys
    assert ours.output_splits == theirs.output_splits
