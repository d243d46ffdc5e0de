"""What scoring hands on, which frames and which noise, with nothing measured."""

import dataclasses
import math
import types

import numpy as np
import pytest
import tensorflow as tf

from evaluation.collapse_index import index
from evaluation.collapse_index import rooms
from evaluation.collapse_index import sums as index_sums
from evaluation.metrics import metric as metric_lib
from evaluation.metrics import pitch_scores
from evaluation.scoring import across_clips
from evaluation.scoring import clips
from evaluation.scoring import dataset_clips
from evaluation.scoring import heard_sums
from evaluation.scoring import pitch_tracking
from evaluation.scoring import rendering as model_rendering
from models.measures import control_arrays
from models.measures import frame_masks
from prep import errors
from tests.helpers import prep_helpers
from tests.helpers import score_tables
from tests.helpers import training_toy

N_FRAMES, HOP = 12, 64
CLIP = clips.Clip(
    name="note @ 0.00 s",
    recording_id="note",
    start_secs=0.0,
    audio=np.full(N_FRAMES * HOP, 0.5, np.float32),
    sample_rate=16000,
    frame_rate=250,
)
NAN = metric_lib.missing("stub")


def controls(f0_hz=440.0, n_harmonics=3):
    return control_arrays.ControlArrays(
        f0_hz=np.full(N_FRAMES, f0_hz),
        amps=np.ones(N_FRAMES),
        harmonic_distribution=np.full([N_FRAMES, n_harmonics], 1.0 / n_harmonics),
        noise_power=np.zeros(N_FRAMES),
        sample_rate=16000,
        frame_rate=250,
    )


def tracker(n_extra=0):
    """Answers 440 Hz, and as many frames too many."""
    n_frames = N_FRAMES + n_extra
    return lambda audio, rate: (np.full(n_frames, 440.0), np.linspace(0, 1, n_frames))


# --- what is heard ---


def test_frames_too_many_are_cut_and_too_few_are_an_error():
    found = clips.hear(CLIP.audio, clip=CLIP, tracker=tracker(n_extra=3))
    assert found.pitch.f0_hz.shape == found.loudness_db.shape == (N_FRAMES,)
    assert found.power == pytest.approx(np.full(N_FRAMES, 0.25))
    with pytest.raises(ValueError, match="a whole number of frames"):
        clips.hear(CLIP.audio, clip=CLIP, tracker=tracker(n_extra=-1))


@pytest.mark.parametrize("f0_hz", [440.0, 3000.0])
def test_a_rendering_is_tracked_in_the_register_of_its_recording(f0_hz):
    """An octave off is off, above the tracker's range too."""
    clip = dataclasses.replace(CLIP, audio=prep_helpers.tone(1.0, f0_hz=f0_hz))
    settings = frame_masks.MaskSettings()
    bounded = prep_helpers.BoundedTracker()
    ref = clips.measure_reference(clip, tracker=bounded, settings=settings)
    assert ref.hearing.octaves == (0 if f0_hz == 440.0 else -1)
    assert np.median(ref.hearing.pitch.f0_hz) == pytest.approx(f0_hz, rel=0.02)
    accuracy = {}
    for octave in (0, -1):
        scored = clips.score_rendering(
            ref,
            clips.Rendering(prep_helpers.tone(1.0, f0_hz=f0_hz * 2.0**octave)),
            tracker=bounded,
            settings=settings,
        )
        accuracy[octave] = scored.scores["raw_pitch_accuracy"].value
    assert accuracy[0] > 0.9 and accuracy[-1] < 0.1


@pytest.mark.parametrize(("lowest", "n_harmonics"), [(440.0, 18), (50.0, 100)])
def test_controls_are_measured_around_the_pitch_of_pitched_frames(
    lowest, n_harmonics, monkeypatch
):
    """18 harmonics of 440 Hz lie below 8 kHz; never more than 100 are measured.

    A frame without a pitch, however low the tracker's answer there, has none.
    """
    asked = {}

    def measure(audio, f0_hz, **arguments):
        asked.update(arguments, f0_hz=f0_hz)
        return controls(n_harmonics=arguments["n_harmonics"])

    monkeypatch.setattr(clips.reference, "measure_controls", measure)
    pitched = np.arange(N_FRAMES) > 2
    f0_hz = np.where(pitched, np.linspace(lowest, 900.0, N_FRAMES), 30.0)
    f0_hz[3] = lowest
    hearing = clips.Hearing(
        loudness_db=np.zeros(N_FRAMES),
        power=np.ones(N_FRAMES),
        pitch=pitch_scores.PitchTrack(f0_hz, np.ones(N_FRAMES)),
    )
    masks = frame_masks.Masks(np.ones(N_FRAMES, bool), pitched)
    found = clips.measure_heard(CLIP.audio, clip=CLIP, hearing=hearing, masks=masks)
    np.testing.assert_array_equal(np.isnan(asked["f0_hz"]), ~pitched)
    np.testing.assert_array_equal(asked["f0_hz"][pitched], f0_hz[pitched])
    assert asked["n_harmonics"] == n_harmonics
    assert found.harmonic_distribution.shape == (N_FRAMES, 100)


