r"""Measures whether the heard collapse index can be trusted, on recordings.

    python -m benchmarks.bench_heard_index --input='recordings/*/' --max_clips=5

Each folder is an instrument. Of its clips the controls are measured, degraded in six
ways by steps (`evaluation.collapse_index.degradations`), played as audio with noise,
with and without a room of 0.5 s, and judged by what is heard. A kind is right when the
index rises with every step, is below 0.5 at 40 % and above it at 70 %. Healthy
renderings must stay below 0.25: the recording played again with other noise, in a room,
and as an mp3 of 64 kbit/s. Ends with one JSON line.
"""

import glob
import io
import json
import pathlib
import zlib
from collections.abc import Sequence

import av
import numpy as np
from absl import flags

from evaluation.collapse_index import audible
from evaluation.collapse_index import degradations
from evaluation.collapse_index import index
from evaluation.collapse_index import sums as index_sums
from evaluation.pairs import reading
from evaluation.scoring import clips
from evaluation.scoring import heard_sums
from evaluation.scoring import pitch_tracking
from models.measures import frame_masks
from prep import command_line
from prep.pitch import tracker as pitch_tracker
from prep.recordings import find

SAMPLE_RATE = 16000  # Hz
STEPS = (0.0, 0.2, 0.4, 0.7, 0.85, 1.0)
LAST_BELOW, FIRST_ABOVE = 2, 3  # steps between which the index must cross 0.5
MP3_BITS = 64000  # a second
CLIP_SECS = 3.0  # of each recording, up to where it ends
ENDS_DB, ENDS_SECS = 50.0, 0.3  # below the loudest for good, and what is kept of that
ROOM_SEED = 4711
NOT_FALLING = 0.005  # a step's fall that is the noise's


def read_instrument(
    folder: pathlib.Path, *, tracker: clips.PitchTracker, max_clips: int
) -> list[clips.Reference]:
    """Measures the last seconds of each recording of a folder."""
    paths = [
        path for path in sorted(folder.iterdir()) if path.suffix in find.AUDIO_SUFFIXES
    ]
    chosen = np.linspace(0, len(paths) - 1, min(max_clips, len(paths))).astype(int)
    found = []
    for path in (paths[place] for place in chosen):
        audio = reading.read_audio(path, SAMPLE_RATE)
        loud = np.abs(audio) > np.max(np.abs(audio)) * 10.0 ** (-ENDS_DB / 20.0)
        end = np.flatnonzero(loud)[-1] + round(ENDS_SECS * SAMPLE_RATE)
        end = min(audio.size, int(end))
        size = round(min(CLIP_SECS * SAMPLE_RATE, end)) // 64 * 64
        begin = end - size
        clip = clips.Clip(
            name=path.name,
            recording_id=path.name,
            start_secs=begin / SAMPLE_RATE,
            audio=audio[begin : begin + size],
            sample_rate=SAMPLE_RATE,
            frame_rate=reading.FRAME_RATE,
        )
        found.append(
            clips.measure_reference(
                clip, tracker=tracker, settings=frame_masks.MaskSettings()
            )
        )
    return found


def judge(
    recordings: heard_sums.Recordings, audios: Sequence[np.ndarray]
) -> index.Verdict:
    """The heard index of renderings of some recordings."""
    references = recordings.references
    heard = [
        clips.measure_heard(audio, clip=ref.clip, hearing=ref.hearing, masks=ref.masks)
        for ref, audio in zip(references, audios, strict=True)
    ]
    powers = [
        clips.power_of(audio, clip=ref.clip)
        for ref, audio in zip(references, audios, strict=True)
    ]
    sums = recordings.measure(audios=audios, heard=heard, powers=powers)
    return index.judge(index_sums.add_sums(sums), scale=index.HEARD)


def play_degraded(
    references: Sequence[clips.Reference],
    kind: str,
    amount: float,
    *,
    in_room: bool,
    seed: int = 0,
) -> list[np.ndarray]:
    """Plays every recording's controls, degraded."""
    function, _ = degradations.KINDS[kind]
    typical = index_sums.measure_typical(
        [ref.controls for ref in references], [ref.masks for ref in references]
    )
    audios = []
    for number, ref in enumerate(references):
        rng = np.random.default_rng([seed, number, zlib.crc32(kind.encode())])
        audio = audible.play(
            function(ref.controls, amount, typical=typical),
            ref.noise_magnitudes,
            rng=rng,
        )
        if in_room:
            # The same for all of an instrument, and none that the index itself draws.
            room = np.random.default_rng([seed, ROOM_SEED])
            audio = audible.add_room(audio, sample_rate=SAMPLE_RATE, rng=room)
        audios.append(audio)
    return audios


