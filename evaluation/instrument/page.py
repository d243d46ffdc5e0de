"""The page: a run's model, the engine that plays it, and what people touch, in a file.

A function of the run: nothing is fetched when the page opens, and writing it twice
gives the same bytes.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import pathlib

import jinja2
import markupsafe
import numpy as np

from evaluation.instrument import decoder_program
from evaluation.instrument import program as program_lib
from evaluation.instrument import scripts
from evaluation.render import files
from evaluation.render import transfer
from evaluation.report import page as report_page
from models.runs import layout
from models.runs import loading
from prep import checked_json
from prep import errors
from prep import files as whole_files
from prep import loudness as loudness_lib

TEMPLATES = pathlib.Path(__file__).resolve().parent / "templates"
N_QUANTILES = 21  # of pitch and loudness that the page is told
# What a run without its dataset is taken to have heard.
DEFAULT_LOUDNESS_DB = (-50.0, -15.0)
DEFAULT_PITCH_MIDI = (55.0, 79.0)
# dB under the quietest 5 % of notes, below which the page falls silent.
FLOOR_MARGIN_DB = 12.0
# Above the ear's silence, or a page would never fall silent.
LEAST_FLOOR_DB = loudness_lib.MIN_DB + 1.0


@dataclasses.dataclass(frozen=True)
class Slider:
    """A slider of the page; `ui.mjs` knows it by its id."""

    id: str
    label: str
    low: float
    high: float
    value: float
    step: float = 1


SLIDERS = (
    Slider("gain", "Gain", -30, 20, 0),
    Slider("transpose", "Transpose", -12, 12, 0),
    Slider("octave", "Octave", -3, 3, 0),
    Slider("noise", "Breath and noise", 0, 200, 100),
    Slider("vibrato", "Vibrato", 0, 60, 20),
    Slider("glide", "Glide", 0, 400, 30, 5),
)


@dataclasses.dataclass(frozen=True)
class View:
    """What the template shows and embeds."""

    title: str
    subtitle: str
    facts: str
    file_name: str
    has_reverb: bool
    sliders: tuple[Slider, ...]
    program: markupsafe.Markup
    weights: str
    worklet: markupsafe.Markup
    script: markupsafe.Markup


@dataclasses.dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        path: The page.
        n_bytes: Its size.
        eight_bits: Whether the decoder's matrices are in 8 bits.
    """

    path: pathlib.Path
    n_bytes: int
    eight_bits: bool

    def __str__(self) -> str:
        bits = ", weights in 8 bits" if self.eight_bits else ""
        return f"{self.path}: {self.n_bytes / 1e6:.1f} MB{bits}; open it in a browser"


def write(
    path: pathlib.Path,
    run: loading.Run,
    *,
    data_dir: pathlib.Path | None = None,
    overwrite: bool = False,
) -> Written:
    """Writes a run as an instrument.

    Args:
        path: HTML file.
        run: A restored run.
        data_dir: Its dataset, for what it has heard; None takes the run's.
        overwrite: Whether the file may be replaced.

    Raises:
        prep.errors.InputError: If the file may not be written.
        decoder_program.InstrumentError: If the page cannot play the model.
        models.block_controls.StreamError: If it cannot be streamed at all.
    """
    if path.suffix.lower() != ".html":
        raise decoder_program.InstrumentError(
            f"--instrument={path}: name an .html file."
        )
    files.check_outputs({"page": path}, source=run.path, overwrite=overwrite)
    program = program_lib.describe(run.model)
    profile = read_profile(data_dir or run.data_dir)
    text = make_page(program, profile, name=path.stem, facts=_facts(run, program))
    whole_files.write_text(path, text)
    layout.remember_page(run.path, path)
    return Written(path, len(text.encode("utf-8")), program.eight_bits)


def read_profile(data_dir: pathlib.Path) -> checked_json.Json:
    """Returns what the model has heard, as the page reads it.

    Args:
        data_dir: Its dataset; where its statistics are missing, a middling instrument
            is assumed.

    Returns:
        Quantiles of pitch and loudness at equal steps, and the level that counts as
        silence, dB.
    """
    try:
        heard = transfer.read_heard(data_dir)
        pitch, loudness = heard.pitch_midi, heard.loudness_db
    except errors.InputError:
        pitch, loudness = map(np.array, (DEFAULT_PITCH_MIDI, DEFAULT_LOUDNESS_DB))
    shares = np.linspace(0.0, 1.0, N_QUANTILES)
    at = lambda values: np.interp(shares, np.linspace(0.0, 1.0, len(values)), values)
    quantiles = at(loudness)
    floor_db = max(float(quantiles[1]) - FLOOR_MARGIN_DB, LEAST_FLOOR_DB)
    return {
        "pitch_midi": [round(float(value), 2) for value in at(pitch)],
        "loudness_db": [round(float(value), 2) for value in quantiles],
        "floor_db": round(floor_db, 2),
    }


def make_page(
    program: program_lib.EngineProgram,
    profile: checked_json.Json,
    *,
    name: str,
    facts: str,
) -> str:
    """The page as text; the same model gives the same bytes.

    Args:
        program: The model.
        profile: As `read_profile` gives it.
        name: What the instrument is called.
        facts: A sentence about the model.
    """
    described = json.dumps({**program.description, "profile": profile})
    tensors = program.description["tensors"]
    view = View(
        title=name.replace("_", " "),
        subtitle="A neural instrument: play it by keys, pad, MIDI or voice.",
        facts=facts,
        file_name=f"{name}.wav",
        has_reverb=any(entry["name"] == "reverb" for entry in tensors),
        sliders=SLIDERS,
        program=markupsafe.Markup(described.replace("<", "\\u003c")),
        weights=base64.b64encode(program.content).decode("ascii"),
        worklet=markupsafe.Markup(scripts.bundle("worklet")),
        script=markupsafe.Markup(scripts.bundle("ui", last="$ui.openPage();")),
    )
    return make_environment().get_template("instrument.html.j2").render(view=view)


def make_environment() -> jinja2.Environment:
    """The report's environment, over this room's templates too."""
    environment = report_page.make_environment()
    folders = [str(TEMPLATES), str(report_page.TEMPLATES)]
    environment.loader = jinja2.FileSystemLoader(folders)
    environment.globals["include_raw"] = _include_raw
    return environment


def _include_raw(name: str) -> markupsafe.Markup:
    """A style sheet as it is, of this room or of the report."""
    folder = TEMPLATES if (TEMPLATES / name).exists() else report_page.TEMPLATES
    return markupsafe.Markup((folder / name).read_text("utf-8"))


def _facts(run: loading.Run, program: program_lib.EngineProgram) -> str:
    """A sentence about the model."""
    bits = "8 bits" if program.eight_bits else "32 bits"
    return (
        f"Run {run.path.resolve().name}, step {run.step}; {program.n_weights:,} "
        f"weights in {bits}; {program.description['synth']['sample_rate']} Hz."
    )
