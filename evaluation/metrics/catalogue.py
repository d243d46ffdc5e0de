"""Every metric: its name, its unit, how it is read, which way is better.

The report's tables and the comparison take names, units and directions from here. The
tables of docs/metrics.md repeat units, ranges, directions and example values, and a
test compares them (tests/evaluation/metrics/test_docs.py).

Collapse metrics are judged by their distance from the recording's own value: a clarinet
has few harmonics and a steady note does not move, so low entropy alone is no collapse.
The index and the saturation rate are not: of both, less is better, and a recording has
no gain that could stick to its limits.
"""

import dataclasses
import math
from collections.abc import Sequence

from evaluation.metrics import metric as metric_lib
from models.measures import spectra


def _collapse(
    key: str,
    title: str,
    unit: str,
    high: float,
    *texts: str,
    low: float = 0.0,
    better: str = metric_lib.RECORDING,
) -> metric_lib.Metric:
    """A metric of the controls; most are judged by distance from the recording's."""
    healthy, collapsed, plain = texts
    return metric_lib.Metric(
        key=key,
        title=title,
        unit=unit,
        better=better,
        low=low,
        high=high,
        healthy=healthy,
        collapsed=collapsed,
        plain=plain,
    )


INDEX = _collapse(
    "collapse_index",
    "Collapse index",
    "",
    1.0,
    "0: the recording itself",
    "1: a control is lost",
    "How much of the instrument's life the controls have lost, worst kind first.",
    better=metric_lib.LOWER,
)

HEARD_INDEX = dataclasses.replace(
    INDEX,
    key="heard_collapse_index",
    title="Collapse index as heard",
    plain="How much of the instrument's life is lost in the sound, worst kind first.",
)

COLLAPSE = (
    _collapse(
        "harmonic_distribution_entropy",
        "Harmonic entropy",
        "",
        1.0,
        "0.57",
        "0: one harmonic",
        "How evenly the sound is spread over the harmonics that fit below Nyquist.",
    ),
    _collapse(
        "effective_harmonics",
        "Effective harmonics",
        "",
        math.inf,
        "6.2",
        "1: one harmonic",
        "How many harmonics really take part.",
        low=1.0,
    ),
    _collapse(
        "top1_share",
        "Top-1 share",
        "",
        1.0,
        "0.45",
        "1: one harmonic",
        "Share of the strongest harmonic.",
    ),
    _collapse(
        "top3_share",
        "Top-3 share",
        "",
        1.0,
        "0.78",
        "1: one harmonic",
        "Share of the three strongest harmonics.",
    ),
    _collapse(
        "modal_share",
        "Modal-harmonic share",
        "",
        1.0,
        "0.60",
        "1: one harmonic",
        "How often the most usual strongest harmonic is the strongest.",
    ),
    _collapse(
        "distribution_flux",
        "Timbre flux",
        "bits",
        1.0,
        "3.3e-5",
        "0: frozen",
        "How much the mix of harmonics changes from one frame to the next.",
    ),
    _collapse(
        "static_distance",
        "Distance from the mean timbre",
        "nats",
        math.inf,
        "0.060",
        "0: frozen",
        "How far the mix of harmonics strays from its own average.",
    ),
    _collapse(
        "gain_variation",
        "Harmonic level variation",
        "dB/s",
        math.inf,
        "23",
        "0: flat",
        "How much the level of the tone moves, up and down together.",
    ),
    _collapse(
        "noise_variation",
        "Noise level variation",
        "dB/s",
        math.inf,
        "24",
        "0: flat",
        "How much the level of the breath or bow noise moves.",
    ),
    _collapse(
        "gain_range",
        "Dynamic range",
        "dB",
        math.inf,
        "20",
        "0: flat",
        "From soft to loud within a clip, leaving out the outermost 5 % each.",
    ),
    _collapse(
        "gain_range_ratio",
        "Dynamic range, share of the recording's",
        "",
        math.inf,
        "1",
        "0: flat",
        "How much of the recording's dynamic range is kept; above 1 is exaggerated.",
    ),
    _collapse(
        "loudness_response",
        "Loudness response",
        "",
        1.0,
        "1.00",
        "0: flat",
        "Does it get louder when the recording does?",
        low=-1.0,
    ),
    _collapse(
        "brightness_loudness",
        "Brightness follows loudness",
        "",
        1.0,
        "0.99",
        "0: frozen",
        "Does it get brighter when played louder, as the instrument does?",
        low=-1.0,
    ),
    _collapse(
        "brightness_pitch",
        "Brightness follows pitch",
        "",
        1.0,
        "-1.00",
        "0: frozen",
        "Does the tone thin out or fill with pitch, as the instrument's does?",
        low=-1.0,
    ),
    _collapse(
        "noise_share",
        "Noise share",
        "",
        1.0,
        "0.003",
        "1: noise alone",
        "Share of the breath or bow noise in the power.",
    ),
    _collapse(
        "silence_rate",
        "Silence rate",
        "",
        1.0,
        "0",
        "1: silent",
        "Share of the time in which the recording sounds and this does not.",
    ),
    _collapse(
        "saturation_rate",
        "Saturation rate",
        "",
        1.0,
        "0",
        "1: stuck",
        "Share of the time with the gain at the end of its scale.",
        better=metric_lib.LOWER,
    ),
    _collapse(
        "clip_diversity",
        "Diversity across clips",
        "bits",
        1.0,
        "0.013",
        "0: one timbre",
        "How much the average timbre differs from clip to clip.",
    ),
)


