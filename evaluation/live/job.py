"""From a recording to a file as a live host would play it: block by block.

The recording comes in blocks of a host's size; what is written is shifted back by the
latency, so that it lies under the recording.
"""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Iterator

import numpy as np
import threadpoolctl
from absl import logging

from evaluation.live import ear as ear_lib
from evaluation.live import instrument as instrument_lib
from evaluation.render import files
from evaluation.render import performance
from evaluation.render import renderer
from models.runs import loading
from models.streaming import block_controls
from models.streaming import player as player_lib
from prep import errors
from prep.recordings import decode

BLOCK_SIZE = 256  # samples, as a host hands them over


@dataclasses.dataclass(frozen=True)
class LiveRequest:
    """What is wanted beside the sound of the model.

    Attributes:
        shift: Of pitch and loudness.
        capacity: Of CREPE; "" takes tiny, which keeps up with the time.
        dry: Whether the learned reverb is left out.
        seed: Which noise.
        gain_db: Of what is written.
        overwrite: Whether the output may be replaced.
    """

    shift: instrument_lib.Shift = dataclasses.field(
        default_factory=instrument_lib.Shift
    )
    capacity: str = ""
    dry: bool = False
    seed: int = 0
    gain_db: float = 0.0
    overwrite: bool = False


@dataclasses.dataclass(frozen=True)
class LivePlayback:
    """What was played.

    Attributes:
        path: The file.
        secs: Its length.
        latency_secs: By which the sound would have come later, live.
        processor_secs: Processor time of all blocks together.
    """

    path: pathlib.Path
    secs: float
    latency_secs: float
    processor_secs: float

    def __str__(self) -> str:
        times = self.secs / max(self.processor_secs, 1e-9)
        return (
            f"{self.path}: {self.secs:.2f} s in blocks of {BLOCK_SIZE} samples; live "
            f"it would sound {1000 * self.latency_secs:.0f} ms later (cut off here); "
            f"{times:.1f} times real time"
        )


def play_file(
    run: loading.Run,
    source: pathlib.Path,
    output: pathlib.Path,
    *,
    request: LiveRequest | None = None,
) -> LivePlayback:
    """Plays a recording through ear and player.

    Args:
        run: A restored run.
        source: Audio of any length, rate and format.
        output: Audio file.
        request: What else is wanted.

    Raises:
        errors.InputError: If the model cannot be streamed, or source or output cannot
            be used.
    """
    request = request or LiveRequest()
    paths = files.output_paths(
        output, stems=False, dump_controls=False, controls_out=None
    )
    files.check_outputs(paths, source=source, overwrite=request.overwrite)
    instrument = make_instrument(run, request)
    sample_rate = instrument.player.sample_rate
    n_samples = n_played = 0
    processor_secs = 0.0
    sink = files.Sink(paths, sample_rate=sample_rate, gain_db=request.gain_db)
    # The ear's products are small: a second thread of NumPy's would only wait.
    with sink, threadpoolctl.threadpool_limits(1):
        # The last sound comes when as much silence as the latency has been heard.
        for block in host_blocks(
            source, sample_rate, n_after=instrument.latency_samples
        ):
            begin = time.process_time()
            played = instrument.process(block)
            processor_secs += time.process_time() - begin
            n_before = max(0, instrument.latency_samples - n_samples)
            n_samples += len(block)
            kept = played[n_before:]
            n_played += len(kept)
            nothing = np.zeros_like(kept)
            sink.write(renderer.Stems(kept, nothing, nothing))
    sink.report_level()
    if instrument.n_restarts:
        logging.warning(
            "The model gave NaN %d times and began anew: was its training healthy?",
            instrument.n_restarts,
        )
    return LivePlayback(
        output, n_played / sample_rate, instrument.latency_secs, processor_secs
    )


def make_instrument(
    run: loading.Run, request: LiveRequest
) -> instrument_lib.Instrument:
    """Puts an ear before a run's player.

    Raises:
        errors.InputError: If the model cannot be streamed.
    """
    try:
        player = player_lib.Player(
            run.model, with_reverb=not request.dry, seed=request.seed
        )
    except block_controls.StreamError as error:
        raise errors.InputError(f"{run.path}: {error}") from error
    ear = ear_lib.Ear(
        player.sample_rate,
        frame_rate=player.frame_rate,
        capacity=request.capacity or "tiny",
    )
    return instrument_lib.Instrument(player, ear=ear, shift=request.shift)


def host_blocks(
    source: pathlib.Path, sample_rate: int, *, n_after: int
) -> Iterator[np.ndarray]:
    """Cuts a recording as a host hands it over.

    Args:
        source: Audio of any length, rate and format.
        sample_rate: Of the blocks, samples/s.
        n_after: Samples of silence behind the recording.

    Yields:
        Mono float32 [BLOCK_SIZE]; the last two are as long as what is left.

    Raises:
        errors.InputError: If the recording cannot be read or is empty.
    """
    if not source.is_file():
        raise errors.InputError(f"there is no recording at {source}.")
    held = np.zeros(0, np.float32)
    n_samples = 0
    try:
        for part in performance.mono_blocks(source, sample_rate=sample_rate):
            n_samples += len(part)
            held = np.concatenate([held, part])
            n_whole = len(held) // BLOCK_SIZE * BLOCK_SIZE
            yield from np.split(held[:n_whole], n_whole // BLOCK_SIZE or 1)
            held = held[n_whole:]
    except decode.UnreadableError as error:
        raise errors.InputError(f"{source}: {error}.") from error
    if not n_samples:
        raise errors.InputError(f"{source} holds no sample.")
    yield held
    yield np.zeros(n_after, np.float32)
