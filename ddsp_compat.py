"""Makes `import ddsp` work on current TensorFlow; the first import of every program.

ddsp 3.7.0 was written for Keras 2 and imports the `crepe` package at the top of two
modules. TensorFlow 2.21 brings Keras 3, and `crepe` downloads its weights from a code
host while it is being built, so it cannot be installed from a package index alone.
Importing this module

- asks TensorFlow for Keras 2 (tf-keras), which must happen before TensorFlow is
  imported, and
- where no `crepe` is installed, offers this project's own CREPE under that name, with
  the functions and signatures that ddsp calls (see `prep.crepe_api`).

Nothing heavy is imported here: TensorFlow loads when it is first used.
"""

import importlib.machinery
import importlib.util
import os
import pathlib
import sys
import types
import warnings

LEGACY_KERAS = "TF_USE_LEGACY_KERAS"
_CREPE_NAMES = ("crepe", "crepe.core")
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


# No start-up lines about absent GPUs.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
# pydub looks for ffmpeg when it is imported; audio is read by soundfile here.
warnings.filterwarnings(
    "ignore", message="Couldn't find ffmpeg", category=RuntimeWarning
)
# ddsp and tensorflow-probability still import pkg_resources.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
use_legacy_keras()
offer_crepe()
