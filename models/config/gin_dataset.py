"""What a configuration takes from its dataset: records, rates and lengths.

Rates and lengths are bound once and contradicted never; gin does no arithmetic, so
lengths in seconds become samples in `n_samples_of`.
"""

import copy
import pathlib
import re

import gin

from models.config import gin_config
from models.config import gin_contents
from prep import errors
from prep.dataset import info as dataset_info

DEFAULT_DATA_DIR = "data"
STOCK_TRAIN = "ddsp.training.train_util.train"
STOCK_RECORDS = "ddsp.training.data.TFRecordProvider"
OWN_RECORDS = "models.data.PreparedDataset"
STOCK_AUTOENCODER = "ddsp.training.models.Autoencoder"
POWER_PREPROCESSOR = "ddsp.training.preprocessing.OnlineF0PowerPreprocessor"
# Parameters that state a rate or a length, and what the dataset calls them.
RATE_PARAMETERS = {
    "sample_rate": "sample_rate",
    "frame_rate": "frame_rate",
    "n_samples": "n_samples",
    "time_steps": "n_frames",
    "n_frames": "n_frames",
}
RATE_MACROS = ("SAMPLE_RATE", "FRAME_RATE", "N_SAMPLES", "TIME_STEPS", "EXAMPLE_SECS")


def dataset_of_config(data_dir: str | None) -> dataset_info.DatasetInfo | None:
    """Finds the prepared dataset that a configuration means.

    Args:
        data_dir: What the command line says, or None.

    Returns:
        Its facts; None if the data comes from elsewhere, e.g. TFDS.

    Raises:
        errors.InputError: If the dataset is missing, unfinished or damaged.
    """
    if data_dir is not None:
        return _read(data_dir)
    pattern = gin_config.parameter(STOCK_RECORDS, "file_pattern")
    if pattern:  # records of ddsp's own kind may have no dataset_info.json
        directory = pathlib.Path(pattern).parent
        has_info = (directory / dataset_info.INFO_NAME).is_file()
        return _read(directory) if has_info else None
    provider = gin_config.bound_class(STOCK_TRAIN, "data_provider")
    if provider not in (None, STOCK_RECORDS, OWN_RECORDS):
        return None
    return _read(gin_config.macro_value("DATA_DIR") or DEFAULT_DATA_DIR)


def frame_rate_of_config() -> int | None:
    """Returns the frames a second that a configuration reads, if it says so.

    It is what `models.data.PreparedDataset.frame_rate` is bound to, or the rate that
    ddsp's preprocessor of power works at (models/vst/vst.gin).
    """
    if gin_config.is_bound(OWN_RECORDS, "frame_rate"):
        return gin_config.parameter(OWN_RECORDS, "frame_rate")
    return gin_config.parameter(POWER_PREPROCESSOR, "frame_rate")


def _read(directory: str | pathlib.Path) -> dataset_info.DatasetInfo:
    """Reads a dataset's facts; what is wrong with it is a person's to put right."""
    try:
        info = dataset_info.read_dataset_info(directory)
        frame_rate = frame_rate_of_config()
        return info.at_frame_rate(frame_rate) if frame_rate else info
    except (FileNotFoundError, ValueError) as error:
        raise errors.InputError(str(error)) from error


def is_vst_config() -> bool:
    """Tells if the configuration is ddsp's for its plug-in (models/vst/vst.gin)."""
    preprocessor = gin_config.bound_class(STOCK_AUTOENCODER, "preprocessor")
    return preprocessor == POWER_PREPROCESSOR


def _vst_bindings(info: dataset_info.DatasetInfo) -> list[str]:
    """Returns what ddsp's models/vst/vst.gin needs of a prepared dataset.

    It takes frames of its own rate, one more at the very end of the audio, and synths
    that play a hop more, which it crops.
    """
    if info.sample_rate != gin_config.macro_value("sample_rate"):
        raise errors.InputError(
            f"the gin file is for {gin_config.macro_value('sample_rate')} Hz and the "
            f"dataset at {info.data_dir} has {info.sample_rate}; prepare one with that "
            "--sample_rate."
        )
    return [
        f"n_samples = {info.n_samples + info.hop_size}",
        f"models.data.PreparedDataset.frame_rate = {info.frame_rate}",
        "models.data.PreparedDataset.with_end_frame = True",
    ]


