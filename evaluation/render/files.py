"""The files of a rendering: their names, and how they get there whole.

Nothing appears under its name before it is whole, and nothing that is there is replaced
unless asked for.
"""

import contextlib
import pathlib
from typing import Any

import numpy as np
import soundfile
from absl import logging

from evaluation.render import renderer
from prep import errors
from prep import files as whole_files

SUBTYPES = {".wav": "PCM_24", ".flac": "PCM_24", ".aiff": "PCM_24", ".ogg": "VORBIS"}
QUIET_PEAK = 1e-3  # of full scale, below which an output is as good as silent


def output_paths(
    output: pathlib.Path,
    *,
    stems: bool,
    dump_controls: bool,
    controls_out: pathlib.Path | None,
) -> dict[str, pathlib.Path]:
    """All files that a rendering writes, by what they hold.

    Args:
        output: Audio file of the mix; the others lie beside it.
        stems: Whether harmonic, noise and reverb are written.
        dump_controls: Whether the synthesiser's controls are written.
        controls_out: Where the performance is written, or None.

    Raises:
        errors.InputError: If the output's suffix is no audio format.
    """
    if output.suffix.lower() not in SUBTYPES:
        raise errors.InputError(
            f"--output={output}: the suffix is not one of {', '.join(SUBTYPES)}."
        )
    paths = {"mix": output}
    if stems:
        named = lambda name: output.with_suffix(f".{name}{output.suffix}")
        paths |= {name: named(name) for name in renderer.STEMS}
    if dump_controls:
        paths["controls"] = controls_path(output)
    if controls_out is not None:
        paths["performance"] = controls_out
    return paths


def controls_path(output: pathlib.Path) -> pathlib.Path:
    """Returns where the controls of an output are dumped."""
    return output.with_suffix(".controls.csv")


def check_outputs(
    paths: dict[str, pathlib.Path], *, source: pathlib.Path, overwrite: bool
) -> None:
    """Refuses to replace what is there, and the input in any case.

    Args:
        paths: As `output_paths` gives them.
        source: The input.
        overwrite: Whether outputs may be replaced.

    Raises:
        errors.InputError: Naming the file.
    """
    # Two outputs of one name would overwrite each other.
    named: dict[pathlib.Path, str] = {}
    for what, path in paths.items():
        place = path.parent.resolve() / path.name
        if place in named:
            raise errors.InputError(
                f"{path} would hold both the {named[place]} and the {what}; name "
                "another file for one of them."
            )
        named[place] = what
        # What is on the disk already: the input, a folder, an earlier output.
        if path.exists() and source.exists() and path.samefile(source):
            raise errors.InputError(f"{path} is the input; say another --output.")
        if path.is_dir():
            raise errors.InputError(f"{path} is a folder; name a file in it.")
        if path.exists() and not overwrite:
            raise errors.InputError(
                f"{path} is already there; pass --overwrite to replace it."
            )
        if not path.parent.is_dir():
            raise errors.InputError(
                f"there is no folder {path.parent} for {path.name}; make it first."
            )


def check_numbers(samples: np.ndarray, *, start: int, sample_rate: int) -> None:
    """Refuses what a file would hold as full scale, or as silence.

    Args:
        samples: That a model plays. Shape [n_samples].
        start: How many it has played before.
        sample_rate: Hz.

    Raises:
        errors.InputError: If one of them is NaN or infinite.
    """
    if np.isfinite(samples).all():
        return
    secs = (start + int(np.argmin(np.isfinite(samples)))) / sample_rate
    raise errors.InputError(
        f"what the model plays is no number at {secs:.2f} s: its weights are damaged "
        "or diverged, or pitch or loudness lie far outside what it has learned. Try "
        "another --checkpoint, or --match."
    )


class Sink:
    """Writes parts to audio files, all at once, clipped at full scale.

    Args:
        paths: As `output_paths` gives them.
        sample_rate: Hz.
        gain_db: Of all that is written.
    """

    def __init__(
        self,
        paths: dict[str, pathlib.Path],
        *,
        sample_rate: int,
        gain_db: float,
    ):
        self._paths = {k: p for k, p in paths.items() if k in ("mix", *renderer.STEMS)}
        self._rate = sample_rate
        self._gain_db = gain_db
        self._gain = 10.0 ** (gain_db / 20.0)
        self._stack = contextlib.ExitStack()
        self._files: dict[str, soundfile.SoundFile] = {}
        self.peak, self.n_clipped, self.n_samples = 0.0, 0, 0

    def __enter__(self) -> "Sink":
        with contextlib.ExitStack() as stack:  # if one cannot be opened, none is left
            for name, path in self._paths.items():
                unfinished = stack.enter_context(whole_files.replacing(path))
                self._files[name] = stack.enter_context(self._open(unfinished, path))
            self._stack = stack.pop_all()
        return self

    def _open(self, unfinished: pathlib.Path, path: pathlib.Path) -> Any:
        """Opens a file in the format of its later name."""
        suffix = path.suffix.lower()
        return soundfile.SoundFile(
            unfinished,
            "w",
            samplerate=self._rate,
            channels=1,
            format=suffix[1:].upper(),
            subtype=SUBTYPES[suffix],
        )

    def __exit__(self, *raised: object) -> bool | None:
        return self._stack.__exit__(*raised)  # type: ignore[arg-type]

    def write(self, part: renderer.Stems) -> None:
        """Writes a part to all files.

        Raises:
            errors.InputError: If a sample is no number.
        """
        size = np.abs(part.mix * self._gain)
        check_numbers(size, start=self.n_samples, sample_rate=self._rate)
        self.peak = max(self.peak, float(size.max(initial=0.0)))
        self.n_clipped += int(np.count_nonzero(size > 1.0))
        self.n_samples += len(size)
        for name, file in self._files.items():
            file.write(np.clip(getattr(part, name) * self._gain, -1.0, 1.0))

    def report_level(self) -> None:
        """Warns of clipping, and of output that nobody hears."""
        if self.n_clipped:
            excess = 20.0 * np.log10(self.peak)
            logging.warning(
                "%d samples exceed full scale by up to %.1f dB and were clipped; "
                "--gain_db=%.1f leaves them whole.",
                self.n_clipped,
                excess,
                self._gain_db - excess - 0.1,
            )
        elif self.peak < QUIET_PEAK:
            logging.warning(
                "The output is nearly silent (peak %.5f): the model may never have "
                "heard such pitch or loudness (try --match), or was trained too "
                "little.",
                self.peak,
            )
