"""Changes the sample rate of mono streams, block by block.

Source: libsoxr (through soxr).
"""

import numpy as np
import soxr

QUALITY = "VHQ"  # soxr's name: 28 bits of precision, pass band up to 0.913 of Nyquist


class Resampler:
    """Changes the sample rate of a mono stream, block by block.

    Linear phase, no delay: output sample `i` stands at `i / out_rate` seconds. Equal
    rates pass through untouched.
    """

    def __init__(self, in_rate: float, out_rate: float):
        """Opens the stream.

        Args:
            in_rate: Samples/s, need not be whole (transposition by resampling).
            out_rate: Samples/s.
        """
        self._stream = None
        if in_rate != out_rate:
            self._stream = soxr.ResampleStream(
                in_rate, out_rate, 1, "float32", quality=QUALITY
            )

    def push(self, block: np.ndarray) -> np.ndarray:
        """Takes a block, float32 [n]; gives what is ready, float32 [m], maybe none."""
        if self._stream is None:
            return block
        return self._stream.resample_chunk(np.ascontiguousarray(block))

    def finish(self) -> np.ndarray:
        """Ends the stream; gives the rest."""
        nothing = np.zeros(0, np.float32)
        if self._stream is None:
            return nothing
        return self._stream.resample_chunk(nothing, last=True)


def resample_audio(audio: np.ndarray, in_rate: int, *, out_rate: int) -> np.ndarray:
    """`audio` at another rate, by the same filter as recordings; shape [n] → [m]."""
    resampler = Resampler(in_rate, out_rate)
    return np.concatenate([resampler.push(audio), resampler.finish()])
