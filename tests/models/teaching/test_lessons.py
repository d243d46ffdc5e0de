import ddsp_compat  # noqa: F401  isort: skip

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from models.data import provider as provider_lib
from models.losses import teacher
from models.runs import checkpoints
from models.runs import metrics_log
from models.runs import record
from models.teaching import lessons
from models.teaching import material as material_lib
from models.teaching import targets
from models.teaching import warm_up as warm_up_lib
from models.training import request as run_request
from models.training import session
from prep import errors
from tests.helpers import ladder_helpers
from tests.helpers import training_helpers

EXAMPLE_SECS, N_FRAMES = 0.4, 100
ANCHOR = ("models.losses.TaughtControls.weight = 0.05",)
STAGES = [
    "gin/stage1.gin",
    "gin/stage3.gin",
    pytest.param("gin/stage5.gin", marks=pytest.mark.slow),  # seconds of compiling
    pytest.param("gin/transformer.gin", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """Tones of five harmonics, a timbre that moves, little noise."""
    folder = tmp_path_factory.mktemp("teaching") / "data"
    return training_helpers.write_dataset(folder, example_secs=EXAMPLE_SECS, n_train=6)


def make_model(stage, *, bindings=ANCHOR):
    tf.keras.utils.set_random_seed(0)
    model = ladder_helpers.build_model(
        stage, ladder_helpers.TINY, n_frames=N_FRAMES, bindings=bindings
    )
    model(ladder_helpers.make_batch(np.random.default_rng(0), n_frames=N_FRAMES))
    return model


def open_train(data_dir):
    return provider_lib.PreparedDataset(data_dir, "train")


def measure(model, provider, tmp_path):
    return lessons.prepare(model, provider, run_dir=tmp_path)


def teach(model, provider, tmp_path, *, n_steps, seed=0):
    return lessons.teach(
        model,
        provider,
        measure(model, provider, tmp_path),
        settings=lessons.Lessons(warm_up_steps=n_steps, learning_rate=1e-2),
        run_dir=tmp_path,
        seed=seed,
        measuring_secs=0.0,
        show=lambda line: None,
    )


@pytest.mark.long
def test_fewer_frames_have_measurements_of_their_own(data_dir, tmp_path):
    thinned = provider_lib.PreparedDataset(data_dir, "train", frame_rate=50)
    sizes = {"n_harmonics": 5, "n_noise_bands": 9, "fallback_dir": tmp_path}
    few = targets.measured_for(thinned, **sizes)
    every = targets.measured_for(open_train(data_dir), **sizes)
    found, expected = few[teacher.HARMONICS_KEY], every[teacher.HARMONICS_KEY]
    assert found.shape == (6, N_FRAMES // 5, 5)
    steady = np.abs(np.float32(found[:, 2:-2]) - np.float32(expected[:, 10:-10:5]))
    assert np.median(steady) < 1.0  # dB: windows stand at the same places
    joined = provider_lib.PreparedDataset(data_dir, "train", frame_rate=50)
    joined.add_companions(few)
    assert joined.examples([0])[teacher.WEIGHTS_KEY].shape == (1, 20, 2)


@pytest.mark.slow
def test_a_dataset_is_measured_once_and_rides_along_in_the_batches(data_dir, tmp_path):
    model, provider = make_model("gin/stage1.gin"), open_train(data_dir)
    measured = measure(model, provider, tmp_path)
    assert {key: value.shape for key, value in measured.items()} == {
        teacher.HARMONICS_KEY: (6, N_FRAMES, 12),
        teacher.NOISE_KEY: (6, N_FRAMES, 9),
        teacher.WEIGHTS_KEY: (6, N_FRAMES, 2),
    }
    files = sorted((data_dir / targets.FOLDER).rglob("*.npy"))
    stamps = [path.stat().st_mtime_ns for path in files]
    again = measure(model, open_train(data_dir), tmp_path)
    assert [path.stat().st_mtime_ns for path in files] == stamps
    np.testing.assert_array_equal(again[teacher.NOISE_KEY], measured[teacher.NOISE_KEY])
    batch = next(iter(provider.batches(2)))
    for row, index in enumerate(batch["example_index"].numpy()):
        for key in teacher.KEYS:
            np.testing.assert_array_equal(batch[key][row], measured[key][index])


def test_what_is_measured_is_what_was_played(data_dir, tmp_path):
    measured = measure(make_model("gin/stage1.gin"), open_train(data_dir), tmp_path)
    audio_weights = np.asarray(measured[teacher.WEIGHTS_KEY], np.float32)
    assert audio_weights[:, 10:-10].min() > 0.9
    harmonics = np.asarray(measured[teacher.HARMONICS_KEY], np.float32)[:, 10:-10]
    # training_helpers: amplitude 0.2 (1 + b) of the first, times b / 2 the second.
    times = np.arange(10, N_FRAMES - 10) / training_helpers.FRAME_RATE
    order = [0, 2, 4, 1, 3, 5]  # of the tones in two shards
    for row, tone in enumerate(order):
        b = 0.5 + 0.4 * np.sin(2 * np.pi * 1.5 * times + tone)
        np.testing.assert_allclose(
            harmonics[row, :, 0], 20 * np.log10(0.2 * (1 + b)), atol=0.3
        )
        np.testing.assert_allclose(
            harmonics[row, :, 1], 20 * np.log10(0.1 * b * (1 + b)), atol=0.5
        )
        assert harmonics[row, :, 8].max() < -50  # there are five


def test_a_folder_that_takes_no_files_is_left_alone(data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "_can_write", lambda folder: False)
    monkeypatch.setattr(targets, "VERSION", -1)
    measure(make_model("gin/stage1.gin"), open_train(data_dir), tmp_path)
    assert list(tmp_path.rglob("*.npy"))


def distances(model, provider, measured):
    material = material_lib.gather(model, provider, measured)
    hidden = model.decoder(material.inputs)
    f0_hz = material.inputs["f0_hz"]
    controls = model.head({key: hidden[key] for key in hidden}, f0_hz)
    found = teacher.control_distances(
        {**controls, "f0_hz": f0_hz}, material.measured, sample_rate=16000
    )
    return [float(value) for value in found]


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_every_rung_learns_the_measured_controls(stage, data_dir, tmp_path):
    model, provider = make_model(stage), open_train(data_dir)
    measured = measure(model, provider, tmp_path)
    before = distances(model, provider, measured)
    report = teach(model, provider, tmp_path, n_steps=60)
    after = distances(model, provider, measured)
    assert after[0] < 0.35 * before[0]
    assert after[1] < 0.35 * before[1]
    assert report.steps == 60
    assert report.harmonics_db == pytest.approx(after[0], rel=0.5)
    rows = (tmp_path / lessons.LOG_NAME).read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [25, 50, 60]


# Of what the best constants reach. The legacy head comes no nearer: none of its twelve
# harmonics can be louder than a twelfth, and the first of the tones is.
BIASES_REACH = 1.2


def steadiest(measured, key, column):
    """Mean distance in dB of frames from each band's median: no constant is nearer."""
    values = np.asarray(measured[key], np.float64)
    weights = np.asarray(measured[teacher.WEIGHTS_KEY], np.float64)[..., column]
    apart = np.abs(values - np.median(values, axis=(0, 1))).mean(axis=-1)
    return np.sum(apart * weights) / np.sum(weights)


@pytest.mark.parametrize(
    "head",
    [
        "ExpSigmoid",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("Legacy", "Normalized", "SoftmaxDb")
        ),
    ],
)
@pytest.mark.long
def test_output_biases_alone_reach_the_average_with_every_head(
    head, data_dir, tmp_path
):
    model = make_model(
        "gin/stage1.gin",
        bindings=(
            *ANCHOR,
            f"models.autoencoder.LadderAutoencoder.head = @models.heads.{head}Head()",
        ),
    )
    provider = open_train(data_dir)
    measured = measure(model, provider, tmp_path)
    warm_up = warm_up_lib.WarmUp(
        model,
        material_lib.gather(model, provider, measured),
        n_steps=1,
        learning_rate=1e-3,
        sample_rate=16000,
        seed=0,
    )
    kernel = model.decoder.dense_out.kernel
    kernel.assign(tf.zeros_like(kernel))
    warm_up.fit_output_bias()
    found = distances(model, provider, measured)
    least = [
        steadiest(measured, key, column)
        for column, key in enumerate((teacher.HARMONICS_KEY, teacher.NOISE_KEY))
    ]
    for distance, steady in zip(found, least, strict=True):
        assert distance < BIASES_REACH * steady + 0.1  # dB


@pytest.mark.long
def test_first_layers_bend_where_the_data_is(data_dir, tmp_path):
    model, provider = make_model("gin/stage3.gin"), open_train(data_dir)
    inputs = material_lib.gather(
        model, provider, measure(model, provider, tmp_path)
    ).inputs
    names = [v.name for v in model.decoder.trainable_variables]
    warm_up_lib.fit_first_layers(model.decoder, inputs, seed=1)
    for layer, (place,) in model.decoder.first_layers():
        values = inputs[model.decoder.input_keys[place]].numpy()
        bends = -layer.bias.numpy() / layer.kernel.numpy()[0]
        assert bends.min() >= values.min() - 1e-3
        assert bends.max() <= values.max() + 1e-3
    assert [v.name for v in model.decoder.trainable_variables] == names


@pytest.mark.slow
def test_a_warm_up_that_was_interrupted_ends_with_the_same_weights(data_dir, tmp_path):
    provider = open_train(data_dir)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    model = make_model("gin/stage1.gin")
    teach(model, provider, whole, n_steps=75)
    first = make_model("gin/stage1.gin")
    original, calls = warm_up_lib.WarmUp.advance, []

    def interrupted(self):
        if calls:
            raise KeyboardInterrupt
        calls.append(1)
        return original(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lessons, "SAVE_SECS", -1.0)
        patch.setattr(warm_up_lib.WarmUp, "advance", interrupted)
        with pytest.raises(KeyboardInterrupt):
            teach(first, provider, broken, n_steps=75)
    assert checkpoints.newest_sound(broken / lessons.WARM_UP_DIR).step == 25
    second = make_model("gin/stage1.gin")
    teach(second, provider, broken, n_steps=75)
    for one, other in zip(
        model.trainable_variables, second.trainable_variables, strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_teacher_without_a_prepared_dataset_is_one_sentence(tmp_path):
    with pytest.raises(errors.InputError, match="needs a dataset of ddsp_prep"):
        lessons.prepare(make_model("gin/stage1.gin"), object(), run_dir=tmp_path)


@pytest.mark.parametrize(
    "arguments", [{"warm_up_steps": -1}, {"learning_rate": 0.0}], ids=str
)
def test_settings_that_cannot_work_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        lessons.Lessons(**arguments)


def request(data_dir, run_dir, *, num_steps):
    return run_request.TrainingRequest(
        save_dir=str(run_dir),
        gin_files=("gin/recommended.gin", "gin/overlays/tiny.gin"),
        data_dir=str(data_dir),
        num_steps=num_steps,
        bindings=(
            "models.teaching.Lessons.warm_up_steps = 10",
            "models.loop.LoopOptions.log_every = 1",
        ),
        quiet=True,
    )


@pytest.mark.slow
def test_weights_of_another_run_are_not_taught_over(data_dir, tmp_path):
    lines = []
    first = request(data_dir, tmp_path / "first", num_steps=1)
    session.train(first, say=lines.append)
    lines.clear()
    second = dataclasses.replace(
        first, save_dir=str(tmp_path / "second"), init_from=str(tmp_path / "first")
    )
    session.train(second, say=lines.append)
    assert not any(line.startswith("taught") for line in lines)
    row = metrics_log.read_metrics(tmp_path / "second")[0]
    assert row["held_out/spectral_distance"] == pytest.approx(
        record.read_record(tmp_path / "first").fields["best_loss"], rel=1e-5
    )


@pytest.mark.slow
def test_a_run_is_taught_once_and_anchored_when_it_goes_on(
    data_dir, tmp_path, monkeypatch
):
    monkeypatch.setattr(lessons, "SAVE_SECS", 0.0)
    lines = []
    session.train(request(data_dir, tmp_path, num_steps=2), say=lines.append)
    assert not (tmp_path / lessons.WARM_UP_DIR).exists()
    assert any(line.startswith("taught the recordings' own controls") for line in lines)
    first = record.read_run(tmp_path)["lessons"]
    assert first["steps"] == 10
    assert first["warm_up_secs"] > 0
    lines.clear()
    session.train(request(data_dir, tmp_path, num_steps=4), say=lines.append)
    assert not any(line.startswith(("taught", "goes on with")) for line in lines)
    assert record.read_run(tmp_path)["lessons"] == first
    rows = (tmp_path / "metrics.jsonl").read_text().splitlines()
    trained = [json.loads(row) for row in rows if "losses/total_loss" in row]
    assert [row["step"] for row in trained] == [1, 2, 3, 4]
    assert all(row["losses/taught_harmonics"] > 0 for row in trained)
    assert all(row["losses/taught_noise"] > 0 for row in trained)
