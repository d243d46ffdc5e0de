"""Multi-scale spectral distance, each signal framed and transformed once a size.

ddsp's `SpectralLoss` spends most of its time on passes between transforms: windows,
absolute values, logarithms, differences, and all of them again on the way back. Here
each size is one compiled program each way, sizes side by side; both terms come from one
pass and one logarithm of a ratio, and one inverse transform takes both terms' gradients
back. Magnitudes of a batch that does not change are computed once and handed in.

Conventions: Hann windows, frames that start at multiples of the hop and are padded with
zeros at the end, FFTs of the next power of two, magnitudes not normalised: all as
`ddsp.spectral_ops.compute_mag`. Terms are means over bins and frames; totals are sums
over FFT sizes.

Source:
    ddsp.losses.SpectralLoss (Wang et al., 2019; Engel et al., ICLR 2020, eq. 4); the
    arrangement and the gradient are own.
"""

import collections.abc

import ddsp
import gin
import numpy as np
import tensorflow as tf

from models.layers import compiled
from models.measures import spectra

LOSS_TYPES = ("L1", "L2")
SAFE_MAGNITUDE = 1e-5  # ddsp.core.safe_log's stand-in for a magnitude of exactly 0
Terms = dict[str, tf.Tensor]


def _hop_size(fft_size: int, overlap: float) -> int:
    """Hop in samples, checked to divide the frame."""
    hop_size = int(fft_size * (1.0 - overlap))
    if hop_size < 1 or fft_size % hop_size:
        raise ValueError(
            f"overlap={overlap} gives frames of {fft_size} samples a hop of "
            f"{hop_size}, which does not divide them; use an overlap of 0.5, 0.75 or "
            "0.875 and FFT sizes that are multiples of 8."
        )
    return hop_size


def _fft_length(frame_size: int) -> int:
    """The enclosing power of two."""
    return 1 << (frame_size - 1).bit_length()


def _frames(audio: tf.Tensor, frame_size: int, hop_size: int) -> tf.Tensor:
    """Windowed frames. [batch, n_samples] -> [batch, n_frames, frame_size]."""
    n_samples = audio.shape[1]
    n_frames, n_parts = -(-n_samples // hop_size), frame_size // hop_size
    missing = (n_frames + n_parts - 1) * hop_size - n_samples
    hops = tf.reshape(
        tf.pad(audio, [[0, 0], [0, missing]]), [tf.shape(audio)[0], -1, hop_size]
    )
    parts = [hops[:, part : part + n_frames] for part in range(n_parts)]
    frames = tf.reshape(tf.stack(parts, axis=2), [-1, n_frames, frame_size])
    return frames * tf.signal.hann_window(frame_size, dtype=audio.dtype)


def _overlap_add(frames: tf.Tensor, hop_size: int, n_samples: int) -> tf.Tensor:
    """The transpose of `_frames`."""
    n_frames, frame_size = frames.shape[1:]
    n_parts = frame_size // hop_size
    frames = frames * tf.signal.hann_window(frame_size, dtype=frames.dtype)
    parts = tf.reshape(frames, [-1, n_frames, n_parts, hop_size])

    # Hops that fewer frames reach, then all others, where no index has to be checked.
    n_first = min(n_parts - 1, n_frames)
    hops = [
        tf.add_n([parts[:, hop - part, part] for part in range(hop + 1)])[:, tf.newaxis]
        for hop in range(n_first)
    ]
    if n_frames > n_first:
        rows = [
            parts[:, n_first - part : n_frames - part, part] for part in range(n_parts)
        ]
        hops.append(tf.add_n(rows))
    whole = tf.concat(hops, axis=1)
    return tf.reshape(whole, [-1, n_frames * hop_size])[:, :n_samples]


def _spectrum(audio: tf.Tensor, frame_size: int, hop_size: int) -> tf.Tensor:
    frames = _frames(audio, frame_size, hop_size)
    return tf.signal.rfft(frames, [_fft_length(frame_size)])


def _absolute(spectrum: tf.Tensor) -> tf.Tensor:
    """Magnitudes, which TensorFlow's `abs` guards against overflow, twice as slow."""
    return tf.sqrt(
        tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))
    )


