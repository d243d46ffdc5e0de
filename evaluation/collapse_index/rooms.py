"""The room that a system's audio stands in and its recordings do not, and its effect.

A room of half a second lays the last note under the next one: measured from audio, its
tail is noise, fills silences and moves harmonics. So that a room is not taken for
collapse, nor hides one, recordings are put into the same room before they are compared.

How the level of a frequency falls where the recording's falls by `MIN_FALL_DB` at once
says which room that is: in a room it goes on falling by 60 dB in its time, from the
level of the room's share; noise stays where it is. Differences of level, timbre or
noise change neither. Source: own; a tail of exponentially falling power is Polack's,
"La transmission de l'énergie sonore dans les salles", 1988.
"""

import collections.abc
import dataclasses
import math

import numpy as np
import scipy.fft
import scipy.ndimage
import scipy.signal

from evaluation.collapse_index import audible

HOP_SECS = 0.008
WINDOW_SECS = 0.032  # Hann
BEFORE = (8, 2)  # frames before a fall, over which its level is taken
AFTER = (6, 10)  # frames after it, by which the recording has fallen
LAGS = np.arange(4, 44)  # frames after a fall that are looked at: 32 to 350 ms
MIN_FALL_DB = 20.0  # of the recording
BELOW_LOUDEST_DB = 40.0  # a fall begins from here on
HEARD_DB = 30.0  # ... and the system must play it from here on
MAX_EVENTS = 3000  # a clip
MIN_EVENTS = 25  # falls; fewer say nothing about a room
# Rooms that are tried, seconds and dB, and noise below the level before a fall, dB.
ROOM_SECS = (0.3, 0.4, 0.5, 0.7, 1.0)
ROOM_DB = tuple(np.arange(-15.0, 7.0, 3.0).tolist())
NOISE_DB = (-math.inf, -45.0, -35.0, -28.0, -22.0, -16.0, -12.0, -8.0, -4.0, 0.0)
# Share of the misfit that a room must explain, beyond twice what one would explain with
# the two sides exchanged: sounds that merely differ explain as much either way.
MIN_GAIN = 0.15
_TINY = 1e-14


@dataclasses.dataclass(frozen=True)
class Room:
    """A room, as its sound falls.

    Attributes:
        secs: Until it has fallen by 60 dB; 0 for none.
        db: Energy of its sound against the direct one.
    """

    secs: float = 0.0
    db: float = -math.inf

    @property
    def is_none(self) -> bool:
        """Returns whether there is no room."""
        return self.secs == 0.0

    def around(self, audio: np.ndarray, *, sample_rate: int) -> np.ndarray:
        """Puts a signal into a room of this kind; always the same one."""
        if self.is_none:
            return audio
        return audible.add_room(
            audio,
            sample_rate=sample_rate,
            rng=np.random.default_rng(0),
            room_secs=self.secs,
            room_db=self.db,
        )


@dataclasses.dataclass(frozen=True)
class _Falls:
    """Powers after falls, relative to those before them; [n_falls, n_lags] each.

    Attributes:
        est: The system's.
        direct: The recording's.
        late: The recording's in each room, of one unit of energy; [n_rooms, ...].
        late_before: The same before the falls. [n_rooms, n_falls, 1].
        counted: Where the recording has stayed low.
    """

    est: np.ndarray
    direct: np.ndarray
    late: np.ndarray
    late_before: np.ndarray
    counted: np.ndarray


def estimate(
    pairs: collections.abc.Sequence[tuple[np.ndarray, np.ndarray]], *, sample_rate: int
) -> Room:
    """Estimates the room that a system has and the recordings have not.

    Args:
        pairs: Recording and rendering of each clip. Shape [n_samples] each.
        sample_rate: Hz.

    Returns:
        The room; none where too little falls, a room explains too little, or the
        recordings would stand in one as seen from the system: two sounds in rooms of
        their own do not fall together, and neither is the drier.
    """
    powers = [
        tuple(_spectrogram(audio, sample_rate=sample_rate) for audio in pair)
        for pair in pairs
    ]
    room, explained = _fit([(ref, est) for ref, est in powers])
    if explained < MIN_GAIN:
        return Room()
    _, explained_back = _fit([(est, ref) for ref, est in powers])
    return room if explained - 2.0 * max(explained_back, 0.0) >= MIN_GAIN else Room()


