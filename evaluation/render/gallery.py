"""One page to listen on: every input played by every run, beside the input itself.

The page is a function of what was rendered, holds everything it shows, and uses the
report's players, colours and script.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from evaluation.render import control_csv
from evaluation.render import files
from evaluation.render import job
from evaluation.render import performance
from evaluation.report import media
from evaluation.report import page as report_page
from evaluation.scoring import rendering
from models.runs import layout
from prep import errors
from prep import files as whole_files
from prep.recordings import decode

TEMPLATE = "gallery.html.j2"
MAX_SECS = 60.0  # of each clip in the page; files of their own have no limit
MAX_PAGE_BYTES = report_page.MAX_PAGE_BYTES
PICTURE_RANGE_DB = media.PICTURE_RANGE_DB


@dataclasses.dataclass(frozen=True)
class Track:
    """A player with its picture, as the template shows it.

    Attributes:
        who: The input, or a run.
        slot: Its colour.
        note: What is worth knowing, or "".
        audio: Data address.
        spectrogram: Data address.
    """

    who: str
    slot: int
    note: str
    audio: str
    spectrogram: str


@dataclasses.dataclass(frozen=True)
class GalleryClip:
    """An input with all its tracks.

    Attributes:
        number: From 1.
        name: Of the input's file.
        secs: Length.
        note: How much of it is pitched, and whether it was cut.
        tracks: The input first, if it is a recording; then runs.
    """

    number: int
    name: str
    secs: float
    note: str
    tracks: list[Track]


def write(
    page: pathlib.Path,
    run_dirs: Sequence[pathlib.Path],
    sources: Sequence[pathlib.Path],
    *,
    request: job.RenderRequest,
    checkpoint: str,
) -> int:
    """Renders all inputs with all runs and writes the page.

    Args:
        page: HTML file.
        run_dirs: Runs.
        sources: Recordings, MIDI files or CSVs.
        request: How to render.
        checkpoint: Of every run.

    Returns:
        How many inputs are on the page.

    Raises:
        errors.InputError: If something given cannot be used.
    """
    # Refuse before minutes of rendering.
    if not sources:
        raise errors.InputError("--gallery needs at least one --input.")
    if page.suffix.lower() != ".html":
        raise errors.InputError(f"--gallery={page}: name an .html file.")
    files.check_outputs({"page": page}, source=sources[0], overwrite=request.overwrite)
    missing = [path for path in sources if not path.is_file()]
    if missing:
        raise errors.InputError(f"there is no input at {missing[0]}.")
    # Render every input with every run.
    names = _unique_names(run_dirs)
    sessions = [
        job.Session(rendering.open_run(path, checkpoint=checkpoint), request)
        for path in run_dirs
    ]
    with whole_files.scratch_folder("ddsp_gallery") as folder:
        clips = [
            _make_clip(
                number,
                source,
                dict(zip(names, sessions, strict=True)),
                folder=folder,
            )
            for number, source in enumerate(sources, start=1)
        ]
    # Write the page, unless no browser would open it with ease.
    links = {
        name: layout.page_link(layout.find_page(run_dir), page.parent)
        for name, run_dir in zip(names, run_dirs, strict=True)
    }
    text = make_page(clips, systems=links, adjustments=describe(request))
    if len(text) > MAX_PAGE_BYTES:
        raise errors.InputError(
            f"the page would have {len(text) / 1e6:.0f} MB, more than the "
            f"{MAX_PAGE_BYTES / 1e6:.0f} MB that browsers open with ease; give fewer "
            "inputs or runs."
        )
    with whole_files.replacing(page) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    return len(clips)


def make_page(
    clips: Sequence[GalleryClip],
    *,
    systems: Mapping[str, str | None],
    adjustments: Sequence[str],
) -> str:
    """The page as text; the same clips give the same bytes.

    Args:
        clips: What to show.
        systems: Names of the runs, each with the address of the page that plays it.
        adjustments: What was done to all inputs.
    """
    template = report_page.make_environment().get_template(TEMPLATE)
    return template.render(clips=clips, systems=systems, adjustments=list(adjustments))


def describe(request: job.RenderRequest) -> list[str]:
    """Describes what a request does to inputs, a line each."""
    adjustments, options = request.adjustments, request.options
    lines = {
        "pitch and loudness matched to the training data": adjustments.match,
        f"{adjustments.transpose:+g} semitones": adjustments.transpose,
        f"{adjustments.loudness_shift:+g} dB of loudness": adjustments.loudness_shift,
        f"passages without notes {adjustments.suppress_noise:g} dB quieter": (
            adjustments.suppress_noise
        ),
        f"auto-tune {adjustments.auto_tune:g}": adjustments.auto_tune,
        "no harmonics without pitch": options.mask_unvoiced,
        "without reverb": options.dry,
    }
    return [line for line, applies in lines.items() if applies]


def _unique_names(run_dirs: Sequence[pathlib.Path]) -> list[str]:
    """Short names of runs; longer ones where short ones are shared."""
    short = [path.resolve().name for path in run_dirs]
    if len(set(short)) == len(short):
        return short
    return [str(path) for path in run_dirs]


def _make_clip(
    number: int,
    source: pathlib.Path,
    sessions: dict[str, job.Session],
    *,
    folder: pathlib.Path,
) -> GalleryClip:
    """Renders an input with every run."""
    tracks: list[Track] = []
    heard = _read_start(source)
    if heard is not None:
        tracks.append(_make_track("input", *heard, slot=0, folder=folder))
    played: performance.Performance | None = None
    for slot, (name, session) in enumerate(sessions.items(), start=1):
        played, table = session.read(source)
        rate = session.renderer.sample_rate
        samples = _render_start(session, played, table)
        tracks.append(_make_track(name, samples, rate, slot=slot, folder=folder))
    assert played is not None
    note = f"{played.voiced_share:.0%} of what is audible has a pitch"
    if played.secs > MAX_SECS:
        note += f"; the first {MAX_SECS:.0f} of {played.secs:.0f} s"
    return GalleryClip(number, source.name, min(played.secs, MAX_SECS), note, tracks)


def _read_start(source: pathlib.Path) -> tuple[np.ndarray, int] | None:
    """The beginning of a recording and its rate; None for MIDI and CSV."""
    if source.suffix.lower() in (*job.MIDI_SUFFIXES, job.TABLE_SUFFIX):
        return None
    try:
        return decode.load_start(source, max_secs=MAX_SECS)
    except decode.UnreadableError as error:
        raise errors.InputError(f"{source}: {error}.") from error


def _render_start(
    session: job.Session,
    played: performance.Performance,
    table: control_csv.Table | None,
) -> np.ndarray:
    """The beginning of a rendering."""
    rate = session.renderer.sample_rate
    n_wanted = round(MAX_SECS * rate)
    gain = 10.0 ** (session.request.gain_db / 20.0)
    parts: list[np.ndarray] = []
    n_samples = 0
    controls = session.controls(played, table)
    for part in session.renderer.synthesize(controls, n_frames=played.n_frames):
        parts.append(gain * part.mix)
        files.check_numbers(parts[-1], start=n_samples, sample_rate=rate)
        n_samples += len(parts[-1])
        if n_samples >= n_wanted:
            break
    return np.concatenate(parts)[:n_wanted]


def _make_track(
    who: str,
    samples: np.ndarray,
    sample_rate: int,
    *,
    slot: int,
    folder: pathlib.Path,
) -> Track:
    """Audio and picture as data addresses."""
    sound, picture = folder / f"{slot}.flac", folder / f"{slot}.png"
    media.write_audio(samples, sound, sample_rate=sample_rate)
    values = media.spectrogram(samples, sample_rate=sample_rate)
    media.write_picture(
        values, picture, brightest=float(values.max()), range_db=PICTURE_RANGE_DB
    )
    peak = float(np.max(np.abs(samples), initial=0.0))
    note = ""
    if peak < files.QUIET_PEAK:
        note = "silent"
    elif peak > 1.0:
        note = f"clipped by {20 * np.log10(peak):.1f} dB"
    return Track(who, slot, note, report_page.embed(sound), report_page.embed(picture))
