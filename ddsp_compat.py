"""Makes `import ddsp` work on current TensorFlow; the first import of every program.

ddsp 3.7.0 was written for Keras 2 and imports the `crepe` package at the top of two
modules. TensorFlow 2.21 brings Keras 3, and `crepe` downloads its weights from a code
host while it is being built, so it cannot be installed from a package index alone.
Importing this module

- asks TensorFlow for Keras 2 (tf-keras), which must happen before TensorFlow is
  imported, and
- where no `crepe` is installed, offers this project's own CREPE under that name, with
  the functions and signatures that ddsp calls (see `prep.crepe_api`),
- puts off what ddsp imports for reports, clouds and MIDI alone until it is touched:
  four tenths of a start's time, a quarter of its memory (`load_deferred` undoes it),
- bounds the arenas of glibc's allocator, of which every thread of TensorFlow's would
  keep its own with what compiling kernels has freed, and
- keeps the lines off the terminal that TensorFlow writes about absent GPUs while it is
  imported, which no setting of its own does. What else is said there still appears.
  `TF_CPP_MIN_LOG_LEVEL=0` in the environment shows all of it.

Nothing heavy is imported here: TensorFlow loads when it is first used.
"""

import collections.abc
import contextlib
import ctypes
import importlib.abc
import importlib.machinery
import importlib.util
import os
import pathlib
import re
import sys
import tempfile
import threading
import types
import warnings

LEGACY_KERAS = "TF_USE_LEGACY_KERAS"
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# What TensorFlow says at every start of a machine without a GPU.
_START_UP_LINES = re.compile(
    r"WARNING: All log messages before absl::InitializeLog"
    r"|oneDNN custom operations are on"
    r"|Could not find cuda drivers"
    r"|failed call to cuInit"
    r"|This TensorFlow binary is optimized to use available CPU instructions"
    r"|To enable the following instructions"
    r"|computation_placer.*already registered"
    r"|Unable to register cu\w+ (plugin|factory)"
)
_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h
N_ARENAS = 2  # large tensors bypass them, so threads hardly wait for one another
_CREPE_NAMES = ("crepe", "crepe.core")
# Modules that ddsp.training and Keras import and a training does not touch. None of
# them registers names with gin, which must know those beforehand.
DEFERRED = (
    "ddsp.training.cloud",
    "ddsp.training.metrics",
    "ddsp.training.plotting",
    "ddsp.training.postprocessing",
    "ddsp.training.summaries",
    "h5py",
    "note_seq",
    "pandas",
    "requests",
    "scipy.ndimage",
    "tensorflow_datasets",
    "tensorflow_probability.python.experimental",
)
_OWN_CREPE = pathlib.Path(__file__).resolve().parent / "prep" / "crepe.py"


def use_legacy_keras() -> None:
    """Makes `tf.keras` Keras 2.

    Raises:
        RuntimeError: If TensorFlow was imported before, with Keras 3.
    """
    if os.environ.get(LEGACY_KERAS, "").lower() in ("1", "true"):
        return
    if "tensorflow" in sys.modules:
        raise RuntimeError(
            "TensorFlow was imported before ddsp_compat, so tf.keras is Keras 3 and "
            "ddsp's layers cannot be built; write `import ddsp_compat` above every "
            f"import of tensorflow or ddsp, or set {LEGACY_KERAS}=1 in the environment."
        )
    os.environ[LEGACY_KERAS] = "1"


def _crepe_is_installed() -> bool:
    """Whether a real `crepe` package can be imported.

    A program started as `python prep/run_beam.py` has prep/ first on its path, where
    our own crepe.py would answer to the name.
    """
    for entry in sys.path:
        spec = importlib.machinery.PathFinder.find_spec("crepe", [entry])
        if spec is None or spec.origin is None:
            continue
        if pathlib.Path(spec.origin).resolve() != _OWN_CREPE:
            return True
    return False


def _stand_in(name: str) -> types.ModuleType:
    """An importable module whose attributes come from `prep.crepe_api` on demand."""

    def from_api(attribute: str) -> object:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        from prep import crepe_api  # TensorFlow: only when a function is called for

        try:
            return getattr(crepe_api, attribute)
        except AttributeError:
            raise AttributeError(
                f"{name}.{attribute} is not part of ddsp-ladder's stand-in for crepe; "
                f"it has {', '.join(crepe_api.__all__)}."
            ) from None

    module = types.ModuleType(name, doc=__doc__)
    module.__getattr__ = from_api  # type: ignore[method-assign]
    module.__spec__ = importlib.machinery.ModuleSpec(name, loader=None)
    return module