def _fidelity(
    key: str,
    title: str,
    unit: str,
    *texts: str,
    better: str = metric_lib.LOWER,
    high: float,
) -> metric_lib.Metric:
    """A metric of the audio."""
    healthy, collapsed, plain = texts
    return metric_lib.Metric(
        key=key,
        title=title,
        unit=unit,
        better=better,
        low=0.0,
        high=high,
        healthy=healthy,
        collapsed=collapsed,
        plain=plain,
    )


def _spectral(
    key: str,
    title: str,
    plain: str,
    healthy: str = "0: the recording itself",
    collapsed: str = "grows",
) -> metric_lib.Metric:
    """One of the parts of the multi-scale spectral loss."""
    return _fidelity(key, title, "", healthy, collapsed, plain, high=math.inf)


FIDELITY = (
    _spectral(
        "spectral_loss",
        "Spectral loss",
        "How different the two sound at every moment; what training makes small.",
        "3.4",
        "7.0: one harmonic",
    ),
    _spectral(
        "spectral_mag",
        "Spectral loss, mag",
        "The part of loud components.",
        "0.11",
        "0.48: one harmonic",
    ),
    _spectral(
        "spectral_logmag",
        "Spectral loss, logmag",
        "The part that hears quiet ones.",
        "3.3",
        "6.5: one harmonic",
    ),
    _fidelity(
        "log_spectral_distance",
        "Log-spectral distance",
        "dB",
        "6.9",
        "10.4: one harmonic",
        "How far the spectrum is off, in dB.",
        high=math.inf,
    ),
    _fidelity(
        "loudness_distance",
        "Loudness distance",
        "dB",
        "0.07",
        "6.0: flat",
        "How far off the loudness is, on average.",
        high=math.inf,
    ),
    _fidelity(
        "harmonic_error",
        "Harmonic level error",
        "dB",
        "1.4",
        "21: one harmonic",
        "How far the strength of each overtone is off, as heard.",
        high=math.inf,
    ),
    _fidelity(
        "pitch_error_cents",
        "Pitch error",
        "cents",
        "5",
        "2565: a hum",
        "How far the pitch that is heard is from the recording's.",
        high=math.inf,
    ),
    _fidelity(
        "raw_pitch_accuracy",
        "Raw pitch accuracy",
        "",
        "0.975",
        "0: a hum",
        "Share of the time within half a semitone of the recording.",
        better=metric_lib.HIGHER,
        high=1.0,
    ),
    _fidelity(
        "raw_chroma_accuracy",
        "Raw chroma accuracy",
        "",
        "1.00",
        "0: a hum",
        "The same, octave errors forgiven.",
        better=metric_lib.HIGHER,
        high=1.0,
    ),
    _fidelity(
        "voicing_recall",
        "Voicing recall",
        "",
        "0.95",
        "0: noise alone",
        "Share of the recording's pitched time in which a pitch is heard.",
        better=metric_lib.HIGHER,
        high=1.0,
    ),
    _fidelity(
        "voicing_false_alarm",
        "Voicing false alarm",
        "",
        "0.05",
        "1: a hum",
        "Share of the unpitched time in which a pitch is heard all the same.",
        high=1.0,
    ),
    _fidelity(
        "pitch_outlier",
        "Pitch outlier",
        "",
        "0",
        "1: a hum",
        "Whether the clip misses the pitch by more than an octave on average.",
        high=1.0,
    ),
)

SCALES = tuple(
    _spectral(
        f"spectral_{part}_{size}",
        f"Spectral loss, {part} {size}",
        f"The same for windows of {size} samples.",
    )
    for part in ("mag", "logmag")
    for size in spectra.FFT_SIZES
)

ALL = (INDEX, HEARD_INDEX, *COLLAPSE, *FIDELITY, *SCALES)
BY_KEY = {metric.key: metric for metric in ALL}

# What the verdict rests on and the first table shows; the family over which the
# comparison is corrected for testing several things at once.
HEADLINE = (
    "collapse_index",
    "heard_collapse_index",
    "spectral_loss",
    "spectral_mag",
    "spectral_logmag",
    "loudness_distance",
    "pitch_error_cents",
    "harmonic_distribution_entropy",
    "top1_share",
    "noise_share",
)


def headline(indices: Sequence[str]) -> tuple[str, ...]:
    """The headline of a report that has some of the two indices only.

    Args:
        indices: Keys of those that it has.
    """
    absent = {INDEX.key, HEARD_INDEX.key} - set(indices)
    return tuple(key for key in HEADLINE if key not in absent)