def _audible(magnitude: tf.Tensor, epsilon: float | None) -> tf.Tensor:
    """What the logarithm is taken of."""
    if epsilon is None:
        return tf.where(magnitude > 0.0, magnitude, SAFE_MAGNITUDE)
    return magnitude + epsilon


@compiled.compiled
def _magnitude(audio, frame_size, hop_size):
    return _absolute(_spectrum(audio, frame_size, hop_size))


@compiled.compiled
def _compare(audio, ref, frame_size, hop_size, epsilon, loss_type):
    spectrum = _spectrum(audio, frame_size, hop_size)
    est = _absolute(spectrum)
    errors = est - ref, tf.math.log(_audible(est, epsilon) / _audible(ref, epsilon))
    measure = tf.abs if loss_type == "L1" else tf.square
    # Frames first: XLA adds up several bins at a time, but one number of a whole array.
    sums = (tf.reduce_sum(measure(error), axis=1) for error in errors)
    n_values = tf.cast(tf.size(ref), ref.dtype)
    return spectrum, *(tf.reduce_sum(item) / n_values for item in sums)


def _by_magnitude(est, ref, upstream, epsilon, loss_type):
    """Gradient of both terms by magnitudes; L1's needs the logarithm's sign alone."""
    heard_est, heard_ref = _audible(est, epsilon), _audible(ref, epsilon)
    if loss_type == "L1":
        slopes = tf.sign(est - ref), tf.sign(heard_est - heard_ref)
    else:
        slopes = 2.0 * (est - ref), 2.0 * tf.math.log(heard_est / heard_ref)
    by_logarithm = slopes[1] / heard_est
    if epsilon is None:  # flat where an empty bin is replaced
        by_logarithm = tf.where(est > 0.0, by_logarithm, 0.0)
    total = upstream[0] * slopes[0] + upstream[1] * by_logarithm
    return total / tf.cast(tf.size(est), est.dtype)


