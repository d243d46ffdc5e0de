"""Opens a finished (or growing) run directory: its model, restored, and its facts.

Evaluation and rendering use only this. gin's configuration is replaced each time, so
that two runs of one process never mix; a model that is built keeps its own.
"""

import dataclasses
import pathlib
import re

import gin
import tensorflow as tf
from ddsp.training import models as ddsp_models
from ddsp.training import preprocessing
from ddsp.training import train_util

from models.config import vetting
from models.runs import checkpoints
from models.runs import layout
from models.runs import record
from prep import checked_json

_OWN_IMPORT = re.compile(r"^import models\..*\n", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Run:
    """A run that was opened.

    Attributes:
        path: The run directory.
        model: Its model, built and restored.
        step: The training step of the checkpoint.
        checkpoint: The checkpoint's path, without suffix.
        config_text: Its gin configuration.
        info: run.json.
        data_dir: The dataset it was trained on; may be gone.
    """

    path: pathlib.Path
    model: tf.keras.Model
    step: int
    checkpoint: str
    config_text: str
    info: checked_json.Json
    data_dir: pathlib.Path


def load_run(run_dir: str | pathlib.Path, *, checkpoint: str = "best") -> Run:
    """Opens a run.

    Args:
        run_dir: A directory that `ddsp_run` wrote.
        checkpoint: 'best' (by the held-out batch; 'last' if none was kept), 'last', or
            a step for which a checkpoint is there.

    Returns:
        The run.

    Raises:
        layout.NoRunError: If there is no run, or it has no such checkpoint.
        layout.RunError: If the checkpoint does not fit the configuration.
    """
    path = pathlib.Path(run_dir).expanduser()
    config_text = read_config(path)
    info = record.read_run(path)
    found = find_checkpoint(path, checkpoint)
    model = build_model(config_text, lengths=info.get("dataset") or {})
    checkpoints.check_architecture(found.path, model)
    checkpoints.restore(found.path, trackables={"model": model})
    if hasattr(model, "set_step"):
        model.set_step(found.step)
    return Run(
        path=path,
        model=model,
        step=found.step,
        checkpoint=found.path,
        config_text=config_text,
        info=info,
        data_dir=pathlib.Path(info.get("data_dir") or "data"),
    )


def read_config(run_dir: pathlib.Path) -> str:
    """The newest operative configuration of a run.

    Raises:
        layout.NoRunError: If the directory is no run.
        layout.RunError: If its configuration is no text.
    """
    try:
        name = train_util.get_latest_file(str(run_dir), "operative_config-", ".gin")
    except FileNotFoundError as error:
        raise layout.NoRunError(
            f"no run at {run_dir}: it has no operative_config-<step>.gin; train one "
            f"with `ddsp_run --gin_file=gin/stage2.gin --save_dir={run_dir}`."
        ) from error
    try:
        return current_imports(pathlib.Path(name).read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise layout.RunError(f"{name} is damaged: {error}.") from error


def current_imports(config_text: str) -> str:
    """Makes a saved configuration import this project's modules where they lie today.

    Its `import models.x` lines name the files of the day that it was saved, so they are
    replaced by the registry, which imports all that gin has a name for.
    """
    lines = _OWN_IMPORT.sub("", config_text)
    return f"import models.registry\n{lines}"


def find_checkpoint(
    run_dir: pathlib.Path, checkpoint: str
) -> checkpoints.FoundCheckpoint:
    """The checkpoint meant by 'best', 'last' or a step.

    Raises:
        layout.NoRunError: If there is none.
    """
    # A run without held-out batch keeps no best: its last stands in.
    best_dir = run_dir / layout.BEST_DIR
    if checkpoint == "best":
        found = checkpoints.newest_sound(best_dir) or checkpoints.newest_sound(run_dir)
    elif checkpoint == "last":
        found = checkpoints.newest_sound(run_dir)
    else:
        # A step: of the run itself, or of its best.
        there = checkpoints.found_in(run_dir) + checkpoints.found_in(best_dir)
        found = next(
            (item for item in there if str(item.step) == str(checkpoint)), None
        )
        if found is None:
            steps = sorted({item.step for item in there})
            raise layout.NoRunError(
                f"{run_dir} has no checkpoint of step {checkpoint}; it has 'best', "
                f"'last' and the steps {steps}."
            )
        _check_sound(found)
    if found is None:
        raise layout.NoRunError(
            f"{run_dir} has no sound checkpoint yet; let the run write one first."
        )
    return found


def _check_sound(found: checkpoints.FoundCheckpoint) -> None:
    """Refuses a checkpoint that was named and is damaged.

    Raises:
        layout.NoRunError: If it is.
    """
    problem = checkpoints.verify(found.path)
    if problem:
        raise layout.NoRunError(
            f"checkpoint {found.path} is damaged ({problem}); name another step, "
            "'last' or 'best'."
        )


def build_model(config_text: str, *, lengths: checked_json.Json) -> tf.keras.Model:
    """Builds the model of a configuration, its variables created.

    Args:
        config_text: gin configuration; replaces what gin holds.
        lengths: n_samples, n_frames of an example; ddsp's 4 s at 16 kHz by default.

    Raises:
        layout.RunError: If it may not be run (see `models.config.vetting`) or cannot.
    """
    gin.clear_config()
    try:
        vetting.check_statements(config_text)
        with gin.unlock_config():
            gin.parse_config(config_text)
        vetting.check_references()
        model = ddsp_models.get_model()
        build_variables(
            model,
            n_samples=int(lengths.get("n_samples", 64000)),
            n_frames=int(lengths.get("n_frames", 1000)),
        )
    except (ValueError, TypeError, SyntaxError, RecursionError, SystemExit) as error:
        # A saved configuration that builds no model is damaged or not from here.
        why = " ".join(str(error).split())[:300]
        raise layout.RunError(
            f"the run's configuration cannot be used: {why}"
        ) from error
    return model


def has_end_frame(model: tf.keras.Model) -> bool:
    """Tells models with a frame at the very end of the audio too (ddsp's vst.gin)."""
    preprocessor = getattr(model, "preprocessor", None)
    return isinstance(preprocessor, preprocessing.OnlineF0PowerPreprocessor)


def build_variables(model: tf.keras.Model, *, n_samples: int, n_frames: int) -> None:
    """Creates a model's variables by a made-up example."""
    n_frames += has_end_frame(model)
    frames = tf.ones([1, n_frames, 1])
    features = {
        "audio": tf.zeros([1, n_samples]),
        "f0_hz": 440.0 * frames,
        "f0_confidence": frames,
        "loudness_db": -30.0 * frames,
        "power_db": -30.0 * frames,
    }
    if hasattr(model, "create_variables"):
        model.create_variables(features)
    else:
        model(features, training=False)


def find_weights(place: str) -> checkpoints.FoundCheckpoint:
    """The checkpoint meant by a run directory or by a checkpoint's own path.

    Raises:
        layout.NoRunError: If there is none.
    """
    path = pathlib.Path(place)
    name, _, step = path.name.removesuffix(".index").rpartition("-")
    if name == "ckpt" and step.isdigit():
        whole = str(path).removesuffix(".index")
        if pathlib.Path(whole + ".index").exists():
            found = checkpoints.FoundCheckpoint(whole, int(step))
            _check_sound(found)
            return found
    return find_checkpoint(path, "best")