# --- what a rendering is compared with ---


@pytest.fixture
def compared(monkeypatch):
    """What the metrics are given; they measure nothing."""
    given = types.SimpleNamespace()

    def note(name, result):
        def call(*arguments, **flags):
            setattr(given, name, (arguments, flags))
            return result

        return call

    for module, name, result in (
        (clips.collapse, "measure", {"gain_range": metric_lib.Score(3.0)}),
        (clips.collapse, "gain_range_ratio", NAN),
        (clips.fidelity, "spectral_scores", {}),
        (clips.fidelity, "log_spectral_distance", NAN),
        (clips.fidelity, "loudness_distance", NAN),
        (clips.fidelity, "harmonic_error", NAN),
        (clips.pitch_scores, "measure", {}),
    ):
        place = f"pitch_{name}" if module is clips.pitch_scores else name
        monkeypatch.setattr(module, name, note(place, result))
    monkeypatch.setattr(clips, "measure_heard", lambda *a, **k: controls(f0_hz=99.0))
    return given


@pytest.mark.parametrize("has_controls", [True, False])
def test_a_rendering_is_compared_over_the_recording_s_frames(has_controls, compared):
    own = controls() if has_controls else None
    masks = frame_masks.Masks(np.arange(N_FRAMES) > 1, np.arange(N_FRAMES) > 3)
    heard_of_ref = clips.hear(CLIP.audio, clip=CLIP, tracker=tracker())
    ref = clips.Reference(
        clip=CLIP,
        hearing=heard_of_ref,
        masks=masks,
        controls=controls(f0_hz=33.0),
        noise_magnitudes=np.zeros([N_FRAMES, 3]),
        scores={"gain_range": metric_lib.Score(5.0)},
    )
    louder = clips.Rendering(2.0 * CLIP.audio, controls=own, amps_limits=(0.25, 4.0))
    settings = frame_masks.MaskSettings(min_confidence=0.75)
    scored = clips.score_rendering(ref, louder, tracker=tracker(), settings=settings)
    # Collapse: of its controls, or of what is heard, over the recording's frames.
    (judged, over), flags = compared.measure
    assert judged.f0_hz[0] == (440.0 if has_controls else 99.0)
    assert scored.controls is judged and over is masks
    assert flags["loudness_db"] is heard_of_ref.loudness_db
    assert flags["ref_power"] is heard_of_ref.power
    assert flags["heard_power"] == pytest.approx(np.ones(N_FRAMES))  # the rendering's
    assert flags["amps_limits"] == (0.25, 4.0)
    assert compared.gain_range_ratio[0] == (
        metric_lib.Score(3.0),
        metric_lib.Score(5.0),
    )
    # Fidelity: the recording first, audible frames of loudness, pitched of harmonics.
    for name in ("spectral_scores", "log_spectral_distance"):
        first, second = getattr(compared, name)[0]
        assert (first[0], second[0]) == (0.5, 1.0)
    (ref_db, est_db), flags = compared.loudness_distance
    assert est_db[6] - ref_db[6] == pytest.approx(6.02, abs=0.01)
    assert flags["audible"] is masks.audible
    (measured, heard), flags = compared.harmonic_error
    assert (measured.f0_hz[0], heard.f0_hz[0]) == (33.0, 99.0)
    assert flags["pitched"] is masks.pitched
    # Pitch: one tracker's answers, and the thresholds that were asked for.
    (first, second), flags = compared.pitch_measure
    assert first is heard_of_ref.pitch and second is scored.hearing.pitch
    assert flags["audible"] is masks.audible and flags["settings"] is settings
    assert flags["est_loudness_db"] is scored.hearing.loudness_db


# --- all clips together ---


def summed(**changes):
    names = {field.name for field in dataclasses.fields(index_sums.Sums)}
    found = score_tables.sums(**changes)
    return index_sums.Sums(**{key: found[key] for key in names & found.keys()})


