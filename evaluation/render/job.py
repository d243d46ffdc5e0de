"""One input, one run, one output: from files to files.

What is wrong with an input is one sentence (`errors.InputError`).
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator

from evaluation.render import control_csv
from evaluation.render import decoding
from evaluation.render import files
from evaluation.render import midi
from evaluation.render import performance
from evaluation.render import renderer
from evaluation.render import transfer
from models.runs import loading
from models.streaming import block_controls
from prep import errors
from prep import files as whole_files
from prep.dataset import info
from prep.pitch import tracker

MIDI_SUFFIXES = (".mid", ".midi")
TABLE_SUFFIX = ".csv"
DEFAULT_CAPACITY, DEFAULT_DECODER = "full", "viterbi"  # where no dataset says other


@dataclasses.dataclass(frozen=True)
class RenderRequest:
    """What is wanted beside the sound of the model.

    Attributes:
        adjustments: Timbre transfer.
        options: How to play.
        gain_db: Of all that is written.
        stems: Whether harmonic, noise and reverb are written as files of their own.
        dump_controls: Whether the synthesiser's controls are written as CSV.
        controls_out: Where the adjusted performance goes as CSV; None for nowhere.
        crepe_capacity: Of the pitch tracker; "" takes the dataset's.
        data_dir: The dataset; None takes the run's.
        overwrite: Whether outputs may be replaced.
    """

    adjustments: transfer.Adjustments = dataclasses.field(
        default_factory=transfer.Adjustments
    )
    options: renderer.RenderOptions = dataclasses.field(
        default_factory=renderer.RenderOptions
    )
    gain_db: float = 0.0
    stems: bool = False
    dump_controls: bool = False
    controls_out: pathlib.Path | None = None
    crepe_capacity: str = ""
    data_dir: pathlib.Path | None = None
    overwrite: bool = False

    def paths(self, output: pathlib.Path) -> dict[str, pathlib.Path]:
        """All files that are written for an output."""
        return files.output_paths(
            output,
            stems=self.stems,
            dump_controls=self.dump_controls,
            controls_out=self.controls_out,
        )


@dataclasses.dataclass(frozen=True)
class Rendered:
    """What was made.

    Attributes:
        secs: Length.
        peak: Largest absolute sample of the mix.
        voiced_share: Of the audible frames, those with a pitch.
    """

    secs: float
    peak: float
    voiced_share: float


class Session:
    """A run, opened for rendering.

    Args:
        run: The run.
        request: What is wanted.

    Raises:
        errors.InputError: If its model cannot be rendered.
    """

    def __init__(self, run: loading.Run, request: RenderRequest):
        self.run = run
        self.request = request
        self.data_dir = request.data_dir or run.data_dir
        try:
            self.renderer = renderer.Renderer(run.model, request.options)
        except block_controls.StreamError as error:
            raise errors.InputError(f"{run.path}: {error}") from error

    def tracker(self) -> tracker.CrepeTracker:
        """The pitch tracker that the run's dataset was prepared with."""
        capacity, decoder = DEFAULT_CAPACITY, DEFAULT_DECODER
        with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
            facts = info.read_dataset_info(self.data_dir)
            capacity, decoder = facts.crepe_capacity, facts.f0_decoder
        return tracker.CrepeTracker(self.request.crepe_capacity or capacity, decoder)

    def heard(self, *, needed: bool) -> transfer.Heard | None:
        """Returns what the model has heard; None where that is not known nor needed."""
        try:
            return transfer.read_heard(self.data_dir)
        except errors.InputError:
            if needed:
                raise
            return None

    def read(
        self, source: pathlib.Path
    ) -> tuple[performance.Performance, control_csv.Table | None]:
        """Reads a recording, MIDI file or CSV, and adjusts it.

        Args:
            source: The input.

        Returns:
            The performance, and a CSV that also has the synthesiser's controls.

        Raises:
            errors.InputError: If it cannot be played, or not as it is asked for.
        """
        adjustments = self.request.adjustments
        frame_rate = self.renderer.frame_rate
        suffix = source.suffix.lower()
        is_midi = suffix in MIDI_SUFFIXES
        table = None
        if suffix == TABLE_SUFFIX:
            table = control_csv.Table(source, frame_rate=frame_rate)
            if table.has_controls:
                self._check_unchanged(source)
        # MIDI and pitch tracks have no loudness: the dataset's range plays them.
        is_tracked = table is not None and table.is_tracked
        heard = self.heard(needed=adjustments.match or is_midi or is_tracked)
        if is_midi:
            assert heard is not None
            played = midi.read_midi(source, frame_rate=frame_rate, heard=heard)
        elif table is not None:
            played = table.performance(heard)
        else:
            played = performance.listen(
                source, frame_rate=frame_rate, tracker=self.tracker()
            )
        adjusted = transfer.adjust(played, adjustments, heard=heard)
        if heard is not None and not adjustments.match:
            transfer.warn_if_unheard(adjusted, heard)
        return adjusted, table if table is not None and table.has_controls else None

    def _check_unchanged(self, source: pathlib.Path) -> None:
        """Refuses to adjust a performance whose controls are played as they stand."""
        idle = [
            field.name
            for field in dataclasses.fields(transfer.Adjustments)
            if getattr(self.request.adjustments, field.name) != field.default
        ]
        idle += ["mask_unvoiced"] if self.request.options.mask_unvoiced else []
        if idle:
            raise errors.InputError(
                f"{source} has the synthesiser's controls, which are played as they "
                f"stand: --{idle[0]} would do nothing. Leave it out, or delete the "
                "columns from amps on, so that the model plays the rest."
            )

    def controls(
        self, played: performance.Performance, table: control_csv.Table | None
    ) -> Iterator[decoding.Controls]:
        """Controls of the synthesiser: the decoder's, or those that a CSV has.

        Args:
            played: The performance.
            table: See `read`.
        """
        if table is None:
            return self.renderer.decode(played)
        channels = dict(self.run.model.decoder.output_splits)
        return table.controls(
            n_harmonics=channels["harmonic_distribution"],
            n_noise_bands=channels["noise_magnitudes"],
        )

    def render_file(self, source: pathlib.Path, output: pathlib.Path) -> Rendered:
        """Renders an input into files.

        Args:
            source: Recording, MIDI file or CSV.
            output: Audio file; stems and controls lie beside it.

        Raises:
            errors.InputError: If something given cannot be used.
        """
        paths = self.request.paths(output)
        files.check_outputs(paths, source=source, overwrite=self.request.overwrite)
        played, table = self.read(source)
        # Files appear when all of them are whole.
        with contextlib.ExitStack() as stack:
            if self.request.controls_out is not None:
                drawn = stack.enter_context(
                    whole_files.replacing(self.request.controls_out)
                )
                control_csv.write_performance(drawn, played)
            sink = stack.enter_context(
                files.Sink(
                    paths,
                    sample_rate=self.renderer.sample_rate,
                    gain_db=self.request.gain_db,
                )
            )
            # Controls pass through a dump to the synthesiser, block by block.
            controls = self.controls(played, table)
            if self.request.dump_controls:
                dumped = stack.enter_context(whole_files.replacing(paths["controls"]))
                controls = _dumping(controls, dumped, played)
            for part in self.renderer.synthesize(controls, n_frames=played.n_frames):
                sink.write(part)
        sink.report_level()
        return Rendered(
            secs=sink.n_samples / self.renderer.sample_rate,
            peak=sink.peak,
            voiced_share=played.voiced_share,
        )


def _dumping(
    controls: Iterator[decoding.Controls],
    path: pathlib.Path,
    played: performance.Performance,
) -> Iterator[decoding.Controls]:
    """Writes controls as they pass."""
    writer = control_csv.Writer(path, played)
    for stretch in controls:
        writer.write(stretch, len(stretch["amps"]))
        yield stretch
    writer.close()