def offer_crepe() -> None:
    """Registers the stand-in for `crepe` unless a real one is installed."""
    if "crepe" in sys.modules or _crepe_is_installed():
        return
    package, core = (_stand_in(name) for name in _CREPE_NAMES)
    package.__path__ = []
    package.core = core  # type: ignore[attr-defined]
    sys.modules.update(zip(_CREPE_NAMES, (package, core), strict=True))


def bound_arenas() -> None:
    """Bounds the arenas of threads to come, unless the environment already does."""
    if "MALLOC_ARENA_MAX" in os.environ:
        return
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").mallopt(_ARENA_MAX, N_ARENAS)


@contextlib.contextmanager
def _start_up_lines_held() -> collections.abc.Iterator[None]:
    """Holds what is written to stderr, from C++ too, then lets the rest through."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        terminal = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            held.seek(0)
            lines = held.read().decode(errors="replace").splitlines(keepends=True)
            kept = (line for line in lines if not _START_UP_LINES.search(line))
            os.write(terminal, "".join(kept).encode())
            os.close(terminal)


class _QuietLoader(importlib.abc.Loader):
    """Imports a module with `_start_up_lines_held`, and asks it for its devices."""

    def __init__(self, loader: importlib.abc.Loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self._loader
        with _start_up_lines_held():
            self._loader.exec_module(module)
            module.config.list_physical_devices("GPU")  # says so where there is none


class _QuietFinder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow as others do, once, and has it imported quietly."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _QuietLoader(spec.loader)
        return spec


def import_tensorflow_quietly() -> None:
    """Sees to it that TensorFlow's start-up lines do not reach the terminal."""
    if "tensorflow" not in sys.modules and os.environ.get(LOG_LEVEL) != "0":
        sys.meta_path.insert(0, _QuietFinder())
    os.environ.setdefault(LOG_LEVEL, "1")


class _DeferredModule(types.ModuleType):
    """A module that is executed when the first of its names is asked for.

    The standard library's LazyLoader does so too, but executes the module also when
    only `__file__` is looked at, as `inspect` does with all modules, and twice where
    two threads meet in it.
    """

    def __getattr__(self, name: str) -> object:
        dunder = name.startswith("__") and name not in ("__all__", "__version__")
        if dunder or not _execute(self):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(self, name)


class _DeferringLoader(importlib.abc.Loader):
    """Leaves a module unexecuted, with all that is needed to do it later."""

    def __init__(self, loader: importlib.abc.Loader):
        self._loader = loader

    def create_module(self, spec):
        return _DeferredModule(spec.name)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self._loader
        module.__dict__.update(_lock=threading.RLock(), _is_executing=False)


def _execute(module: _DeferredModule) -> bool:
    """Executes a deferred module once; other threads wait until it is done.

    Returns:
        False where it is this thread that is in the midst of executing it.
    """
    facts = module.__dict__
    with facts["_lock"]:
        if facts["_is_executing"]:
            return False
        if isinstance(module, _DeferredModule):
            facts["_is_executing"] = True
            try:
                module.__spec__.loader.exec_module(module)  # type: ignore[union-attr]
                module.__class__ = types.ModuleType  # type: ignore[assignment]
            finally:
                facts["_is_executing"] = False
    return True


class _DeferringFinder(importlib.abc.MetaPathFinder):
    """Finds the modules of `DEFERRED`, and executes them before their submodules."""

    def find_spec(self, fullname, path=None, target=None):
        parent = sys.modules.get(fullname.rpartition(".")[0])
        if isinstance(parent, _DeferredModule):
            _execute(parent)
        if fullname not in DEFERRED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _DeferringLoader(spec.loader)
        return spec


def load_deferred() -> None:
    """Executes all that was imported and put off, as ddsp does without this module."""
    for name in DEFERRED:
        module = sys.modules.get(name)
        if isinstance(module, _DeferredModule):
            _execute(module)


# pydub looks for ffmpeg when it is imported; audio is read by soundfile here.
warnings.filterwarnings(
    "ignore", message="Couldn't find ffmpeg", category=RuntimeWarning
)
# ddsp and tensorflow-probability still import pkg_resources.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
use_legacy_keras()
bound_arenas()
offer_crepe()
import_tensorflow_quietly()
sys.meta_path.insert(0, _DeferringFinder())
