"""Power of records that were written without it.

Preparation measures `power_db` beside loudness; datasets of earlier versions have none.
The audio at 16 kHz, which every record holds, says the same but for the first and the
last half window, where the example's neighbours are not known.
"""

import tensorflow as tf

from prep.dataset import records


def optional_feature(n_frames: int) -> tf.io.FixedLenFeature:
    """Returns how `power_db` is parsed: NaN where a record has none."""
    nothing = [float("nan")] * n_frames
    return tf.io.FixedLenFeature([n_frames], tf.float32, default_value=nothing)


def measured_or(power_db: tf.Tensor, audio_16k: tf.Tensor) -> tf.Tensor:
    """Returns a record's power, measured from its audio where it says none.

    Args:
        power_db: As `optional_feature` parses it, [n_frames].
        audio_16k: Audio of the record at 16 kHz, [n_samples].

    Returns:
        dB, floor -80; [n_frames].
    """
    n_frames = int(power_db.shape[0])
    return tf.cond(
        tf.math.is_nan(power_db[0]),
        lambda: measure(audio_16k, n_frames=n_frames),
        lambda: power_db,
    )


def measure(audio_16k: tf.Tensor, *, n_frames: int) -> tf.Tensor:
    """Measures power as `prep.features.power_db` does.

    At both ends the mean is taken over the part of the window that holds audio: zeros
    there would stand for silence that the recording most likely does not have.

    Args:
        audio_16k: [n_samples], a whole number of frames.
        n_frames: Frame i stands at sample i * n_samples / n_frames.

    Returns:
        dB of the unweighted RMS, floor -80; float32, [n_frames].
    """
    n_samples = int(audio_16k.shape[0])
    centre = tf.range(n_frames) * (n_samples // n_frames)
    begin = tf.maximum(centre - records.POWER_FRAME // 2, 0)
    end = tf.minimum(centre + records.POWER_FRAME // 2, n_samples)
    # Sums in float64, whose differences keep their digits in silence behind a forte.
    summed = tf.cumsum(tf.square(tf.cast(audio_16k, tf.float64)))
    summed = tf.concat([tf.zeros([1], tf.float64), summed], axis=0)
    energy = tf.gather(summed, end) - tf.gather(summed, begin)
    mean = tf.cast(energy / tf.cast(end - begin, tf.float64), tf.float32)
    floor = 10.0 ** (records.MIN_DB / 10.0)
    decibels = 10.0 / tf.math.log(10.0) * tf.math.log(tf.maximum(mean, floor))
    return tf.maximum(decibels, records.MIN_DB)
