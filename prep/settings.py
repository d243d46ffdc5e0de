"""What a dataset is made of: rates, lengths, thresholds; checked once, pickled freely.

Every rate and length of a dataset follows from `Settings`. Control frame `i` stands at
sample `i * hop_size` of the recording, at whatever sample rate: so one frame must be a
whole number of samples both at `sample_rate` and at the pitch tracker's 16 kHz.
"""

import dataclasses
import math

from prep import errors
from prep.pitch import tracker

CREPE_RATE = tracker.SAMPLE_RATE  # what the pitch tracker hears
CREPE_FRAME = tracker.FRAME_SIZE  # samples that it sees
PRECISIONS = tracker.PRECISIONS
FRAMINGS = ("aligned", "ddsp_same", "ddsp_center")
NORMALIZATIONS = ("none", "peak")
PITCH_RANGES = ("auto", "crepe")
SHORT = ("pack", "pad", "reject")  # what becomes of recordings shorter than an example
THREADS = 2  # of TensorFlow, in every process that tracks pitch
MAX_RATE = 192000  # samples/s
MAX_EXAMPLE_SECS = 3600.0  # s, longer than anything that is learnt from at once
SECS_PRECISION = 1e-6  # s, seconds further than this from a whole frame are refused


class PrepError(errors.InputError):
    """Something that a person can put right; the message says how."""

    has_lines = True


def common_frame_rates(sample_rate: int) -> list[int]:
    """Frame rates whose hop is whole at `sample_rate` and at 16 kHz, highest first."""
    shared = math.gcd(sample_rate, CREPE_RATE)
    return [rate for rate in range(shared, 0, -1) if shared % rate == 0]


