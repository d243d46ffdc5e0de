"""Runs trained models over the eval split of their dataset.

All systems of a report see the same clips in the same order with the same noise: what
ddsp's FilteredNoise draws is a function of the evaluation's seed, of the first clip of
a batch and of the place in it. Errors
of the user's making (no checkpoint, no dataset, runs of different datasets) are raised
as `InputError` with one sentence that says what to do.
"""

import dataclasses
import pathlib
import time
import tokenize
from collections.abc import Iterator
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from evaluation.scoring import clips
from models.data import provider
from models.measures import control_arrays
from models.measures import model_outputs
from models.runs import loading
from models.runs import record
from models.synths import seeded_noise
from prep import errors
from prep import processes

# What opening a run raises when its files are damaged or made by other code: gin has no
# errors of its own, and TensorFlow's stand beside Python's.
RESTORE_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    SyntaxError,
    tokenize.TokenError,
    ImportError,
    RuntimeError,
    tf.errors.OpError,
)


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a run costs.

    Attributes:
        n_parameters: Trainable numbers.
        render_secs: Seconds of computing per second of audio, model and synths.
        batch_size: Clips rendered at once.
        peak_memory_mb: Largest memory of the evaluating process so far, MB; it never
            falls from one run to the next.
    """

    n_parameters: int
    render_secs: float
    batch_size: int
    peak_memory_mb: float


def open_run(run_dir: pathlib.Path, *, checkpoint: str) -> "loading.Run":
    """Restores a run.

    Args:
        run_dir: Directory that `ddsp_run` wrote.
        checkpoint: "best", "last" or a step.

    Raises:
        InputError: If there is no such run or checkpoint.
    """
    if not run_dir.is_dir():
        raise errors.InputError(
            f"there is no run at {run_dir}; train one with "
            f"`ddsp_run --gin_file=gin/stage2.gin --save_dir={run_dir}`."
        )
    try:
        run = loading.load_run(run_dir, checkpoint=checkpoint)
    except RESTORE_ERRORS as error:
        raise errors.InputError(
            f"{run_dir} cannot be restored: {_text(error)}"
        ) from error
    check_weights(run)
    return run


def check_weights(run: "loading.Run") -> None:
    """Refuses a run whose training diverged.

    Args:
        run: A restored run.

    Raises:
        InputError: If a weight is NaN or infinite.
    """
    broken = [
        weight.name
        for weight in run.model.weights
        if not np.all(np.isfinite(weight.numpy()))
    ]
    if broken:
        raise errors.InputError(
            f"{run.path} has NaN or infinity in {len(broken)} of "
            f"{len(run.model.weights)} weights at step {run.step} ({broken[0]}): its "
            "training diverged. Choose an earlier --checkpoint, or leave it out."
        )


def open_dataset(
    data_dir: str | pathlib.Path, *, split: str = "eval", frame_rate: int | None = None
) -> provider.PreparedDataset:
    """Opens a split of a dataset, with all its frames or fewer a second.

    Raises:
        InputError: If it is missing, unfinished or empty, or has no such frames.
    """
    try:
        return provider.PreparedDataset(data_dir, split, frame_rate=frame_rate)
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise errors.InputError(
            f"the dataset cannot be read: {_text(error)}"
        ) from error


def open_dataset_of(
    run: "loading.Run", data_dir: str | pathlib.Path | None, *, split: str = "train"
) -> provider.PreparedDataset:
    """Opens a split of the dataset of a run, with the frames that the run reads.

    Args:
        run: A restored run.
        data_dir: Where the dataset lies now; None for where it lay in training.
        split: Which split.

    Raises:
        InputError: If it is missing, unfinished or empty, or has no such frames.
    """
    frame_rate = (run.info.get("dataset") or {}).get("frame_rate")
    return open_dataset(data_dir or run.data_dir, split=split, frame_rate=frame_rate)


def _text(error: Exception) -> str:
    """An error's first line; str(KeyError) would put it in quotes."""
    told = error.args[0] if isinstance(error, KeyError) and error.args else error
    return next(iter(str(told).strip().splitlines()), type(error).__name__)


def render_clips(
    run: "loading.Run",
    dataset: provider.PreparedDataset,
    indices: Sequence[int],
    *,
    seed: int,
    batch_size: int,
) -> tuple[list[clips.Rendering], Cost]:
    """Renders examples with a model, in batches of one size.

    Args:
        run: A restored run.
        dataset: An open split.
        indices: Which examples.
        seed: Decides the noise.
        batch_size: Clips rendered at once.

    Returns:
        Renderings in the order of `indices`, and what they cost.

    Raises:
        InputError: If the model gives no controls or audio of another length.
    """
    render = _traced(run.model, seed=seed)
    size = min(batch_size, len(indices))
    renderings: list[clips.Rendering] = []
    spent: list[float] = []
    for chunk in _chunks(indices, size):
        # The last batch is filled up: a smaller one would be traced anew.
        filled = [*chunk, *[chunk[-1]] * (size - len(chunk))]
        batch = dataset.examples(filled)
        begin = time.perf_counter()
        try:
            outputs = render(batch, int(chunk[0]))
        except KeyError as error:
            raise errors.InputError(
                f"{run.path} cannot be judged: {_text(error)}."
            ) from error
        spent.append(time.perf_counter() - begin)
        found = list(_unpack(outputs, dataset=dataset, run=run))
        renderings.extend(found[: len(chunk)])
    # The first batch is the graph's: where there is no other, it is rendered again.
    if len(spent) == 1:
        begin = time.perf_counter()
        render(batch, int(chunk[0]))
        spent.append(time.perf_counter() - begin)
    weights = run.model.trainable_variables
    cost = Cost(
        n_parameters=int(sum(np.prod(weight.shape) for weight in weights)),
        render_secs=float(np.median(spent[1:])) / (size * dataset.info.example_secs),
        batch_size=size,
        peak_memory_mb=processes.peak_mb(),
    )
    return renderings, cost


