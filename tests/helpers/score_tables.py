"""Tables of made-up scores: spectral losses, and sums that lack some of a control."""

from collections.abc import Mapping
from collections.abc import Sequence

import numpy as np

from evaluation.scoring import rows as rows_lib
from evaluation.summary import score_table

N_FRAMES = 100.0  # of each clip, all of them audible and with a pitch


def sums(*, frozen: float = 0.0, noisy: float = 0.0) -> dict[str, float]:
    """Sums of a clip that has lost shares of its movement and of its tone."""
    return dict.fromkeys(
        ("n_pitched", "n_audible", "presence", "est_power", "ref_power"), N_FRAMES
    ) | {
        "ref_movement": N_FRAMES,
        "est_movement": N_FRAMES * (1.0 - frozen),
        "ref_spread": N_FRAMES,
        "est_spread": N_FRAMES,
        "ref_noise": 0.0,
        "est_noise": N_FRAMES * noisy,
        "x": -2000.0,
        "y": -2000.0,
        "xx": 44000.0,
        "xy": 44000.0,
    }


def exact_table(
    clips: Sequence[tuple[str, Mapping[str, float]]],
    *,
    lost: Mapping[str, Sequence[float]] | None = None,
    heard: Mapping[str, Sequence[float]] | None = None,
) -> score_table.ScoreTable:
    """A table of given numbers.

    Args:
        clips: Recording of each clip, and the spectral loss of every run.
        lost: Of each run's movement, clip by clip; nothing where it is left out.
        heard: Of each run's tone, as heard, clip by clip.
    """

    def row_of(run: str, place: int, loss: float) -> dict:
        return {
            "values": {"spectral_loss": loss},
            "reasons": {},
            rows_lib.SUMS["collapse_index"]: sums(
                frozen=lost[run][place] if lost else 0.0
            ),
            rows_lib.SUMS["heard_collapse_index"]: sums(
                noisy=heard[run][place] if heard else 0.0
            ),
        }

    return score_table.ScoreTable(
        [
            {
                "recording_id": recording,
                "recording": {"values": {}},
                "runs": {name: row_of(name, i, loss) for name, loss in losses.items()},
            }
            for i, (recording, losses) in enumerate(clips)
        ]
    )


def make_table(
    systems: Mapping[str, tuple[float, float]],
    rng: np.random.Generator,
    n_recordings: int = 10,
    spread: float = 0.0,
) -> score_table.ScoreTable:
    """A table from `{name: (spectral loss, lost movement)}`; clips differ a lot.

    What is kept of the movement is larger by `spread` in one recording and smaller in
    the next.
    """
    difficulty = rng.normal(0, 1.0, n_recordings)
    losses = [
        {
            name: loss + difficulty[place] + 0.03 * rng.standard_normal()
            for name, (loss, _) in systems.items()
        }
        for place in range(n_recordings)
    ]
    lost = {
        name: [
            1 - (1 - share) * (1 + spread * (-1) ** i + 0.02 * rng.standard_normal())
            for i in range(n_recordings)
        ]
        for name, (_, share) in systems.items()
    }
    return exact_table([(f"r{i}", one) for i, one in enumerate(losses)], lost=lost)
