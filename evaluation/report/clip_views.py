"""What the report shows of one clip: players, pictures, control plots and scores."""

import dataclasses
import json
import pathlib
from collections.abc import Callable

import markupsafe

from evaluation.report import charts
from evaluation.report import tables
from evaluation.scoring import rows as rows_lib
from prep import checked_json

PLOTS = (
    ("loudness_db", "Loudness", "dB, A-weighted"),
    ("pitch_hz", "Pitch that is heard", "Hz"),
    ("level_db", "Level of the harmonics", "dB"),
    ("noise_db", "Level of the noise", "dB"),
    ("entropy", "Harmonic entropy", "0 to 1"),
    ("brightness", "Brightness", "octaves over f0"),
)


@dataclasses.dataclass(frozen=True)
class TrackView:
    """A player with its pictures.

    Attributes:
        who: Recording or run.
        slot: Its colour.
        audio: Data address.
        spectrogram: Data address.
        timbre: Data address.
        note: E.g. that it is silent.
    """

    who: str
    slot: int
    audio: str
    spectrogram: str
    timbre: str
    note: str


@dataclasses.dataclass(frozen=True)
class ClipView:
    """A clip as the page shows it.

    Attributes:
        number: From 1.
        name: Recording and start.
        role: What it stands for.
        secs: Its length, seconds.
        tracks: Players, recording first.
        plots: Charts of the controls.
        table: Rows of scores: metric, recording, one cell a run.
        runs: Head of the table.
        size: Bytes of the data addresses.
    """

    number: int
    name: str
    role: str
    secs: str
    tracks: list[TrackView]
    plots: list[markupsafe.Markup]
    table: list[tables.ScoreRow]
    runs: list[str]
    size: int


ROLES = {  # of a clip, by the run whose scores chose it
    "typical": "typical: its spectral loss is the median of {run}",
    "worst": "the worst of {run} by spectral loss",
    "best": "the best of {run} by spectral loss",
    "": "",
}


def build(
    clip: checked_json.Json,
    *,
    row: checked_json.Json,
    document: checked_json.Json,
    folder: pathlib.Path,
    embed: Callable[[pathlib.Path], str],
) -> ClipView:
    """Reads a clip's files.

    Args:
        clip: Entry of the summary.
        row: Its row of scores.jsonl.
        document: The summary.
        folder: Of the report.
        embed: File -> data address.
    """
    slots = tables.slots(document)
    runs = list(row["runs"])
    media = folder / clip["folder"]
    tracks = [
        TrackView(
            who="Recording" if track["who"] == rows_lib.RECORDING else track["who"],
            slot=slots[track["who"]],
            audio=embed(media / track["audio"]),
            spectrogram=embed(media / track["spectrogram"]),
            timbre=embed(media / track["timbre"]),
            note=_peak_note(track["peak_dbfs"]),
        )
        for track in clip["tracks"]
    ]
    # What the clip adds to the page, in characters.
    size = sum(len(t.audio) + len(t.spectrogram) + len(t.timbre) for t in tracks)
    return ClipView(
        number=0,
        name=clip["clip"],
        role=ROLES[clip["role"]].format(run=runs[-1]),
        secs=f"{row['n_frames'] / document['dataset']['frame_rate']:g}",
        tracks=tracks,
        plots=_plots(media / "curves.json", slots=slots),
        table=tables.clip_scores(row, runs=runs),
        runs=runs,
        size=size,
    )


def _peak_note(peak_dbfs: float | None) -> str:
    """Returns what to say of a track's level."""
    if peak_dbfs is None:
        return "silent"
    if peak_dbfs > 0:
        return f"clips: peaks at {peak_dbfs:+.1f} dBFS"
    return "very quiet" if peak_dbfs < -50 else ""


def _plots(path: pathlib.Path, *, slots: dict[str, int]) -> list[markupsafe.Markup]:
    """Charts of the control curves, recording and systems in one."""
    document = json.loads(path.read_text("utf-8"))
    secs = document["secs"]
    plots = []
    for key, title, unit in PLOTS:
        series = [
            charts.Series(name=who, slot=slots[who], xs=secs, ys=curves[key])
            for who, curves in document["systems"].items()
        ]
        svg = charts.line_chart(
            series,
            title=title,
            x_label="seconds",
            unit=unit,
        )
        plots.append(markupsafe.Markup(svg))
    return plots