def secs_to_frames(secs: float, frame_rate: int, *, name: str) -> int:
    """Whole number of frames in `secs`.

    Raises:
        ValueError: If it is not a whole number, or none.
    """
    is_finite = math.isfinite(secs * frame_rate)
    frames = round(secs * frame_rate) if is_finite else 0
    if frames < 1 or abs(frames / frame_rate - secs) > SECS_PRECISION:
        nearest = max(1, frames) / frame_rate
        hint = f" Nearest: {name}={nearest:.9g}." if is_finite else ""
        raise ValueError(
            f"{name}={secs:g} is {secs * frame_rate:.6g} frames at frame_rate="
            f"{frame_rate}; a whole number of at least 1 is needed.{hint}"
        )
    return frames


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything but the recordings that decides what is in a dataset.

    Attributes:
        sample_rate: Of `audio`, samples/s, at least 16000.
        frame_rate: Of the controls, frames/s; divides `sample_rate` and 16000.
        example_secs: Length of an example, s, a whole number of frames.
        hop_secs: Between the starts of two training examples, s. Examples for
            evaluation never overlap, except for a recording's last.
        framing: "aligned": frame `i` is centred on sample `i * hop_size` and an example
            has `example_secs * frame_rate` frames. "ddsp_same", "ddsp_center": the
            features of `ddsp_prepare_tfrecord` without and with `--center`.
        short: What becomes of recordings shorter than an example. "pack" lays them one
            behind another into examples, "pad" fills each up with silence to an example
            of its own, "reject" refuses them.
        trim_silence: Whether silence before and after the music is left out.
        min_loudness_db: What never gets louder than this is silence, dB A-weighted.
        normalize: "peak" scales each recording to the same peak; "none" leaves it.
        transpose_cents: Copies of the training recordings, transposed by resampling;
            0 among them stands for the recordings as they are.
        crepe_capacity: Size of the pitch tracker's network, "full" or "tiny".
        crepe_precision: Of the network's products, "float32" or "bfloat16".
        f0_decoder: "viterbi" or "argmax".
        pitch_range: "auto" tracks a recording outside CREPE's range an octave lower or
            higher (`prep.recordings.pitch_range`); "crepe" tracks all as they are.
        voiced_confidence: A frame is voiced from this confidence on, [0, 1], ...
        voiced_loudness_db: ... and from this loudness on, dB A-weighted.
        eval_split_fraction: Share of the seconds kept for evaluation, [0, 0.5].
        min_input_rate: Recordings below this sample rate are refused, samples/s.
        n_shards: Of the training split; 0 chooses about 64 MB each.
    """

    sample_rate: int = 16000
    frame_rate: int = 250
    example_secs: float = 4.0
    hop_secs: float = 1.0
    framing: str = "aligned"
    short: str = "pack"
    trim_silence: bool = False
    min_loudness_db: float = -50.0
    normalize: str = "none"
    transpose_cents: tuple[float, ...] = (0.0,)
    crepe_capacity: str = "full"
    crepe_precision: str = "float32"
    f0_decoder: str = "viterbi"
    pitch_range: str = "auto"
    voiced_confidence: float = tracker.MIN_CONFIDENCE
    voiced_loudness_db: float = tracker.MIN_LOUDNESS_DB
    eval_split_fraction: float = 0.1
    min_input_rate: int = CREPE_RATE
    n_shards: int = 0

    def __post_init__(self) -> None:
        """Checks every value.

        Raises:
            ValueError: Names the value, what is allowed and the nearest that works.
        """
        # Rates first: lengths are counted in frames.
        self._check_rates()
        for name in ("example_secs", "hop_secs"):
            secs = getattr(self, name)
            secs_to_frames(secs, self.frame_rate, name=name)
            _check_range(name, secs, 0.0, MAX_EXAMPLE_SECS)
        _check_choice("framing", self.framing, FRAMINGS)
        _check_choice("short", self.short, SHORT)
        _check_choice("normalize", self.normalize, NORMALIZATIONS)
        _check_choice("crepe_capacity", self.crepe_capacity, ("full", "tiny"))
        _check_choice("crepe_precision", self.crepe_precision, PRECISIONS)
        _check_choice("f0_decoder", self.f0_decoder, ("viterbi", "argmax"))
        _check_choice("pitch_range", self.pitch_range, PITCH_RANGES)
        _check_range("voiced_confidence", self.voiced_confidence, 0.0, 1.0)
        _check_range("voiced_loudness_db", self.voiced_loudness_db, -80.0, 60.0)
        _check_range("min_loudness_db", self.min_loudness_db, -80.0, 60.0)
        _check_range("eval_split_fraction", self.eval_split_fraction, 0.0, 0.5)
        _check_range("n_shards", self.n_shards, 0, 100000)
        _check_range("min_input_rate", self.min_input_rate, 1, MAX_RATE)
        # Copies come in addition to the recordings, each once.
        if 0 not in self.transpose_cents:
            raise ValueError(
                f"transpose_cents={list(self.transpose_cents)} leaves out 0, the "
                "recordings as they are; copies can only come in addition."
            )
        for cents in self.transpose_cents:
            _check_range("transpose_cents", cents, -1200.0, 1200.0)
        if len(set(self.transpose_cents)) < len(self.transpose_cents):
            raise ValueError(
                f"transpose_cents={list(self.transpose_cents)} names a value twice."
            )

    def _check_rates(self) -> None:
        _check_range("sample_rate", self.sample_rate, CREPE_RATE, MAX_RATE)
        _check_range("frame_rate", self.frame_rate, 1, CREPE_RATE)
        rates = common_frame_rates(self.sample_rate)
        if self.frame_rate in rates:
            return
        nearest = sorted(rates, key=lambda rate: abs(rate - self.frame_rate))[:4]
        hops = " and ".join(
            f"{rate / self.frame_rate:.2f} samples at {rate} Hz"
            for rate in dict.fromkeys((self.sample_rate, CREPE_RATE))
        )
        raise ValueError(
            f"frame_rate={self.frame_rate} does not divide both "
            f"sample_rate={self.sample_rate} and the pitch tracker's {CREPE_RATE}: the "
            f"hop would be {hops}. Nearest frame rates that do: "
            f"{', '.join(map(str, nearest))}."
        )

    @property
    def tracker_id(self) -> str:
        """Name of the pitch tracker; float32 is not said, as before it had a name."""
        is_plain = self.crepe_precision == PRECISIONS[0]
        precision = "" if is_plain else f"-{self.crepe_precision}"
        return f"crepe-{self.crepe_capacity}-{self.f0_decoder}{precision}"

    @property
    def hop_size(self) -> int:
        """Samples of `audio` between two frames."""
        return self.sample_rate // self.frame_rate

    @property
    def hop_16k(self) -> int:
        """Samples of `audio_16k` between two frames."""
        return CREPE_RATE // self.frame_rate

    @property
    def example_frames(self) -> int:
        """Frames that an example spans."""
        return secs_to_frames(self.example_secs, self.frame_rate, name="example_secs")

    @property
    def hop_frames(self) -> int:
        """Frames between the starts of two training examples."""
        return secs_to_frames(self.hop_secs, self.frame_rate, name="hop_secs")

    @property
    def feature_frames(self) -> int:
        """Values that each feature of an example has."""
        return self.example_frames + (self.framing == "ddsp_center")

    @property
    def n_samples(self) -> int:
        """Samples of `audio` in an example."""
        return self.example_frames * self.hop_size

    @property
    def n_samples_16k(self) -> int:
        """Samples of `audio_16k` in an example."""
        return self.example_frames * self.hop_16k


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is not one of {', '.join(allowed)}.")


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also catches NaN
        raise ValueError(f"{name}={value!r} is outside {low:g} to {high:g}.")
