"""How well and how fast the live ear hears; on one core.

    python -m benchmarks.bench_live
    python -m benchmarks.bench_live --recordings 'wavs/*.wav' --capacities tiny

Every recording's first seconds go through the ear in blocks and through the
preparation with CREPE full and its most likely path. Printed is the share of the
preparation's confident frames in which both pitches agree, and the largest difference
of loudness; where there are no recordings, that there are none. Speed is seconds of
sound by seconds of processor time; the last line is JSON.
"""

import argparse
import glob
import json
import pathlib
import time
from collections.abc import Callable

import numpy as np
import threadpoolctl

from benchmarks import bench_render
from evaluation.live import ear as ear_lib
from evaluation.live import instrument as instrument_lib
from evaluation.render import performance
from models.streaming import player as player_lib
from prep import features
from prep.pitch import tracker
from prep.recordings import decode
from prep.recordings import resample

RECORDINGS = (
    "philharmonia_clarinet/clarinet_A4_phrase*",
    "mtg_sms/flute-A4.wav",
    "mtg_sms/soprano-E4.wav",
    "librosa/sorohanro_solo-trumpet-06.wav",
    "alesgenova_violin/violin-G4.wav",
    "philharmonia_viola/viola_F3_phrase_mezzo-forte_arco-legato*",
    "philharmonia_saxophone/saxophone_As4_phrase_mezzo-forte_nonlegato*",
    "weresax/gb3_f_rr1_cnd.wav",
    "vsco2_flute/flute_E5.wav",
    "tinysol/Fl-ord-C4-mf-N-T14d.wav",
)
# Beside the repository, which holds no recordings (docs/results.md, "Data").
FOLDER = pathlib.Path(__file__).resolve().parents[2] / "shared" / "recordings"
MAX_SECS = 5.0  # of a recording
BLOCK_SIZE = 256  # samples
SURE = 0.8  # confidence of the preparation's tracker
CENTS = 20.0  # within which two pitches agree
SPEEDS = (("tiny", 1), ("tiny", 2), ("full", 1), ("full", 8), ("full", 16))
SPEED_SECS = 2.0


def hear(ear: ear_lib.Ear, samples: np.ndarray) -> performance.Performance:
    """What an ear makes of a recording in blocks."""
    parts = [
        ear.push(samples[start : start + BLOCK_SIZE])
        for start in range(0, len(samples), BLOCK_SIZE)
    ]
    joined = lambda key: np.concatenate([getattr(part, key) for part in parts])
    return performance.Performance(
        frame_rate=ear.frame_rate,
        f0_hz=joined("f0_hz"),
        f0_confidence=joined("f0_confidence"),
        loudness_db=joined("loudness_db"),
    )


def compare(samples: np.ndarray, sample_rate: int, capacities: list[str]) -> str:
    """A line about a recording: agreement of pitch by size, and of loudness."""
    audio_16k = resample.resample_audio(samples, sample_rate, out_rate=16000)
    expected = features.compute_features(
        audio_16k, tracker=tracker.CrepeTracker("full", "viterbi")
    )
    known = tracker.voiced(
        expected["f0_confidence"], expected["loudness_db"], min_confidence=SURE
    )
    # At 48 kHz, so that the ear's own resampling is part of what is measured.
    audio_48k = resample.resample_audio(samples, sample_rate, out_rate=48000)
    told = []
    for capacity in capacities:
        heard = hear(ear_lib.Ear(48000, capacity=capacity), audio_48k)
        sure = known[: heard.n_frames]
        cents = 1200.0 * np.log2(
            heard.f0_hz[sure] / expected["f0_hz"][: heard.n_frames][sure]
        )
        share = np.mean(np.abs(cents) < CENTS)
        told.append(
            f"{capacity} {share:6.1%}, median {np.median(np.abs(cents)):4.1f} cents"
        )
    loudness = heard.loudness_db - expected["loudness_db"][: heard.n_frames]
    told.append(f"loudness within {np.abs(loudness[sure]).max():.2f} dB")
    return "; ".join(told)


def time_blocks(process: Callable[[np.ndarray], object]) -> float:
    """Real-time factor of what takes a stream of noise at 16 kHz in blocks."""
    noise = np.random.default_rng(0).standard_normal(round(SPEED_SECS * 16000)) * 0.1
    process(noise[:2000])
    begin = time.process_time()
    for start in range(0, len(noise), BLOCK_SIZE):
        process(noise[start : start + BLOCK_SIZE])
    return SPEED_SECS / (time.process_time() - begin)


def time_all(capacities: list[str]) -> dict[str, float]:
    """Real-time factors of ears alone and of a player behind one."""
    factors = {}
    for capacity, every in SPEEDS:
        if capacity in capacities:
            ear = ear_lib.Ear(16000, capacity=capacity, pitch_every=every)
            factors[f"ear, {capacity}, pitch every {every}"] = time_blocks(ear.push)
    player = player_lib.Player(bench_render.make_model("stage2", 250))
    instrument = instrument_lib.Instrument(player)
    factors["stage2 with ear, tiny"] = time_blocks(instrument.process)
    return factors


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", help="a glob; by default ten, where they are")
    parser.add_argument("--capacities", nargs="+", default=["tiny", "full"])
    options = parser.parse_args()
    patterns = (
        [options.recordings]
        if options.recordings
        else [str(FOLDER / one) for one in RECORDINGS]
    )
    paths = [path for one in patterns for path in sorted(glob.glob(one))]
    if not paths:
        print(
            f"No recordings at {options.recordings or FOLDER}: how well the ear hears "
            "is not measured. --recordings='wavs/*.wav' names some of your own."
        )
    for path in paths:
        samples, rate = decode.load_start(pathlib.Path(path), max_secs=MAX_SECS)
        line = compare(samples, rate, options.capacities)
        print(f"{pathlib.Path(path).name[:40]:40s} {line}", flush=True)
    # A second thread of NumPy's would only wait for the first one's small products.
    with threadpoolctl.threadpool_limits(1):
        factors = time_all(options.capacities)
    for name, factor in factors.items():
        print(f"{name}: {factor:.2f} times real time")
    print(json.dumps(factors))


if __name__ == "__main__":
    main()
