"""Makes `import ddsp` work on current TensorFlow.

ddsp 3.7.0 was written for Keras 2 and imports the `crepe` package at the top of two
modules. TensorFlow 2.21 brings Keras 3, and `crepe` downloads its weights from a code
host while it is being built, so it cannot be installed from a package index alone.
Importing this module, as `models` and `evaluation` do before anything else,

- sets up TensorFlow (see `prep.tensorflow_setup`), and with it Keras 2,
- where no `crepe` is installed, offers this project's own CREPE under that name, with
  the functions and signatures that ddsp calls (see `prep.pitch.crepe_package`), and
- defers what ddsp imports for reports, clouds and MIDI alone until it is touched:
  four tenths of a start's time, a quarter of its memory (`load_deferred` undoes it).

Nothing heavy is imported here: TensorFlow loads when it is first used.
"""

import importlib.abc
import importlib.machinery
import sys
import threading
import types
import warnings

from prep import tensorflow_setup  # noqa: F401  (before TensorFlow)

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
    "tensorflow_datasets",
    "tensorflow_probability.python.experimental",
)


def _crepe_is_installed() -> bool:
    """Returns whether a real `crepe` package can be imported."""
    return importlib.machinery.PathFinder.find_spec("crepe") is not None


def _stand_in(name: str) -> types.ModuleType:
    """Makes a module whose attributes come from `prep.pitch.crepe_package`."""

    def from_api(attribute: str) -> object:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        from prep.pitch import (
            crepe_package,  # TensorFlow: only when a function is called for
        )

        try:
            return getattr(crepe_package, attribute)
        except AttributeError:
            raise AttributeError(
                f"{name}.{attribute} is not part of ddsp-ladder's stand-in for crepe; "
                f"it has {', '.join(crepe_package.__all__)}."
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
offer_crepe()
sys.meta_path.insert(0, _DeferringFinder())
