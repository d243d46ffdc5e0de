"""Renders the demo's recordings: a sampled solo instrument playing improvised phrases.

    python -m prep.demo --output=demo/recordings --instrument=flute --minutes=2

The instrument is one preset of TimGM6mb.sf2, the soundfont that ships inside the
installed pretty_midi package (GPL-2: it is used at run time, no render is kept in the
repository), played by tinysoundfont at 48 kHz and decimated to 16 kHz. Flute and
trumpet are looped samples of real notes; the set's violin and cello are single-cycle
wavetables and would teach a model nothing.

What makes a phrase worth learning from is done here: notes are cross-faded over 20 ms,
so that only one sounds at a time; dynamics change the brightness and not only the
gain; held notes get vibrato; a noise floor keeps silence from being digital zero.
"""

import dataclasses
import io
import pathlib
import sys

import numpy as np
import pretty_midi
import scipy.signal
import soundfile
import soxr
import tinysoundfont
from absl import app
from absl import flags

from prep import files
from prep import progress

INSTRUMENTS = {"flute": 73, "trumpet": 56}  # General MIDI program, from 0
LOWEST_NOTES = {"flute": 60, "trumpet": 55}  # MIDI note
RANGE_SEMITONES = 24
SYNTH_RATE = 48_000  # Hz
SAMPLE_RATE = 16_000  # Hz
CONTROL_SIZE = 96  # samples at SYNTH_RATE between pitch bends: 2 ms
CROSSFADE_SECS = 0.020
RELEASE_SECS = 0.060  # before a rest
BEND_RANGE_CENTS = 200.0  # the soundfont's default pitch bend range
VELOCITY = 100  # one sample layer: dynamics are applied afterwards
DYNAMIC_RANGE_DB = 24.0  # between the softest and the loudest moment
DARKEST_CUTOFF_HZ = 900.0  # low-pass of the softest moment
NOISE_FLOOR_DBFS = -75.0
PEAK_DBFS = -3.0
RECORDING_SECS = 6.0  # short, so that enough of them are left for judging
MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)


@dataclasses.dataclass(frozen=True)
class Note:
    """One note of a phrase.

    Attributes:
        pitch: MIDI note number.
        start_secs: Onset, in seconds from the beginning of the phrase.
        end_secs: When the next note or a rest begins.
        vibrato_cents: Depth that the vibrato grows to.
        vibrato_hz: Its rate.
        before_rest: Whether silence follows, so that the note is released softly.
    """

    pitch: int
    start_secs: float
    end_secs: float
    vibrato_cents: float
    vibrato_hz: float
    before_rest: bool


def soundfont_path() -> pathlib.Path:
    """The soundfont inside the installed pretty_midi package.

    Raises:
        FileNotFoundError: If that release of pretty_midi does not bring it.
    """
    path = pathlib.Path(pretty_midi.__file__).parent / "TimGM6mb.sf2"
    if not path.is_file():
        raise FileNotFoundError(
            f"no {path.name} in {path.parent}, pretty_midi {pretty_midi.__version__}; "
            "install the release that requirements.txt pins, or use recordings of your "
            "own: make demo INPUT=my_wavs/"
        )
    return path


def improvise(rng: np.random.Generator, *, lowest: int, secs: float) -> list[Note]:
    """A random walk over a major scale, with rests, fast runs and held notes.

    Args:
        rng: Source of all randomness.
        lowest: Lowest MIDI note; the walk stays within two octaves above it.
        secs: Length of the phrase.

    Returns:
        Notes in time order, none overlapping.
    """
    key = int(rng.integers(12))
    ladder = [
        pitch
        for pitch in range(lowest, lowest + RANGE_SEMITONES + 1)
        if (pitch - key) % 12 in MAJOR_SCALE
    ]
    notes: list[Note] = []
    position = int(rng.integers(len(ladder)))
    time = 0.15
    while time < secs - 0.6:
        duration = float(
            rng.choice([0.2, 0.35, 0.6, 1.0, 1.8], p=[0.2, 0.3, 0.2, 0.2, 0.1])
        )
        end = min(time + duration, secs - 0.3)
        rest = rng.random() < 0.15 or end >= secs - 0.6
        held = duration >= 0.6
        notes.append(
            Note(
                pitch=ladder[position],
                start_secs=time,
                end_secs=end,
                vibrato_cents=float(rng.uniform(15, 40)) if held else 0.0,
                vibrato_hz=float(rng.uniform(4.5, 6.0)),
                before_rest=bool(rest),
            )
        )
        time = end + (float(rng.uniform(0.2, 0.6)) if rest else 0.0)
        step = int(
            rng.choice([-4, -2, -1, 1, 2, 4], p=[0.08, 0.17, 0.25, 0.25, 0.17, 0.08])
        )
        position = int(np.clip(position + step, 0, len(ladder) - 1))
    return notes