def _fit(
    powers: collections.abc.Sequence[tuple[np.ndarray, np.ndarray]],
) -> tuple[Room, float]:
    """Fits a room to what follows the falls of the first of each pair of powers.

    Returns:
        The room, and the share of the misfit without one that it explains.
    """
    falls = _join([_measure_falls(*pair) for pair in powers])
    if falls is None or np.count_nonzero(falls.counted.any(axis=1)) < MIN_EVENTS:
        return Room(), 0.0
    measured = 10.0 * np.log10(np.maximum(falls.est, _TINY))[falls.counted]
    noises = [10.0 ** (db / 10.0) for db in NOISE_DB]

    def misfit(energy: float, place: int) -> float:
        """Mean distance in dB, at the noise that fits best."""
        before = 1.0 + energy * falls.late_before[place]
        after = (falls.direct + energy * falls.late[place]) / before
        after = after[falls.counted]
        return min(
            float(np.mean(np.abs(measured - 10.0 * np.log10(after + noise + _TINY))))
            for noise in noises
        )

    dry = misfit(0.0, 0)
    tried = {
        (secs, db): misfit(10.0 ** (db / 10.0), place)
        for place, secs in enumerate(ROOM_SECS)
        for db in ROOM_DB
    }
    best = min(tried, key=lambda room: tried[room])
    return Room(*best), 1.0 - tried[best] / max(dry, _TINY)


def _measure_falls(ref_power: np.ndarray, est_power: np.ndarray) -> _Falls | None:
    """Finds where frequencies of a recording fall at once, and what follows there."""
    level = 10.0 * np.log10(ref_power + _TINY)
    n_frames = level.shape[1]
    first, last = BEFORE[0], n_frames - LAGS[-1] - 1
    if last <= first:
        return None
    # The level before and after every frame, and where it falls most.
    sums = np.cumsum(np.pad(level, ((0, 0), (1, 0))), axis=1)
    frames = np.arange(first, last)
    mean = lambda begin, end: (
        (sums[:, frames + end] - sums[:, frames + begin]) / (end - begin)
    )
    before, after = mean(-BEFORE[0], -BEFORE[1]), mean(*AFTER)
    fall = before - after
    steepest = fall == scipy.ndimage.maximum_filter1d(
        fall, BEFORE[0] + AFTER[1], axis=1
    )
    is_fall = (
        steepest & (fall >= MIN_FALL_DB) & (before > level.max() - BELOW_LOUDEST_DB)
    )
    bins, places = np.nonzero(is_fall)
    if not bins.size:
        return None
    chosen = np.linspace(0, bins.size - 1, min(MAX_EVENTS, bins.size)).astype(int)
    bins, starts = bins[chosen, np.newaxis], frames[places[chosen], np.newaxis]
    prior = starts - np.arange(BEFORE[1] + 1, BEFORE[0] + 1)
    lagged = starts + LAGS

    def relative(power: np.ndarray, scale: np.ndarray) -> np.ndarray:
        return power[bins, lagged] / np.maximum(scale, _TINY)

    ref_before = ref_power[bins, prior].mean(axis=1, keepdims=True)
    est_before = est_power[bins, prior].mean(axis=1, keepdims=True)
    late = [_late(ref_power, secs) for secs in ROOM_SECS]
    direct = relative(ref_power, ref_before)
    # A fall that the system has not begun from says nothing.
    sounds = est_before > est_power.max() * 10.0 ** (-HEARD_DB / 10.0)
    return _Falls(
        est=relative(est_power, est_before),
        direct=direct,
        late=np.stack([relative(power, ref_before) for power in late]),
        late_before=np.stack(
            [
                power[bins, prior].mean(axis=1, keepdims=True) / ref_before
                for power in late
            ]
        ),
        counted=(direct < 10.0 ** (-MIN_FALL_DB / 10.0)) & sounds,
    )


def _join(parts: collections.abc.Sequence[_Falls | None]) -> _Falls | None:
    """Falls of all clips together."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    join = lambda name, axis: np.concatenate([getattr(p, name) for p in known], axis)
    return _Falls(
        est=join("est", 0),
        direct=join("direct", 0),
        late=join("late", 1),
        late_before=join("late_before", 1),
        counted=join("counted", 0),
    )


def _spectrogram(audio: np.ndarray, *, sample_rate: int) -> np.ndarray:
    """Powers, [n_bins, n_frames]."""
    hop_size = round(HOP_SECS * sample_rate)
    size = round(WINDOW_SECS * sample_rate)
    padded = np.pad(np.asarray(audio, np.float32), size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop_size]
    window = scipy.signal.get_window("hann", size).astype(np.float32)
    spectrum = scipy.fft.rfft(frames * window, axis=1)[:, 2:]
    return np.square(np.abs(spectrum)).T.astype(np.float64)


def _late(power: np.ndarray, secs: float) -> np.ndarray:
    """Power of a room's sound: an exponential tail of one unit of energy."""
    kept = 10.0 ** (-6.0 * HOP_SECS / secs)
    return scipy.signal.lfilter([0.0, 1.0 - kept], [1.0, -kept], power, axis=1)