@pytest.mark.parametrize("has_controls", [True, False])
def test_the_heard_index_of_a_clip_has_its_own_scale(has_controls, monkeypatch):
    """0.54 of the tone lost is half on the heard scale, and more on the controls'."""
    masks = frame_masks.Masks(np.ones(N_FRAMES, bool), np.ones(N_FRAMES, bool))
    hearing = types.SimpleNamespace(power=np.ones(N_FRAMES))
    reference = types.SimpleNamespace(masks=masks, controls=controls(), hearing=hearing)
    monkeypatch.setattr(index_sums, "clip_sums", lambda *a, **k: summed(noisy=0.54))
    asked = {}

    def measure(**given):
        asked.update(given)
        return [summed(noisy=0.54)] * 2

    recordings = types.SimpleNamespace(
        references=[reference, reference], measure=measure
    )
    own = controls() if has_controls else None
    scored = [
        clips.Scored(clips.Rendering(CLIP.audio, own), hearing, controls(), {})
        for _ in range(2)
    ]
    found = across_clips.compare_across_clips(recordings, scored)
    assert asked == {
        "audios": [CLIP.audio] * 2,
        "heard": [one.heard for one in scored],
        "powers": [hearing.power] * 2,
    }
    scores = scored[0].scores
    assert scores["clip_diversity"].value == pytest.approx(0.0, abs=1e-9)
    assert scores["heard_collapse_index"].value == pytest.approx(0.5)
    if has_controls:
        assert scores["collapse_index"].value == pytest.approx(0.54)
    else:
        assert scores["collapse_index"].reason == across_clips.ONLY_AUDIO
    assert (found[0].controls is None) != has_controls
    assert index.judge(found[0].heard).index == pytest.approx(0.54)


def test_one_rendering_without_controls_leaves_all_to_be_heard(monkeypatch):
    """Nothing is determined of silence, and the reason is told."""
    masks = frame_masks.Masks(np.zeros(N_FRAMES, bool), np.zeros(N_FRAMES, bool))
    hearing = types.SimpleNamespace(power=np.ones(N_FRAMES))
    refs = [
        types.SimpleNamespace(
            masks=masks, controls=controls(), hearing=hearing, scores={}
        )
        for _ in range(2)
    ]
    nothing = index_sums.Sums(*[0.0] * 15)
    recordings = types.SimpleNamespace(
        references=refs, measure=lambda **given: [nothing] * 2
    )
    scored = [
        clips.Scored(clips.Rendering(CLIP.audio, own), hearing, controls(), {})
        for own in (controls(), None)
    ]
    found = across_clips.compare_across_clips(recordings, scored)
    assert [one.controls for one in found] == [None, None]
    for one in scored:
        assert one.scores["collapse_index"].reason == across_clips.ONLY_AUDIO
        reason = one.scores["heard_collapse_index"].reason
        assert reason == "the recording determines no component"
    across_clips.add_reference_diversity(refs)
    assert refs[0].scores["clip_diversity"].reason == "fewer than 10 pitched frames"


@pytest.mark.parametrize(
    ("n_pitched", "reasons"),
    [
        ((12, 12), ["", ""]),
        ((12, 10), ["", ""]),
        ((12, 9), ["only one clip has a pitch"] * 2),
        ((0, 0), ["fewer than 10 pitched frames"] * 2),
        ((12,), ["only one clip"]),
        ((12, 12, 9), ["", "", "fewer than 10 pitched frames"]),
    ],
)
def test_diversity_needs_two_clips_of_ten_pitched_frames(n_pitched, reasons):
    masks = [
        frame_masks.Masks(np.ones(N_FRAMES, bool), np.arange(N_FRAMES) < n)
        for n in n_pitched
    ]
    found = across_clips.clip_diversities([controls()] * len(masks), masks)
    assert [score.reason for score in found] == reasons


def test_a_recording_is_put_into_a_room_as_loud_as_without(monkeypatch):
    """However much the room adds, the energy stays the recording's."""
    measured = []
    monkeypatch.setattr(
        heard_sums, "_measure", lambda ref, audio: measured.append(audio)
    )
    hearing = types.SimpleNamespace(power="dry power")
    ref = types.SimpleNamespace(clip=CLIP, controls="dry controls", hearing=hearing)
    assert heard_sums._put_into(rooms.Room(), ref) == ("dry controls", "dry power")
    _, power = heard_sums._put_into(rooms.Room(0.3, 6.0), ref)
    energy = float(np.sum(np.square(measured[0])))
    assert energy == pytest.approx(0.25 * CLIP.audio.size)
    assert power.shape == (N_FRAMES,)
    assert not np.allclose(measured[0], CLIP.audio)
    ref.clip = dataclasses.replace(CLIP, audio=0.0 * CLIP.audio)
    heard_sums._put_into(rooms.Room(0.3, 6.0), ref)
    assert not measured[1].any()  # silence has no level to be set to


# --- pitch every 16 ms ---


