"""The held-out batch, and the distance by which every run is judged on it.

The measure is the multi-scale spectral distance of the generated audio to the
recording, mean |difference of magnitudes| plus mean |difference of log magnitudes|,
summed over FFT sizes 2048 to 64. It is the same for every rung, whatever losses and
weights it trains with, so runs can be compared by it.
"""

import dataclasses
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from models.data import provider as data_provider
from models.layers import compiled
from models.losses import spectral
from models.measures import model_outputs
from models.measures import spectra
from models.synths import seeded_noise

# Magnitude added before the logarithm: noise at -75 dBFS in the shortest window.
# Without it, silent bins, down to 1e-12, would outweigh everything that can be heard.
LOG_FLOOR = 1e-3
Measurement = Callable[[], tuple[tf.Tensor, model_outputs.ModelOutputs]]
_HELD_OUT_SEED = 0  # of the noise in every measurement


def spectrograms(audio: tf.Tensor) -> list[tf.Tensor]:
    """Magnitudes at every FFT size, each [batch, n_frames, n_bins]."""
    return spectral.stft_magnitudes(audio, fft_sizes=spectra.FFT_SIZES)


def spectral_distance(
    audio: tf.Tensor, *, references: Sequence[tf.Tensor]
) -> tf.Tensor:
    """Multi-scale spectral distance to recordings.

    Args:
        audio: What was generated, [batch, n_samples].
        references: `spectrograms` of the recordings, which are equally long.

    Returns:
        Distance of each example, 0 for equal signals, [batch].

    Source:
        Engel et al., "DDSP", ICLR 2020, eq. 4, with L1 norms; differs: means instead of
        sums, and a floor below the logarithm.
    """
    log = lambda magnitude: tf.math.log(magnitude + LOG_FLOOR)
    parts = [
        tf.reduce_mean(tf.abs(ref - est) + tf.abs(log(ref) - log(est)), axis=(1, 2))
        for ref, est in zip(references, spectrograms(audio), strict=True)
    ]
    return tf.add_n(parts)


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """A fixed batch to judge by.

    Attributes:
        batch: Features, as the provider gives them, with `example_index`.
        names: What each example is, for plots and files.
        sample_rate: Samples a second.
        frame_rate: Control frames a second.
        split: Where the batch is from: 'eval', or 'train' where that was asked for.
    """

    batch: dict[str, tf.Tensor]
    names: tuple[str, ...]
    sample_rate: int
    frame_rate: int
    split: str


def held_out_batch(
    provider: data_provider.PreparedDataset, *, n_examples: int
) -> HeldOut:
    """Picks examples that are evenly spaced through a split."""
    indices = provider.spread_indices(n_examples)
    batch = provider.examples(indices)
    names = tuple(
        f"{item.recording_id}@{item.start_secs:g}s"
        for item in provider.example_ids(indices)
    )
    return HeldOut(
        batch={key: tf.constant(value) for key, value in batch.items()},
        names=names,
        sample_rate=provider.sample_rate,
        frame_rate=provider.frame_rate,
        split=provider.split,
    )


def first_batch(provider: Any, *, n_examples: int) -> HeldOut:
    """The first examples of a provider that has no held-out split.

    Raises:
        ValueError: If it has fewer.
    """
    dataset = provider.get_batch(n_examples, shuffle=False, repeats=1)
    batch = next(iter(dataset), None)
    if batch is None:
        raise ValueError(
            f"the dataset has fewer than the {n_examples} examples that a run is "
            "measured on; prepare more, or bind fewer to "
            "models.loop.LoopOptions.held_out_examples."
        )
    return HeldOut(
        batch=batch,
        names=tuple(f"example {i}" for i in range(n_examples)),
        sample_rate=provider.sample_rate,
        frame_rate=provider.frame_rate,
        split="train",
    )


def measurement(model: tf.keras.Model, held_out: HeldOut) -> Measurement:
    """A function that runs the model on the held-out batch.

    Returns:
        Function without arguments → (spectral distance of each example, outputs). Its
        noise is the same at every call.
    """
    n_rows = held_out.batch["audio"].shape[0]
    recordings = held_out.batch["audio"]
    with compiled.as_written():  # once, in less time than compiling takes
        references = spectrograms(recordings)
    key = seeded_noise.NoiseKey(_HELD_OUT_SEED, step=0, n_rows=n_rows)

    @tf.function(autograph=False)
    def measure() -> tuple[tf.Tensor, model_outputs.ModelOutputs]:
        with seeded_noise.reproducible(key):
            outputs = model(dict(held_out.batch), training=False)
        audio = model.get_audio_from_outputs(outputs)
        audio = tf.ensure_shape(audio, recordings.shape)
        return spectral_distance(audio, references=references), outputs

    return measure