def as_mp3(audio: np.ndarray) -> np.ndarray:
    """A signal after an mp3 of `MP3_BITS`, the codec's delay taken off."""
    buffer = io.BytesIO()
    scaled = np.clip(audio, -1.0, 1.0).astype(np.float32)
    with av.open(buffer, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE)
        stream.bit_rate = MP3_BITS
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(scaled[np.newaxis], "fltp", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as container:
        parts = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    decoded = np.concatenate(parts)
    return np.pad(decoded, (0, max(0, audio.size - decoded.size)))[: audio.size]


def judge_instrument(played: Sequence[clips.Reference]) -> dict:
    """All that is asked of the index, for one instrument."""
    found: dict = {"kinds": {}, "healthy": {}}
    recordings = heard_sums.Recordings(played)
    for kind in degradations.KINDS:
        for in_room in (False, True):
            verdicts = [
                judge(recordings, play_degraded(played, kind, step, in_room=in_room))
                for step in STEPS
            ]
            name = f"{kind}, in a room" if in_room else kind
            found["kinds"][name] = [round(one.index, 3) for one in verdicts]
    first = next(iter(degradations.KINDS))
    for name, audios in {
        "other noise": play_degraded(played, first, 0.0, in_room=False, seed=1),
        "in a room": play_degraded(played, first, 0.0, in_room=True, seed=1),
        "mp3": [as_mp3(one.clip.audio) for one in played],
    }.items():
        verdict = judge(recordings, audios)
        found["healthy"][name] = round(verdict.index, 3)
    return found


def is_right(indices: Sequence[float]) -> bool:
    """Returns whether a kind's index rises and crosses the threshold where it must."""
    rises = bool(np.all(np.diff(indices) > -NOT_FALLING))
    crosses = indices[LAST_BELOW] < index.THRESHOLD <= indices[FIRST_ABOVE]
    return rises and crosses


def main(values: flags.FlagValues) -> int:
    """Measures and prints; returns an exit code."""
    tracker = pitch_tracking.SparseTracker(
        pitch_tracker.CrepeTracker(values.crepe_capacity)
    )
    instruments = {}
    for name in sorted(glob.glob(values.input)):
        folder = pathlib.Path(name)
        played = read_instrument(folder, tracker=tracker, max_clips=values.max_clips)
        instruments[folder.name] = one = judge_instrument(played)
        print(f"{folder.name} ({len(played)} clips), at {STEPS}:", flush=True)
        for kind, indices in one["kinds"].items():
            mark = "right" if is_right(indices) else "WRONG"
            print(f"  {kind:34}{mark}  {indices}", flush=True)
        print(f"  healthy: {one['healthy']}", flush=True)
    kinds = [k for one in instruments.values() for k in one["kinds"].values()]
    healthy = [v for one in instruments.values() for v in one["healthy"].values()]
    print(
        json.dumps(
            {
                "right": sum(map(is_right, kinds)),
                "of": len(kinds),
                "healthy_worst": max(healthy),
                "instruments": instruments,
            }
        )
    )
    return 0


def define_flags(groups: command_line.FlagGroups) -> None:
    """Defines the command line."""
    groups.group("flags")
    groups.text("input", None, "Glob of folders of recordings.", required=True)
    groups.whole("max_clips", 5, "Recordings of each folder.", least=2)
    groups.choice("crepe_capacity", "tiny", ["tiny", "full"], "Size of the tracker.")


PROGRAM = command_line.Program(
    name="bench_heard_index",
    summary="Measures whether the heard collapse index can be trusted.",
    examples=("python -m benchmarks.bench_heard_index --input='recordings/*/'",),
    define_flags=define_flags,
    main=main,
    exit_codes="0 the figures are printed; 70 a fault of ours.",
)

if __name__ == "__main__":
    command_line.run(PROGRAM)
