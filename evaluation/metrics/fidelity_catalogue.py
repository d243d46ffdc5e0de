"""The fidelity metrics: names, units, directions; `catalogue` gathers them."""

import math

from evaluation.metrics import fidelity
from evaluation.metrics import metric as metric_lib


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
        group="fidelity",
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
    for size in fidelity.FFT_SIZES
)
