"""From CREPE's activations to one pitch and one confidence a frame.

Two decoders, both as in the crepe package. `argmax` takes the strongest bin of each
frame, `viterbi` the most likely path of a hidden Markov model whose states are the
bins: transitions reach 11 bins to either side and favour staying, and the strongest bin
is what is observed. Either way the pitch is the average of the nine bins around the
chosen one, weighted by activation, and the confidence is the strongest activation of
the frame.

Every frame gets a pitch above 0 Hz, silence and noise too: the network has no answer
for "none". Its confidence helps, but not alone. Measured with the full network (and the
tiny one): digital silence 0.14 (0.01); white noise at any level at most 0.24 (0.50);
but brown noise passes 0.5 in 5 % of the frames, up to 0.78, and mains hum at 50 Hz is a
pitch to it,
0.83. It does not hear how loud that is, because frames are normalised: a hum 100 dB
below the music is as good as the music. So `voiced` asks for loudness as well.

Source: the crepe package's model of pitch (Kim, Salamon, Li and Bello, ICASSP 2018) and
    hmmlearn's rule for ties. The decoder is own: it uses that the transitions are a
    band, and gives out frames as soon as no later one can change them.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any
from typing import Protocol

import numpy as np

from prep.pitch import viterbi
from prep.pitch import weights as crepe_weights

N_BINS = viterbi.N_BINS
CENTS_PER_BIN = 20.0
FIRST_BIN_CENTS = 1997.3794084376191  # above REFERENCE_HZ
REFERENCE_HZ = 10.0
SAMPLE_RATE = crepe_weights.SAMPLE_RATE
FRAME_SIZE = crepe_weights.FRAME_SIZE
MIN_CONFIDENCE = 0.5  # default of `voiced`
MIN_LOUDNESS_DB = -60.0  # default of `voiced`; the floor is -80
DECODERS = ("viterbi", "argmax")
PRECISIONS = ("float32", "bfloat16")  # of the network's products
_AVERAGE_REACH = 4  # bins to either side
_BIN_CENTS = FIRST_BIN_CENTS + CENTS_PER_BIN * np.arange(N_BINS)


def local_average_cents(activations: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """The mean of nine bins weighted by activation; fewer bins at the ends.

    Args:
        activations: Shape [n_frames, 360].
        centers: The bin in the middle of each frame's nine, int [n_frames].

    Returns:
        Cents above 10 Hz, float64 [n_frames]; NaN where all the weights are 0.
    """
    offsets = np.arange(-_AVERAGE_REACH, _AVERAGE_REACH + 1)
    bins = np.asarray(centers)[:, np.newaxis] + offsets
    inside = (bins >= 0) & (bins < N_BINS)
    bins = np.clip(bins, 0, N_BINS - 1)
    weights = np.take_along_axis(activations, bins, axis=1) * inside.astype(np.float64)
    total = weights.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return (weights * _BIN_CENTS[bins]).sum(axis=1) / total


def cents_to_hz(cents: np.ndarray) -> np.ndarray:
    """Cents above 10 Hz to Hz."""
    return REFERENCE_HZ * 2.0 ** (cents / 1200.0)


def decode_argmax(activations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decodes each frame for itself.

    Args:
        activations: Shape [n_frames, 360], >= 0.

    Returns:
        f0_hz (> 0) and f0_confidence (0 .. 1), each float32 [n_frames].

    Raises:
        ValueError: If the shape is wrong.
    """
    activations = _checked(activations)
    return _pitch_at(activations, activations.argmax(axis=1))


