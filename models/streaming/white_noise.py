"""White noise that is a function of the seed and the place in time alone.

However a stream is cut into blocks, sample n is the same number; so what is played live
is what is rendered to a file.
"""

import functools

import numpy as np

_CHUNK = 4096  # samples drawn at once


class WhiteNoise:
    """Uniform noise in [-1, 1], by absolute position.

    Args:
        seed: Which noise, not negative.
    """

    def __init__(self, seed: int = 0):
        if seed < 0:
            raise ValueError(f"seed={seed} must not be negative.")
        # Drawn numbers are kept for the next block; the numbers do not depend on it.
        self._chunk = functools.lru_cache(maxsize=2)(functools.partial(_draw, seed))

    def span(self, start: int, n_samples: int) -> np.ndarray:
        """Noise from a sample on.

        Args:
            start: First sample; before sample 0 there is silence.
            n_samples: How many.

        Returns:
            float32, [n_samples].
        """
        if start < 0:
            n_silent = min(-start, n_samples)
            silence = np.zeros(n_silent, np.float32)
            return np.concatenate([silence, self.span(0, n_samples - n_silent)])
        first, offset = divmod(start, _CHUNK)
        if offset + n_samples <= _CHUNK:
            return self._chunk(first)[offset : offset + n_samples]
        last = (start + n_samples - 1) // _CHUNK
        chunks = [self._chunk(index) for index in range(first, last + 1)]
        return np.concatenate(chunks)[offset : offset + n_samples]


def _draw(seed: int, index: int) -> np.ndarray:
    """One chunk of the noise."""
    generator = np.random.Generator(np.random.Philox(key=[seed, index]))
    chunk = 2.0 * generator.random(_CHUNK, dtype=np.float32) - np.float32(1.0)
    chunk.flags.writeable = False
    return chunk
