"""dataset.html: the data at a glance, before anyone trains on it.

One file with everything inside, drawn from `statistics.json` and a few examples; the
same dataset gives the same bytes.
"""

import base64
import io
import pathlib

import jinja2
import numpy as np
import soundfile

from prep import checked_json
from prep import errors
from prep import settings as settings_lib
from prep.beam import steps
from prep.pitch import tracker
from prep.plan import splits
from prep.plan import text
from prep.report import statistics as dataset_statistics

N_PLAYERS = 6
MAX_ROWS = 400  # recordings in the table; statistics.json has all
_TEMPLATES = pathlib.Path(__file__).resolve().parent / "templates"
_CURVE_POINTS = 400  # of a player's pitch and loudness curves
_CURVE = (640.0, 56.0)  # px, width and height of a curve


def render(job: steps.Job, statistics: checked_json.Json) -> str:
    """The page.

    Args:
        job: Of the dataset, its recordings still spooled.
        statistics: From `dataset_statistics.measure`.

    Returns:
        HTML that needs nothing else, no network either.
    """
    plan = job.plan
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["note"] = dataset_statistics.note_name
    environment.filters["secs"] = text.show_secs
    # Tables show the longest recordings first, and refused ones by name.
    whole = [r for r in plan.rejections if r.part == "all"]
    longest = sorted(
        statistics["recordings"], key=lambda r: (-r["seconds_used"], r["name"])
    )
    return environment.get_template("dataset.html.j2").render(
        settings=plan.settings,
        tracker=plan.tracker_id,
        plan_hash=plan.hash,
        statistics=statistics,
        n_examples={split: plan.n_examples(split) for split in plan.split_names()},
        seconds=plan.seconds,
        charts=_charts(statistics),
        recordings=longest[:MAX_ROWS],
        n_more=max(0, len(longest) - MAX_ROWS),
        longest=max(r["seconds_used"] for r in longest),
        rejected=[
            {"name": errors.printable(r.name), "reason": r.reason}
            for r in whole[:MAX_ROWS]
        ],
        n_more_rejected=max(0, len(whole) - MAX_ROWS),
        left_out=_left_out(job),
        players=[_player(job, track, start) for track, start in _choose(job)],
    )


def _left_out(job: steps.Job) -> list[tuple[str, float]]:
    """Reason and seconds of what is not used of recordings that are."""
    by_reason: dict[str, float] = {}
    for rejection in job.plan.rejections:
        if rejection.part != "all":
            secs = by_reason.get(rejection.reason, 0.0) + rejection.numbers["seconds"]
            by_reason[rejection.reason] = secs
    return list(by_reason.items())


def _charts(statistics: checked_json.Json) -> list[checked_json.Json]:
    """Histograms, cut to where there is something."""
    described = (
        ("pitch_midi", "Pitch of voiced frames", "semitones", _note_above),
        ("loudness_db", "Loudness of all frames", "dB", _plain),
        ("f0_confidence", "Confidence of the pitch tracker", "0 to 1", _plain),
    )
    charts: list[checked_json.Json] = []
    for key, title, unit, name in described:
        histogram = statistics["histograms"][key]
        counts = np.array(histogram["counts"])
        filled = np.flatnonzero(counts)
        if not len(filled):
            empty: checked_json.Json = {"title": title, "unit": unit, "bars": []}
            charts.append(empty)
            continue
        # One empty bin on either side shows that the values end there.
        first, last = max(0, filled[0] - 1), min(len(counts), filled[-1] + 2)
        if key == "f0_confidence":
            first, last = 0, len(counts)
        shares = counts[first:last] / counts.sum()
        values = histogram["low"] + histogram["step"] * np.arange(first, last)
        charts.append(
            {
                "title": title,
                "unit": unit,
                "bars": _bars(shares, [name(v) for v in values]),
                "top": f"{shares.max():.0%}",
            }
        )
    return charts


def _note_above(midi: float) -> str:
    """The note in the middle of a bin that begins at `midi`."""
    return dataset_statistics.note_name(midi + 0.5)


def _plain(value: float) -> str:
    return f"{value:.4g}"


