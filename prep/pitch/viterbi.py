"""The most likely path of pitch bins: CREPE's hidden Markov model, decoded exactly.

360 states, the pitch bins. All bins are equally likely at first; a transition of d bins
has a weight of `12 - |d|`, none beyond 11; the strongest bin of a frame is what is
observed, and it is the true one with a probability of 0.1 more than chance.

Source: the model is the crepe package's (Kim, Salamon, Li and Bello, ICASSP 2018), the
    rule for ties hmmlearn's. The decoder is own: it uses that the transitions are a
    band, and gives out frames as soon as no later one can change them.
"""

import numpy as np

from prep.pitch import weights

N_BINS = weights.N_BINS
TRANSITION_REACH = 11  # bins to either side
SELF_EMISSION = 0.1  # probability that the true bin is the strongest, above chance
_INNER = slice(TRANSITION_REACH, TRANSITION_REACH + N_BINS)  # of a padded row
_FLUSH_FRAMES = 4096  # frames between two looks for what is already decided


def viterbi_path(observations: np.ndarray) -> np.ndarray:
    """The most likely bins given the strongest ones.

    Args:
        observations: The strongest bin of each frame, int [n_frames].

    Returns:
        The same path as hmmlearn's decoder, ties included, int64 [n_frames].
    """
    decoder = ViterbiDecoder()
    parts = [decoder.push(observations), decoder.finish()]
    return np.concatenate(parts)


class ViterbiDecoder:
    """Finds the most likely path while the observations come in.

    Delta, the log likelihood of the best path to each bin, is a row of 360 numbers. The
    best predecessor of a bin lies within 11 bins, so a step is the maximum over 23
    shifted copies of delta. Going back from all 360 bins, the paths soon run into
    one; what lies before that is decided and is given out. Memory is that of the
    undecided.

    Ties are broken as in hmmlearn: the larger predecessor, the smaller last bin.
    """

    def __init__(self) -> None:
        offsets = np.arange(-TRANSITION_REACH, TRANSITION_REACH + 1)
        bins = np.arange(N_BINS)
        triangle = np.maximum(
            TRANSITION_REACH + 1 - np.abs(bins[:, np.newaxis] - bins), 0
        )
        transitions = triangle / triangle.sum(axis=1)[:, np.newaxis]
        # [23, 360]: from bin j + offset to bin j; outside, where delta is -inf, any.
        sources = np.clip(bins + offsets[:, np.newaxis], 0, N_BINS - 1)
        self._log_transitions = np.log(transitions[sources, bins])
        chance = (1 - SELF_EMISSION) / N_BINS
        self._log_chance = np.log(chance)
        self._log_hit = np.log(SELF_EMISSION + chance)
        self._padded = np.full(N_BINS + 2 * TRANSITION_REACH, -np.inf)
        self._shifted = np.lib.stride_tricks.sliding_window_view(self._padded, N_BINS)
        self._scores = np.empty_like(self._log_transitions)
        self._shifts = np.arange(2 * TRANSITION_REACH + 1)[:, np.newaxis]
        self._rows: list[np.ndarray] = []  # delta of the undecided frames
        self._n_since_look = 0

    def push(self, observations: np.ndarray) -> np.ndarray:
        """Takes in the strongest bins of some frames.

        Args:
            observations: Shape [n_frames], int.

        Returns:
            Bins of the path that are now decided, in order; maybe none.
        """
        decided = []
        for observation in np.asarray(observations):
            self._step(int(observation))
            self._n_since_look += 1
            if self._n_since_look >= _FLUSH_FRAMES:
                decided.append(self._take_decided())
        return np.concatenate([np.zeros(0, np.int64), *decided])

    def finish(self) -> np.ndarray:
        """Returns the end of the path; the decoder is empty afterwards."""
        if not self._rows:
            return np.zeros(0, np.int64)
        path = self._path_to(int(self._rows[-1].argmax()), len(self._rows) - 1)
        self._rows = []
        return path

    def _step(self, observation: int) -> None:
        if self._rows:
            self._padded[_INNER] = self._rows[-1]
            np.add(self._shifted, self._log_transitions, out=self._scores)
            delta = self._scores.max(axis=0)
        else:
            delta = np.full(N_BINS, np.log(1 / N_BINS))
        hit = delta[observation] + self._log_hit
        delta += self._log_chance
        delta[observation] = hit
        self._rows.append(delta)

    def _predecessors(self, bins: np.ndarray, frame: int) -> np.ndarray:
        """The best bins in undecided frame `frame` to come from, [n_paths]."""
        self._padded[_INNER] = self._rows[frame]
        scores = self._padded[bins + self._shifts] + self._log_transitions[:, bins]
        from_top = scores[::-1].argmax(axis=0)  # first of the reversed: the largest bin
        return bins + TRANSITION_REACH - from_top

    def _path_to(self, last_bin: int, last_frame: int) -> np.ndarray:
        """The best path that ends in a bin of an undecided frame, [last_frame + 1]."""
        path = np.empty(last_frame + 1, np.int64)
        path[last_frame] = last_bin
        for frame in range(last_frame - 1, -1, -1):
            path[frame] = self._predecessors(path[frame + 1 : frame + 2], frame)[0]
        return path

    def _take_decided(self) -> np.ndarray:
        """Gives out what the best paths to all 360 bins have in common."""
        self._n_since_look = 0
        bins = np.arange(N_BINS)
        for frame in range(len(self._rows) - 2, -1, -1):
            bins = self._predecessors(bins, frame)
            if (bins == bins[0]).all():
                path = self._path_to(int(bins[0]), frame)
                del self._rows[: frame + 1]
                return path
        return np.zeros(0, np.int64)
