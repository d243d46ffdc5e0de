"""summary.json, scores.jsonl and media -> report.html and report.md.

A pure function of these files: nothing is computed in the templates, nothing is
fetched, all is embedded, all names are escaped, and rendering twice gives the same
bytes.
"""

import base64
import dataclasses
import pathlib

import jinja2
import markupsafe

from evaluation.report import charts
from evaluation.report import clip_views
from evaluation.report import tables
from evaluation.report import text as report_text
from evaluation.report import view as report_view
from evaluation.scoring import rows as rows_lib
from evaluation.summary import builder
from models.runs import layout
from prep import checked_json

PAGE_NAME = "report.html"
TEXT_NAME = "report.md"
MAX_PAGE_BYTES = 15_000_000  # what a phone still opens
CELL_BYTES = 100  # of the table of all clips, about; most of a page without media
TEMPLATES = pathlib.Path(__file__).resolve().parent / "templates"
MIME_TYPES = {".flac": "audio/flac", ".png": "image/png"}


def write(folder: pathlib.Path, *, place: pathlib.Path | None = None) -> pathlib.Path:
    """Renders the page and the text of a report folder.

    Args:
        folder: With summary.json, scores.jsonl and media/.
        place: Where the folder's files will lie, for links; None if they stay.

    Returns:
        The page.

    Raises:
        InputError: If the summary or the scores are missing or damaged.
    """
    document = builder.read_summary(folder / builder.SUMMARY_NAME)
    rows = rows_lib.read_rows(folder / rows_lib.SCORES_NAME)
    view = report_view.build(document, rows)
    for run in view["runs"]:
        played = pathlib.Path(run["instrument"]) if run["instrument"] else None
        run["instrument"] = layout.page_link(played, place or folder)
    shown, left_out = embed_clips(document, rows, folder)
    environment = make_environment()
    page = environment.get_template("report.html.j2").render(
        view=view, clips=shown, left_out=left_out
    )
    (folder / PAGE_NAME).write_text(page, encoding="utf-8")
    text = (
        make_text_environment()
        .get_template("report.md.j2")
        .render(view=view, clips=report_text.clip_lines(view))
    )
    (folder / TEXT_NAME).write_text(text, encoding="utf-8")
    return folder / PAGE_NAME


def make_environment() -> jinja2.Environment:
    """Jinja with escaping in HTML and errors for undefined names."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(["html.j2"], default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["include_raw"] = _include_raw
    environment.globals["swatch"] = charts.swatch
    return environment


def make_text_environment() -> jinja2.Environment:
    """The same for Markdown: whatever a template puts in is escaped."""
    return make_environment().overlay(finalize=report_text.escape, autoescape=False)


def _include_raw(name: str) -> markupsafe.Markup:
    """A file of the templates' folder as it is, for style sheet and script."""
    return markupsafe.Markup((TEMPLATES / name).read_text("utf-8"))


def embed_clips(
    document: checked_json.Json, rows: list[checked_json.Json], folder: pathlib.Path
) -> tuple[list[clip_views.ClipView], list[str]]:
    """Clips with all their files as data addresses, as many as the page can hold.

    Args:
        document: The summary.
        rows: Of scores.jsonl.
        folder: Of the report.

    Returns:
        The clips to show, and the names of those that were left out.
    """
    shown: list[clip_views.ClipView] = []
    left_out: list[str] = []
    # What the table of all clips takes is not there for media.
    n_cells = len(rows) * len(tables.headline(document)) * len(document["runs"])
    size = CELL_BYTES * n_cells
    for clip in document["clips"]:
        if size > MAX_PAGE_BYTES and shown:
            left_out.append(clip["clip"])
            continue
        view = clip_views.build(
            clip, row=rows[clip["row"]], document=document, folder=folder, embed=embed
        )
        size += view.size
        if size > MAX_PAGE_BYTES and shown:
            left_out.append(clip["clip"])
        else:
            shown.append(dataclasses.replace(view, number=len(shown) + 1))
    return shown, left_out


def embed(path: pathlib.Path) -> str:
    """A file as a data address."""
    encoded = base64.b64encode(path.read_bytes()).decode("ascii")
    return f"data:{MIME_TYPES[path.suffix]};base64,{encoded}"