@pytest.mark.parametrize(("cents", "is_glide"), [(99.0, True), (101.0, False)])
def test_a_semitone_between_answers_is_a_glide_and_more_is_a_new_note(cents, is_glide):
    """Answers every fourth frame; between them a line in cents, or the nearer one."""
    answers = 440.0 * 2 ** (np.array([0.0, cents, cents]) / 1200)
    sparse = pitch_tracking.SparseTracker(
        lambda audio, rate: (answers, np.array([0.0, 1.0, 1.0]))
    )
    f0_hz, confidence = sparse(np.zeros(N_FRAMES * HOP), 250)
    between = 1200 * np.log2(f0_hz[:5] / 440.0)
    expected = [0, 0.25, 0.5, 0.75, 1] if is_glide else [0, 0, 0, 1, 1]
    np.testing.assert_allclose(between, cents * np.array(expected), atol=1e-6)
    np.testing.assert_allclose(confidence[:5], [0, 0.25, 0.5, 0.75, 1])


def test_answers_to_every_frame_are_the_trackers_own():
    answers = np.array([440.0, 220.0]), np.array([0.5, 1.0])
    found = pitch_tracking.SparseTracker(lambda audio, rate: answers)(np.zeros(800), 60)
    assert all(one is other for one, other in zip(found, answers, strict=True))


@pytest.mark.parametrize("value", [math.nan, math.inf, 1.0])
def test_a_weight_that_is_no_number_is_named(value):
    weights = [
        types.SimpleNamespace(name=f"weight {i}", numpy=lambda x=x: np.array([0.0, x]))
        for i, x in enumerate([1.0, value])
    ]
    model = types.SimpleNamespace(weights=weights)
    run = types.SimpleNamespace(path="runs/a", model=model, step=7)
    if math.isfinite(value):
        model_rendering.check_weights(run)
        return
    told = r"runs/a has NaN or infinity in 1 of 2 weights at step 7 \(weight 1\)"
    with pytest.raises(errors.InputError, match=told):
        model_rendering.check_weights(run)


def test_an_error_is_told_by_its_first_line():
    for error, told in (
        (KeyError("no such key"), "no such key"),
        (KeyError(), "KeyError"),
        (FileNotFoundError(2, "No such file", "x"), "[Errno 2] No such file: 'x'"),
        (ValueError("\nfirst\nsecond"), "first"),
    ):
        assert model_rendering._text(error) == told


# --- which clips, which noise ---


def test_every_recording_is_heard_before_one_is_heard_twice():
    owners = ["a", "a", "a", "b", "c", "c"]
    for n_wanted in (3, 4, 5):
        chosen = dataset_clips.spread(n_wanted, owners)
        assert chosen == sorted(chosen) and len(chosen) == n_wanted
        heard = [owners[place] for place in chosen]
        assert set(heard) == {"a", "b", "c"}
        assert max(heard.count(name) for name in heard) <= 2
    # All of them: asked for none in particular, or for as many as there are.
    for n_wanted in (0, 6, 7):
        assert dataset_clips.spread(n_wanted, owners) == list(range(6))


def test_noise_of_a_rendering_is_the_seed_s_and_the_clip_s(rng):
    tf.keras.utils.set_random_seed(0)
    model = training_toy.ToyModel(noise=0.1)
    batch = {
        key: np.repeat(value.numpy(), 2, axis=0)
        for key, value in training_toy.toy_batch(rng, n_rows=1).items()
    }
    render = {seed: model_rendering._traced(model, seed=seed) for seed in (0, 1)}
    play = lambda seed, first: render[seed](batch, first)["audio_synth"]
    np.testing.assert_array_equal(play(0, 0), play(0, 0))
    for other in (play(1, 0), play(0, 5)):
        assert np.abs(other - play(0, 0)).max() > 0.01
    # Two clips of a batch that are alike have noise of their own.
    assert np.abs(play(0, 0)[0] - play(0, 0)[1]).max() > 0.01
    # The second of a batch from clip 0 on is the first of one from clip 1 on.
    np.testing.assert_array_equal(play(0, 0)[1], play(0, 1)[0])


def test_a_last_batch_is_filled_up_and_its_filling_left_out():
    asked = []

    def examples(indices):
        asked.append(list(indices))
        return {"f0_hz": np.zeros([len(indices), 1, 1], np.float32)}

    dataset = types.SimpleNamespace(
        examples=examples, info=types.SimpleNamespace(example_secs=1.0)
    )
    model = types.SimpleNamespace(trainable_variables=[])
    run = types.SimpleNamespace(path="run", model=model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            model_rendering, "_traced", lambda model, seed: lambda batch, first: first
        )
        patch.setattr(
            model_rendering,
            "_unpack",
            lambda outputs, *, dataset, run: [(outputs, row) for row in range(2)],
        )
        found, cost = model_rendering.render_clips(
            run, dataset, [3, 5, 8], seed=0, batch_size=2
        )
    assert asked[:2] == [[3, 5], [8, 8]]
    assert found == [(3, 0), (3, 1), (8, 0)]
    assert cost.batch_size == 2
    assert math.isfinite(cost.render_secs)