def _bend(cents: float) -> int:
    """MIDI pitch bend value of a deviation."""
    return int(np.clip(round(8192 * (1 + cents / BEND_RANGE_CENTS)), 0, 16383))


def render_note(synth: tinysoundfont.Synth, note: Note) -> np.ndarray:
    """One note at 48 kHz, cut to length and faded at both ends.

    Args:
        synth: Player with the instrument on channel 0.
        note: What to play.

    Returns:
        Mono audio, float64, from the onset to one cross-fade past the note's end.
        Shape [n_samples].
    """
    tail_secs = RELEASE_SECS if note.before_rest else CROSSFADE_SECS
    n_samples = round((note.end_secs - note.start_secs + tail_secs) * SYNTH_RATE)
    synth.sounds_off(0)
    synth.pitchbend(0, _bend(0.0))
    synth.noteon(0, note.pitch, VELOCITY)
    blocks = []
    for start in range(0, n_samples, CONTROL_SIZE):
        secs = start / SYNTH_RATE
        growth = np.clip(
            (secs - 0.25) / 0.3, 0.0, 1.0
        )  # vibrato sets in after the attack
        swing = np.sin(2 * np.pi * note.vibrato_hz * secs)
        synth.pitchbend(0, _bend(note.vibrato_cents * growth * swing))
        blocks.append(np.frombuffer(synth.generate(CONTROL_SIZE), np.float32).copy())
    stereo = np.concatenate(blocks).reshape(-1, 2)[:n_samples]
    audio = stereo.mean(axis=1).astype(np.float64)
    fade_in = round(CROSSFADE_SECS * SYNTH_RATE)
    fade_out = round(tail_secs * SYNTH_RATE)
    audio[:fade_in] *= np.sin(np.linspace(0, np.pi / 2, fade_in)) ** 2
    audio[-fade_out:] *= np.cos(np.linspace(0, np.pi / 2, fade_out)) ** 2
    return audio