def bind_provider_defaults(info: dataset_info.DatasetInfo) -> None:
    """Lets configurations that name no data read the prepared dataset."""
    bindings = []
    for block, name in (
        ("train", ""),
        ("evaluate", "eval_data/"),
        ("sample", "eval_data/"),
    ):
        if not gin_config.is_bound(block, "data_provider"):
            provider = f"@{name}models.data.PreparedDataset()"
            bindings.append(f"{block}.data_provider = {provider}")
    if not gin_config.is_bound(STOCK_RECORDS, "file_pattern"):
        pattern = info.record_pattern("train")
        bindings.append(f"TFRecordProvider.file_pattern = {str(pattern)!r}")
    if is_vst_config():
        bindings += _vst_bindings(info)
    if not gin_config.is_bound(OWN_RECORDS, "data_dir"):
        bindings.append("models.data.PreparedDataset.data_dir = %DATA_DIR")
    gin_config.parse_bindings(bindings)


def bind_dataset(
    info: dataset_info.DatasetInfo, *, sources: gin_config.Sources
) -> None:
    """Sets the macros that a dataset decides; the command line's own stay.

    Raises:
        gin_config.ConfigError: If a file of the user's own sets one to another value.
    """
    on_command_line = {gin_config.bound_name(text) for text in sources.bindings}
    for name, value in info.macros().items():
        if name in on_command_line:
            continue
        own_file = _own_file_that_sets(name, sources)
        bound = gin_config.macro_value(name)
        if name in RATE_MACROS and own_file and bound != value:
            raise gin_config.ConfigError(
                f"{own_file} says {name} = {bound!r}, but the dataset at "
                f"{info.data_dir} has {name} = {value!r}; remove the line, or prepare "
                "a dataset with it."
            )
        gin_config.bind_macro(name, value)


def check_rates(info: dataset_info.DatasetInfo) -> None:
    """Checks every bound rate and length against the dataset's.

    Raises:
        gin_config.ConfigError: If one differs.
    """
    for name in RATE_MACROS:
        stated = gin_config.macro_value(name)
        if stated != info.macros()[name]:
            raise gin_config.ConfigError(
                f"--gin_param={name}={stated} contradicts the dataset at "
                f"{info.data_dir}, which has {info.macros()[name]}; leave it out: the "
                "dataset says rates and lengths."
            )
    # Parameters bound to a number, whatever class they belong to.
    for (scope, selector), bound in gin_config.current().items():
        if selector.startswith("gin."):
            continue
        for name in RATE_PARAMETERS.keys() & bound.keys():
            stated = copy.deepcopy(bound[name])
            actual = getattr(info, RATE_PARAMETERS[name])
            if isinstance(stated, int | float) and stated != actual:
                short = selector.rsplit(".", 1)[-1]
                where = f"{scope}/{short}" if scope else short
                raise gin_config.ConfigError(
                    f"{where}.{name} = {stated} contradicts the dataset at "
                    f"{info.data_dir}, which has {actual}; use a gin file that takes "
                    "its rates from the dataset, or say "
                    f"--gin_param={where}.{name}={actual}."
                )


def _own_file_that_sets(name: str, sources: gin_config.Sources) -> str | None:
    """The user's own gin file, if any, that sets a macro last."""
    files = gin_contents.texts(sources.gin_files, sources.search_paths).values()
    setters = [
        str(file.path.resolve())
        for file in files
        if file.path
        and not file.path.resolve().is_relative_to(gin_config.SHIPPED)
        and re.search(rf"^{name}\s*=", file.text, re.MULTILINE)
    ]
    return setters[-1] if setters else None


@gin.register(module="models.rates")
def n_samples_of(secs: float, rate: int) -> int:
    """Samples in a stretch of time.

    Args:
        secs: Seconds, above 0.
        rate: Samples per second.

    Returns:
        The nearest whole number of samples.

    Raises:
        ValueError: If that is less than one sample.
    """
    n_samples = round(secs * rate)
    if n_samples < 1:
        raise ValueError(
            f"{secs} s at {rate} Hz is {secs * rate:.3f} samples, below one."
        )
    return n_samples