@compiled.compiled
def _compare_gradient(
    spectrum, ref, upstream, frame_size, hop_size, epsilon, loss_type, n_samples
):
    est = _absolute(spectrum)
    slope = _by_magnitude(est, ref, upstream, epsilon, loss_type)
    # An inverse transform counts bins other than 0 and Nyquist twice and divides by n;
    # an empty bin has no direction.
    length = _fft_length(frame_size)
    counted = np.full(length // 2 + 1, 0.5 * length)
    counted[[0, -1]] = length
    scale = tf.math.divide_no_nan(slope * tf.constant(counted, est.dtype), est)
    by_spectrum = tf.complex(
        tf.math.real(spectrum) * scale, tf.math.imag(spectrum) * scale
    )
    frames = tf.signal.irfft(by_spectrum, [length])[..., :frame_size]
    return _overlap_add(frames, hop_size, n_samples)


def _terms_of_size(
    audio: tf.Tensor,
    ref: tf.Tensor,
    *,
    fft_size: int,
    hop_size: int,
    log_epsilon: float | None,
    loss_type: str,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Magnitude and log-magnitude terms of one FFT size."""
    how = (fft_size, hop_size, log_epsilon, loss_type)

    @tf.custom_gradient
    def compare(audio):
        spectrum, mag, logmag = _compare(audio, ref, *how)

        def gradient(*upstream):
            return _compare_gradient(spectrum, ref, upstream, *how, audio.shape[1])

        return (mag, logmag), gradient

    return compare(audio)


def stft_magnitudes(
    audio: tf.Tensor, *, fft_sizes: collections.abc.Sequence[int], overlap: float = 0.75
) -> list[tf.Tensor]:
    """Magnitudes at every FFT size, for a target that is compared more than once.

    Args:
        audio: Shape [batch, n_samples], float32, or float64 for gradient checks.
        fft_sizes: Frame lengths in samples.
        overlap: Share of a frame that the next one repeats.

    Returns:
        For each size, shape [batch, n_frames, n_bins]. Not differentiable.
    """
    dtype = audio.dtype if tf.is_tensor(audio) else tf.float32
    audio = tf.stop_gradient(tf.convert_to_tensor(audio, dtype))
    return [_magnitude(audio, size, _hop_size(size, overlap)) for size in fft_sizes]


def spectral_terms(
    audio: tf.Tensor,
    target_audio: tf.Tensor | None = None,
    *,
    fft_sizes: collections.abc.Sequence[int],
    overlap: float = 0.75,
    log_epsilon: float | None = None,
    loss_type: str = "L1",
    target_magnitudes: collections.abc.Sequence[tf.Tensor] | None = None,
) -> Terms:
    """Compares two signals' spectrograms, linear and logarithmic, at several sizes.

    Args:
        audio: Synthesised signal; gradients flow to it alone. Shape [batch, n_samples].
        target_audio: Recording, same shape; may be left out where magnitudes are given.
        fft_sizes: Frame lengths in samples.
        overlap: Share of a frame that the next one repeats; 1 - 1/n.
        log_epsilon: Added to magnitudes before the logarithm. None is ddsp's rule,
            which replaces an exact 0 and leaves nearly empty bins down to ln(1e-12).
        loss_type: 'L1' for the mean of absolute differences, 'L2' of squares.
        target_magnitudes: The target's `stft_magnitudes` at the same sizes and overlap.

    Returns:
        Scalars: `mag` and `logmag`, sums over sizes, and each size's part, `mag_2048`
        and so on. `mag + logmag` is ddsp's SpectralLoss with both weights 1.

    Raises:
        ValueError: If an argument is not allowed, or neither form of the target given.
    """
    if loss_type not in LOSS_TYPES:
        raise ValueError(f"loss_type={loss_type!r} is not one of {LOSS_TYPES}.")

    # The target's spectrograms, unless the caller keeps them.
    if target_magnitudes is None:
        if target_audio is None:
            raise ValueError("Give target_audio or its target_magnitudes.")
        target_magnitudes = stft_magnitudes(
            target_audio, fft_sizes=fft_sizes, overlap=overlap
        )

    # Both terms of every size, then their sums.
    terms: dict[str, list[tf.Tensor]] = {"mag": [], "logmag": []}
    for size, ref in zip(fft_sizes, target_magnitudes, strict=True):
        values = _terms_of_size(
            audio,
            ref,
            fft_size=size,
            hop_size=_hop_size(size, overlap),
            log_epsilon=log_epsilon,
            loss_type=loss_type,
        )
        for name, value in zip(("mag", "logmag"), values, strict=True):
            terms[name].append(value)
    totals = {name: tf.add_n(values) for name, values in terms.items()}
    parts = {
        f"{name}_{size}": value
        for name, values in terms.items()
        for size, value in zip(fft_sizes, values, strict=True)
    }
    return totals | parts


@gin.register(module="models.spectral")
class FastSpectralLoss(ddsp.losses.Loss):
    """ddsp's `SpectralLoss` with its two common terms, for ddsp's own gin files.

    Args:
        fft_sizes: Frame lengths in samples.
        loss_type: 'L1' or 'L2'.
        mag_weight: Weight of linear magnitudes.
        logmag_weight: Weight of logarithmic magnitudes, with ddsp's `safe_log`.
        name: Key of the loss.
    """

    def __init__(
        self,
        fft_sizes: collections.abc.Sequence[int] = spectra.FFT_SIZES,
        loss_type: str = "L1",
        mag_weight: float = 1.0,
        logmag_weight: float = 0.0,
        name: str = "spectral_loss",
    ) -> None:
        super().__init__(name=name)
        self.fft_sizes = tuple(fft_sizes)
        self.loss_type = loss_type
        self.mag_weight = mag_weight
        self.logmag_weight = logmag_weight

    def call(self, target_audio: tf.Tensor, audio: tf.Tensor) -> tf.Tensor:
        """Weighted sum of both terms, a scalar, in ddsp's order of arguments."""
        terms = spectral_terms(
            audio,
            target_audio,
            fft_sizes=self.fft_sizes,
            loss_type=self.loss_type,
        )
        return self.mag_weight * terms["mag"] + self.logmag_weight * terms["logmag"]
