"""Which Beam runner does the work, and what its errors mean.

In process and offline by default. Beam's `DirectRunner` would look for a Go program on
the network and run it; here the name stands for `FnApiRunner`, the same engine in
Python.
"""

import contextlib
import difflib
import pathlib
import tempfile
from collections.abc import Iterator
from collections.abc import Sequence

from apache_beam.options import pipeline_options

from prep import settings as settings_lib

IN_PROCESS = "FnApiRunner"
DASK_RUNNER = "apache_beam.runners.dask.dask_runner.DaskRunner"
DASK_PARTITIONS = 1000  # at most as many elements; one task each, so work spreads
_DISK_FULL = ("No space left on device", "Disk quota exceeded")
# What Beam and Dask say when a process that worked for them is gone.
_WORKER_LOST = ("Channel closed prematurely", "KilledWorker", "worker died")


def make_options(
    *,
    runner: str = IN_PROCESS,
    workers: int = 1,
    dask: str = "",
    beam_args: Sequence[str] = (),
    own_flags: Sequence[str] = (),
) -> pipeline_options.PipelineOptions:
    """Turns our flags and Beam's into options for the pipeline.

    Args:
        runner: Beam's name of a runner.
        workers: Processes on this machine, for the runner in process.
        dask: Address of a Dask scheduler; then `runner` is Dask's.
        beam_args: Flags of Beam's, as on a command line.
        own_flags: Names of ours, one of which a mistyped flag may mean.

    Returns:
        The options.

    Raises:
        settings_lib.PrepError: If a flag is unknown or flags contradict each other.
    """
    if workers < 1:
        raise settings_lib.PrepError(f"--workers={workers}: at least 1 is needed.")
    if runner == "DirectRunner":
        runner = IN_PROCESS
    # Guard: the flags that choose an engine contradict each other.
    if dask:
        if runner not in (IN_PROCESS, "DaskRunner") or workers > 1:
            raise settings_lib.PrepError(
                f"--dask={dask} brings its own runner and workers; leave out --runner "
                "and --workers."
            )
        args = [
            f"--runner={DASK_RUNNER}",
            f"--dask_client_address={dask}",
            f"--dask_npartitions={DASK_PARTITIONS}",
        ]
    else:
        args = [f"--runner={runner}"]
    if workers > 1:
        if runner != IN_PROCESS:
            raise settings_lib.PrepError(
                f"--workers={workers} starts processes on this machine and is for "
                f"{IN_PROCESS}; {runner} has flags of its own for that."
            )
        args += [
            "--direct_running_mode=multi_processing",
            f"--direct_num_workers={workers}",
        ]
    # What is left must be flags of Beam, which itself would pass over a mistyped one.
    _check_known(beam_args, own_flags)
    return pipeline_options.PipelineOptions([*args, *beam_args])


def _check_known(beam_args: Sequence[str], own_flags: Sequence[str]) -> None:
    """Refuses flags that neither we nor Beam know; Beam would pass them over."""
    if not beam_args:
        return
    parser = pipeline_options._BeamArgumentParser(allow_abbrev=False)
    for options in pipeline_options.PipelineOptions.__subclasses__():
        options._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(list(beam_args))
    if unknown:
        known = {s for a in parser._actions for s in a.option_strings}
        known.update(f"--{name}" for name in own_flags)
        flag = unknown[0].split("=")[0]
        near = difflib.get_close_matches(flag, known, 3)
        hint = f" Similar: {', '.join(near)}." if near else ""
        raise settings_lib.PrepError(
            f"{flag} is neither a flag of ddsp_prep nor of Apache Beam.{hint} "
            "--help lists ours."
        )


def count_workers(options: pipeline_options.PipelineOptions) -> int | None:
    """Processes of this machine that do the work; None where an engine has its own."""
    chosen = options.get_all_options()
    if chosen["runner"] != IN_PROCESS:
        return None
    return chosen["direct_num_workers"] or 1


@contextlib.contextmanager
def temporary_files_in(folder: pathlib.Path) -> Iterator[None]:
    """Has Beam keep its temporary folders where the next start of a job clears them."""
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def is_interrupt(error: BaseException) -> bool:
    """Tells whether Ctrl-C is behind an error; Beam wraps it in one of its own."""
    return "KeyboardInterrupt" in str(error) or any(
        isinstance(cause, KeyboardInterrupt)
        for cause in (error.__cause__, error.__context__)
    )


def explain(error: Exception) -> str:
    """A sentence about why a runner stopped."""
    text = str(error)
    if any(sign in text for sign in _DISK_FULL):
        return (
            "the disk is full. Make room (or choose another --output or --cache_dir) "
            "and run the same command again; what is finished is kept."
        )
    if "File too large" in text:
        return (
            "a file grew larger than this disk or this account may hold (FAT32 ends at "
            "4 GB, `ulimit -f` shows the account's limit). Choose another --output or "
            "--cache_dir, or more shards with --n_shards."
        )
    if any(sign in text for sign in _WORKER_LOST) or "KilledWorker" in repr(error):
        return (
            "a worker process was lost, killed or out of memory. Run the same command "
            "again; what is finished is kept. If it happens again, use fewer --workers."
        )
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else 'no message'}"