def dynamics(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """A slow curve between 0 (softest) and 1 (loudest). Shape [n_samples]."""
    time = np.arange(n_samples) / SYNTH_RATE
    curve = np.zeros(n_samples)
    for rate_hz, depth in ((0.08, 0.35), (0.21, 0.25), (0.55, 0.15)):
        rate = rate_hz * rng.uniform(0.8, 1.2)
        curve += depth * np.sin(2 * np.pi * (rate * time + rng.random()))
    return np.clip(0.6 + curve, 0.0, 1.0)


def apply_dynamics(audio: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Makes soft moments quieter and darker.

    Args:
        audio: Evenly loud signal at 48 kHz. Shape [n_samples].
        curve: Dynamics in [0, 1]. Shape [n_samples].

    Returns:
        The signal, blended with a low-passed copy of itself by the curve, then
        attenuated by up to DYNAMIC_RANGE_DB. Shape [n_samples].
    """
    low_pass = scipy.signal.butter(
        2, DARKEST_CUTOFF_HZ, fs=SYNTH_RATE, output="sos", btype="low"
    )
    dark = scipy.signal.sosfilt(low_pass, audio)
    gain = 10.0 ** (DYNAMIC_RANGE_DB * (curve - 1.0) / 20.0)
    return gain * (curve * audio + (1.0 - curve) * dark)


def render_recording(
    synth: tinysoundfont.Synth, rng: np.random.Generator, *, lowest: int, secs: float
) -> np.ndarray:
    """One phrase at 16 kHz, without noise and not yet normalised. Shape [n_samples]."""
    audio = np.zeros(round(secs * SYNTH_RATE))
    for note in improvise(rng, lowest=lowest, secs=secs):
        sound = render_note(synth, note)
        start = round(note.start_secs * SYNTH_RATE)
        audio[start : start + len(sound)] += sound[: len(audio) - start]
    audio = apply_dynamics(audio, dynamics(rng, len(audio)))
    return soxr.resample(audio, SYNTH_RATE, SAMPLE_RATE, quality="VHQ")


def render_demo(
    output: pathlib.Path,
    *,
    instrument: str = "flute",
    minutes: float = 2.0,
    seed: int = 7,
) -> list[pathlib.Path]:
    """Writes the demo's recordings, each RECORDING_SECS long.

    Args:
        output: Folder that is made, whole or not at all; if it is there, it is empty.
        instrument: A key of INSTRUMENTS.
        minutes: Total length; rounded up to whole recordings.
        seed: The same seed gives the same files.

    Returns:
        The files, 16-bit wav at 16 kHz.

    Raises:
        FileExistsError: If the folder holds files already.
        FileNotFoundError: If the soundfont is missing.
    """
    output = output.expanduser().resolve()
    if output.is_dir() and any(output.iterdir()):
        raise FileExistsError(
            f"{output} already holds files; remove them or name another --output."
        )
    synth = tinysoundfont.Synth(samplerate=SYNTH_RATE)
    synth.program_select(
        0, synth.sfload(str(soundfont_path())), 0, INSTRUMENTS[instrument]
    )
    rng = np.random.default_rng(seed)
    count = max(2, int(np.ceil(minutes * 60 / RECORDING_SECS)))
    phrases = []
    with progress.bar(count, unit="phrases", label=f"playing the {instrument}") as bar:
        for _ in range(count):
            phrases.append(
                render_recording(
                    synth, rng, lowest=LOWEST_NOTES[instrument], secs=RECORDING_SECS
                )
            )
            bar.update()
    scale = 10.0 ** (PEAK_DBFS / 20.0) / max(np.abs(phrase).max() for phrase in phrases)
    noise = 10.0 ** (NOISE_FLOOR_DBFS / 20.0)
    output.parent.mkdir(parents=True, exist_ok=True)
    with files.scratch_folder(output.name, output.parent) as scratch:
        whole = scratch / output.name
        whole.mkdir()
        for index, phrase in enumerate(phrases):
            audio = scale * phrase + noise * rng.standard_normal(len(phrase))
            # Python says what a disk refuses; libsndfile, that something went wrong.
            wav = io.BytesIO()
            soundfile.write(wav, audio, SAMPLE_RATE, subtype="PCM_16", format="WAV")
            (whole / f"{instrument}_{index:02d}.wav").write_bytes(wav.getvalue())
        whole.replace(output)
    return sorted(output.iterdir())


def define_flags() -> None:
    """Declares the command line."""
    flags.DEFINE_string("output", "demo/recordings", "Folder to write wav files into.")
    flags.DEFINE_enum("instrument", "flute", sorted(INSTRUMENTS), "What plays.")
    flags.DEFINE_float("minutes", 2.0, "Total length, minutes.", lower_bound=0.1)
    flags.DEFINE_integer("seed", 7, "Of the melodies and dynamics.")


def main(argv: list[str]) -> int:
    """Renders, prints where, and returns an exit code."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected {argv[1]!r}: every argument is a --flag.")
    values = flags.FLAGS
    try:
        paths = render_demo(
            pathlib.Path(values.output),
            instrument=values.instrument,
            minutes=values.minutes,
            seed=values.seed,
        )
    except OSError as error:
        print(f"prep.demo: {error}", file=sys.stderr)
        return 1
    print(f"{len(paths)} recordings of {RECORDING_SECS:g} s in {values.output}")
    return 0


if __name__ == "__main__":
    define_flags()
    app.run(main)