def decode_viterbi(activations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decodes the most likely path through all frames.

    Args:
        activations: Shape [n_frames, 360], >= 0.

    Returns:
        f0_hz (> 0) and f0_confidence (0 .. 1), each float32 [n_frames].

    Raises:
        ValueError: If the shape is wrong.
    """
    activations = _checked(activations)
    return _pitch_at(activations, viterbi.viterbi_path(activations.argmax(axis=1)))


class _Network(Protocol):
    """What a tracker needs of `prep.pitch.network.CrepeNetwork`."""

    def activation_blocks(
        self,
        chunks: Iterable[np.ndarray],
        hop_size: int,
        *,
        n_frames: int | None,
        center: bool,
    ) -> Iterator[np.ndarray]: ...


class CrepeTracker:
    """Tracks the pitch of whole recordings; can be sent to other processes.

    The network is built by the first call, once per process and tracker, and is left
    behind when the tracker is pickled.

    Args:
        capacity: `full` or `tiny`; with an installed crepe package also the others.
        decoder: `viterbi` or `argmax`.
        precision: Of the network's products, `float32` or `bfloat16`.

    Raises:
        ValueError: If there is no such decoder or precision.
    """

    def __init__(
        self,
        capacity: str = "full",
        decoder: str = "viterbi",
        *,
        precision: str = "float32",
    ):
        for name, value, allowed in (
            ("decoder", decoder, DECODERS),
            ("precision", precision, PRECISIONS),
        ):
            if value not in allowed:
                raise ValueError(
                    f"{name}={value!r} is unknown; allowed: {', '.join(allowed)}."
                )
        self.capacity = capacity
        self.decoder = decoder
        self.precision = precision
        self._network: _Network | None = None

    def __call__(
        self, audio_16k: np.ndarray, frame_rate: float, *, center: bool = True
    ) -> tuple[np.ndarray, np.ndarray]:
        """Tracks one recording.

        Args:
            audio_16k: Audio at 16 kHz, [n_samples], finite.
            frame_rate: Frames per second; must divide 16000. Fast where the hop is a
                multiple of 64 samples (250, 125, 50, 25).
            center: Whether frame i is centred on its time or begins there; then only
                frames that lie wholly inside are answered.

        Returns:
            f0_hz (> 0) and f0_confidence (0 .. 1), each float32 [n_frames], with
            `n_frames = round(n_samples / 16000 * frame_rate)`. Frame i describes the
            audio around sample `i * 16000 / frame_rate`. Without centring, n_frames is
            `1 + (n_samples - 1024) // hop_size`.

        Raises:
            ValueError: If the frame rate does not divide 16000 or the audio is not one
                row of finite numbers.
        """
        hop_size = hop_of(frame_rate)
        n_frames = None
        if center:
            n_frames = round(len(audio_16k) / SAMPLE_RATE * frame_rate)
        blocks = self._built().activation_blocks(
            [audio_16k], hop_size, n_frames=n_frames, center=center
        )
        if self.decoder == "viterbi":
            decoded = list(_decode_along_path(blocks))
        else:
            decoded = [decode_argmax(block) for block in blocks]
        if not decoded:
            return np.zeros(0, np.float32), np.zeros(0, np.float32)
        f0_hz, f0_confidence = zip(*decoded, strict=True)
        return np.concatenate(f0_hz), np.concatenate(f0_confidence)

    def _built(self) -> _Network:
        if self._network is None:
            # TensorFlow: only when a recording comes.
            from prep import products
            from prep.pitch import network

            self._network = network.CrepeNetwork(
                self.capacity, products=products.products_of(self.precision)
            )
        return self._network

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_network": None}


def hop_of(frame_rate: float) -> int:
    """Samples at 16 kHz between two frames.

    Raises:
        ValueError: If the rate does not divide 16000.
    """
    if not frame_rate > 0 or SAMPLE_RATE % frame_rate:
        raise ValueError(
            f"frame_rate={frame_rate} does not divide {SAMPLE_RATE}, the rate of the "
            "pitch tracker. Usual rates that do: 250, 125, 100, 50."
        )
    return int(SAMPLE_RATE // frame_rate)


def _decode_along_path(
    blocks: Iterable[np.ndarray],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`decode_viterbi` of blocks, holding only what is not decided yet."""
    decoder = viterbi.ViterbiDecoder()
    held: list[np.ndarray] = []
    for block in blocks:
        held.append(block)
        path = decoder.push(block.argmax(axis=1))
        if len(path):
            activations = np.concatenate(held)
            yield _pitch_at(activations[: len(path)], path)
            held = [activations[len(path) :]]
    path = decoder.finish()
    if len(path):
        yield _pitch_at(np.concatenate(held), path)


def _pitch_at(
    activations: np.ndarray, bins: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    cents = local_average_cents(activations, bins)
    cents = np.where(np.isnan(cents), _BIN_CENTS[bins], cents)
    f0_hz = cents_to_hz(cents).astype(np.float32)
    return f0_hz, activations.max(axis=1).astype(np.float32)


def _checked(activations: np.ndarray) -> np.ndarray:
    activations = np.asarray(activations)
    if activations.ndim != 2 or activations.shape[1] != N_BINS:
        raise ValueError(
            f"activations have shape {activations.shape}; [n_frames, {N_BINS}] is "
            "needed."
        )
    return activations


def voiced(
    f0_confidence: np.ndarray,
    loudness_db: np.ndarray,
    *,
    min_confidence: float = MIN_CONFIDENCE,
    min_loudness_db: float = MIN_LOUDNESS_DB,
) -> np.ndarray:
    """Tells frames whose pitch can be trusted from the rest.

    Args:
        f0_confidence: 0 .. 1, [n_frames].
        loudness_db: A-weighted, floor -80, [n_frames].
        min_confidence: Least confidence of a voiced frame.
        min_loudness_db: Least loudness of a voiced frame, dB.

    Returns:
        Bool [n_frames]; False where either is NaN.

    Raises:
        ValueError: If the lengths differ.
    """
    f0_confidence, loudness_db = np.asarray(f0_confidence), np.asarray(loudness_db)
    if f0_confidence.shape != loudness_db.shape:
        raise ValueError(
            f"f0_confidence has shape {f0_confidence.shape}, loudness_db "
            f"{loudness_db.shape}; both must have one value a frame."
        )
    return (f0_confidence >= min_confidence) & (loudness_db >= min_loudness_db)