def _bars(shares: np.ndarray, labels: list[str]) -> list[checked_json.Json]:
    """Bars of a chart that is 100 wide and 100 high."""
    width = 100.0 / len(shares)
    every = max(1, -(-len(shares) // 12))  # about a dozen labels fit
    return [
        {
            "x": round(index * width, 3),
            "width": round(width * 0.86, 3),
            "height": round(float(share / shares.max()) * 100, 3),
            "label": label if index % every == 0 else "",
            "centre": round((index + 0.43) * width, 3),
            "title": f"{label}: {share:.1%}",
        }
        for index, (share, label) in enumerate(zip(shares, labels, strict=True))
    ]


def _choose(job: steps.Job) -> list[tuple[int, int]]:
    """A few examples, each of another recording or pack where there are enough."""
    plan = job.plan
    first: dict[int, tuple[int, int]] = {}
    for split in (splits.TRAIN, splits.EVAL):
        for shard in plan.shards:
            for track, start in shard.examples:
                if shard.split == split and plan.example(track, start).cents == 0:
                    first.setdefault(track, (track, start))
    chosen = [first[track] for track in sorted(first)]
    step = max(1.0, len(chosen) / N_PLAYERS)
    return [chosen[int(i * step)] for i in range(min(N_PLAYERS, len(chosen)))]


def _player(job: steps.Job, track: int, start: int) -> checked_json.Json:
    """An example to listen to, with its curves."""
    plan, settings = job.plan, job.plan.settings
    example = plan.example(track, start)
    audio = steps.assemble_audio(job, example, settings.sample_rate)
    features = steps.assemble_features(job, example)
    voiced = tracker.voiced(
        features[1],
        features[2],
        min_confidence=settings.voiced_confidence,
        min_loudness_db=settings.voiced_loudness_db,
    )
    midi = dataset_statistics.hz_to_midi(features[0])
    # An example is named by its place in a recording, or by all that it holds.
    if plan.pack_of(track) is None:
        begin_secs = start / settings.frame_rate
        parts = [(errors.printable(plan.recording_of(track).name), begin_secs)]
    else:
        parts = [
            (
                errors.printable(plan.recording_of(span.source).name),
                span.at / settings.frame_rate,
            )
            for span in example.spans
        ]
    return {
        "parts": parts,
        "is_pack": plan.pack_of(track) is not None,
        "audio": _encode(audio, settings),
        "voiced_share": float(voiced.mean()),
        "pitch": _segments(midi, voiced),
        "pitch_range": _range(midi[voiced]),
        "loudness": _segments(features[2], np.ones_like(voiced)),
        "loudness_range": f"{features[2].min():.0f} to {features[2].max():.0f} dB",
    }


def _range(midi: np.ndarray) -> str:
    if not len(midi):
        return "no pitch"
    low, high = (dataset_statistics.note_name(v) for v in (midi.min(), midi.max()))
    return low if low == high else f"{low} to {high}"


def _encode(audio: np.ndarray, settings: settings_lib.Settings) -> str:
    """FLAC as a data address; what is beyond full scale is clipped for listening."""
    buffer = io.BytesIO()
    soundfile.write(
        buffer,
        np.clip(audio, -1, 1),
        settings.sample_rate,
        format="FLAC",
        subtype="PCM_16",
    )
    return "data:audio/flac;base64," + base64.b64encode(buffer.getvalue()).decode()


def _segments(values: np.ndarray, shown: np.ndarray) -> list[str]:
    """Points of the lines that draw `values` where `shown`."""
    step = max(1, len(values) // _CURVE_POINTS)
    values, shown = values[::step], shown[::step]
    if not shown.any():
        return []
    low, high = float(values[shown].min()), float(values[shown].max())
    middle, reach = (low + high) / 2, max(high - low, 1.0) * 1.1
    width, height = _CURVE
    lines: list[list[str]] = [[]]
    for index, (value, visible) in enumerate(zip(values, shown, strict=True)):
        if visible:
            x = index / max(1, len(values) - 1) * width
            y = height * (0.5 - (float(value) - middle) / reach)
            lines[-1].append(f"{x:.1f},{y:.1f}")
        elif lines[-1]:
            lines.append([])
    return [" ".join(line) for line in lines if len(line) > 1]
