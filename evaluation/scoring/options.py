"""How runs are evaluated."""

import dataclasses

from evaluation.analysis import masks as control_masks


@dataclasses.dataclass(frozen=True)
class Options:
    """How runs are evaluated.

    Attributes:
        checkpoint: "best", "last" or a step.
        data_dir: Dataset; empty for the one that the first run was trained on.
        split: Which split of it.
        max_clips: Score so many clips, spread over the recordings; 0 for all.
        n_media: Embed so many clips in the report.
        batch_size: Clips rendered at once.
        seed: Decides the noise.
        crepe_capacity: Of the pitch tracker; empty for the dataset's.
        masks: What counts as pitched and audible.
        allow_other_dataset: Score runs that were trained on different data.
    """

    checkpoint: str = "best"
    data_dir: str = ""
    split: str = "eval"
    max_clips: int = 0
    n_media: int = 8
    batch_size: int = 4
    seed: int = 0
    crepe_capacity: str = ""
    masks: control_masks.MaskSettings = dataclasses.field(
        default_factory=control_masks.MaskSettings
    )
    allow_other_dataset: bool = False
