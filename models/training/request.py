"""What a person asks `ddsp_run` for, and the configuration that follows from it."""

import dataclasses
import pathlib

from models.config import checks
from models.config import gin_config
from models.config import gin_contents
from models.config import gin_dataset
from models.config import value_types
from models.config import vetting
from models.runs import loading
from prep.dataset import info as dataset_info

LOOP_BLOCK = "models.loop.LoopOptions"
LoopValues = dict[str, float]  # of fields of `options.LoopOptions`, by name


@dataclasses.dataclass(frozen=True)
class TrainingRequest:
    """What a person asks for; the fields are the flags of `ddsp_run`."""

    save_dir: str
    restore_dir: str = ""
    init_from: str = ""
    allow_shape_mismatch: bool = False
    gin_files: tuple[str, ...] = ()
    bindings: tuple[str, ...] = ()
    search_paths: tuple[str, ...] = ()
    data_dir: str | None = None
    resume: str = "auto"
    seed: int | None = None  # 0, or that of the run that is gone on with
    num_steps: int | None = None
    loop_options: LoopValues = dataclasses.field(default_factory=dict)
    tpu: str = ""
    cluster_config: str = ""
    quiet: bool = False


def configure(request: TrainingRequest) -> dataset_info.DatasetInfo | None:
    """Puts the configuration of a request in force, checked.

    Returns:
        The prepared dataset it means, if it means one.

    Raises:
        errors.InputError: If something in it or in the dataset is wrong.
    """
    directory = request.restore_dir or request.save_dir
    sources = gin_config.Sources(
        gin_files=request.gin_files,
        bindings=tuple(all_bindings(request)),
        search_paths=request.search_paths,
        operative=_operative(directory, request) if request.resume != "never" else None,
        use_tpu=bool(request.tpu),
    )
    # The dataset is known only after files and bindings, and adds what they leave open.
    gin_config.parse_files(sources)
    gin_config.parse_bindings(sources.bindings)
    info = gin_dataset.dataset_of_config(request.data_dir)
    if info is not None:
        gin_dataset.bind_dataset(info, sources=sources)
        gin_dataset.bind_provider_defaults(info)
        if not gin_dataset.is_vst_config():  # whose synths play a hop more
            gin_dataset.check_rates(info)
    checks.check_complete(request.bindings)
    checks.check_parameters()
    value_types.check_values()
    return info


def all_bindings(request: TrainingRequest) -> list[str]:
    """The request's bindings, and its flags that stand for bindings."""
    bindings = list(request.bindings)
    if request.num_steps is not None:
        bindings.append(f"train.num_steps = {request.num_steps}")
    for name, value in request.loop_options.items():
        bindings.append(f"{LOOP_BLOCK}.{name} = {value!r}")
    return bindings


def max_minutes() -> float:
    """Returns the limit of time in the configuration in force; 0 for none."""
    return float(gin_config.parameter(LOOP_BLOCK, "max_minutes", default=0.0))


def _operative(directory: str, request: TrainingRequest) -> str | None:
    """Reads the configuration that a run to go on from saved; None if there is none.

    It may import what the gin files import that a person names, and what they include.
    """
    try:
        text = loading.read_config(pathlib.Path(directory))
    except FileNotFoundError:
        return None
    named = gin_contents.texts(request.gin_files, request.search_paths)
    trusted = set().union(
        *(vetting.modules_imported(file.text) for file in named.values())
    )
    try:
        vetting.check_statements(text, trusted=trusted)
    except gin_config.ConfigError as error:
        raise gin_config.ConfigError(
            f"the configuration saved in {directory} cannot be used: {error}"
        ) from error
    return text