def _chunks(indices: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Indices in groups, the last one smaller."""
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def _traced(model: tf.keras.Model, *, seed: int):
    """The model as a graph whose noise depends on the seed and the first example."""

    @tf.function(autograph=False)
    def forward(
        batch: dict[str, tf.Tensor], first: tf.Tensor
    ) -> model_outputs.ModelOutputs:
        n_rows = batch["f0_hz"].shape[0]
        key = seeded_noise.NoiseKey(seed=seed, step=0, first_row=first, n_rows=n_rows)
        with seeded_noise.reproducible(key):
            outputs = model(batch, training=False)
        return {
            "audio_synth": outputs["audio_synth"],
            "controls": model_outputs.find_controls(outputs),
        }

    def render(batch: dict[str, np.ndarray], first: int) -> model_outputs.ModelOutputs:
        tensors = {
            key: tf.constant(value)
            for key, value in batch.items()
            if key != "example_index"
        }
        outputs = forward(tensors, tf.constant(first, tf.int64))
        return tf.nest.map_structure(lambda tensor: tensor.numpy(), outputs)

    return render


def _unpack(
    outputs: model_outputs.ModelOutputs,
    *,
    dataset: provider.PreparedDataset,
    run: "loading.Run",
) -> Iterator[clips.Rendering]:
    """One rendering a row of a batch."""
    info = dataset.info
    audio = outputs["audio_synth"]
    if audio.shape[1] != info.n_samples:
        raise errors.InputError(
            f"{run.path} makes {audio.shape[1]} samples where the dataset's clips have "
            f"{info.n_samples}; it was trained for other lengths."
        )
    if not np.all(np.isfinite(audio)):
        raise errors.InputError(
            f"{run.path} plays NaN or infinity on {info.data_dir}; it cannot be judged."
        )
    # One rendering a row, with the ends of the head's amplitude scale.
    amps_limits = model_outputs.find_amps_limits(run.model)
    for row in range(audio.shape[0]):
        yield clips.Rendering(
            audio=audio[row],
            controls=control_arrays.from_model(
                {key: value[row] for key, value in outputs["controls"].items()},
                sample_rate=info.sample_rate,
                frame_rate=info.frame_rate,
            ),
            amps_limits=amps_limits,
        )


def check_same_dataset(opened: "Sequence[loading.Run]") -> None:
    """Refuses runs that were trained on different data.

    Args:
        opened: The runs of a report.

    Raises:
        InputError: If their datasets differ in content.
    """
    hashes = {str(run.path): dataset_hash(run) for run in opened}
    if len(set(hashes.values())) > 1:
        listed = "; ".join(f"{path}: {value}" for path, value in hashes.items())
        raise errors.InputError(
            "the runs were trained on different datasets, so their scores cannot be "
            f"compared ({listed}). Train them on one, or pass --allow_other_dataset to "
            "score them all on the dataset of the first."
        )


def check_rates(
    opened: "Sequence[loading.Run]", dataset: provider.PreparedDataset
) -> None:
    """Refuses runs that were trained for other rates or lengths than the dataset's.

    Args:
        opened: The runs of a report.
        dataset: What they are to be judged on.

    Raises:
        InputError: If a run's differ; a run without a record of them is let through.
            Also if a run was trained on several datasets: what one of them kept for
            evaluation another may have trained it on.
    """
    info = dataset.info
    for run in opened:
        if loading.has_end_frame(run.model):
            raise errors.InputError(
                f"{run.path} is ddsp's model for its plug-in, with a frame more than a "
                "clip has; export it (ddsp_render --export --for=ddsp_vst), or train a "
                "rung with gin/overlays/ddsp_vst.gin to have it judged."
            )
        trained_on = record.hashes_of(run.info)
        # One dataset: what another kept for evaluation it may have trained on.
        if len(trained_on) > 1:
            raise errors.InputError(
                f"{run.path} was trained on {len(trained_on)} datasets "
                f"({', '.join(trained_on)}): it may have trained on what it would be "
                "judged by. Train it anew on one (--resume=never)."
            )
        # Rates and lengths of its training against those of the clips.
        facts = run.info.get("dataset") or {}
        differing = [
            f"{key} {facts[key]} where the dataset has {getattr(info, key)}"
            for key in ("sample_rate", "frame_rate", "n_samples", "n_frames")
            if facts.get(key) not in (None, getattr(info, key))
        ]
        if differing:
            raise errors.InputError(
                f"{run.path} was trained with {', '.join(differing)}; judge it on data "
                f"prepared alike (--data_dir; this is {info.data_dir})."
            )


def dataset_hash(run: "loading.Run") -> str:
    """Identifies the data that a run was trained on."""
    facts = run.info.get("dataset") or {}
    return str(facts.get("plan_hash") or run.data_dir)
