"""Sets up TensorFlow for this project when it is imported; must come before TensorFlow.

`prep` imports it first, so any import of this project's does. It

- asks TensorFlow for Keras 2 (tf-keras), which ddsp's layers are written for,
- bounds the arenas of glibc's allocator: every thread of TensorFlow's would keep one
  of its own, with what compiling kernels has freed,
- lets the allocator keep what a step frees for the next one: the system would have to
  clear the same pages again, some 20 MB of them in every step of a small model, and
- keeps the lines off the terminal that TensorFlow writes about absent GPUs while it is
  imported, which no setting of its own does. Other lines still appear, and
  `TF_CPP_MIN_LOG_LEVEL=0` in the environment shows all of them, and
- says so in a sentence when the machine has an NVIDIA device that TensorFlow does not
  see.

It also tells whether TensorFlow's products in bfloat16 gain anything on this processor,
and whether kernels are compiled. Nothing heavy is imported here.
"""

import collections.abc
import contextlib
import ctypes
import importlib.abc
import importlib.util
import os
import pathlib
import re
import sys
import tempfile

LEGACY_KERAS = "TF_USE_LEGACY_KERAS"
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
XLA = "DDSP_LADDER_XLA"
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
# What the kernel shows of NVIDIA's driver and of the first device.
_NVIDIA_SIGNS = ("/proc/driver/nvidia/version", "/dev/nvidia0")
_UNSEEN_GPU = (
    "ddsp-ladder: this machine has an NVIDIA device and TensorFlow does not see it, so "
    "the processor computes. `make setup GPU=1` installs TensorFlow's CUDA libraries; "
    "if they are there, see with nvidia-smi whether the driver works. "
    "CUDA_VISIBLE_DEVICES=-1 leaves the device out without a word.\n"
)
_CPU_FACTS = pathlib.Path("/proc/cpuinfo")
# Of Intel's and AMD's processors, and of Arm's.
_BFLOAT16_FLAGS = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
BFLOAT16_IS_SLOWER = (
    "this processor has neither AMX nor AVX512-BF16, so products in bfloat16 are "
    "slower here than those in float32."
)
# Parameters of mallopt in glibc's malloc.h; the environment can set them too.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
N_ARENAS = 2  # threads hardly wait for one another: they allocate seldom, and much
KEPT_BYTES = 512 << 20  # freed memory that stays with the process
MAPPED_BYTES = 32 << 20  # arrays from this size come from the system; glibc's largest


def use_legacy_keras() -> None:
    """Makes `tf.keras` Keras 2.

    Raises:
        RuntimeError: If TensorFlow was imported before, with Keras 3.
    """
    if os.environ.get(LEGACY_KERAS, "").lower() in ("1", "true"):
        return
    if "tensorflow" in sys.modules:
        raise RuntimeError(
            "TensorFlow was imported before ddsp-ladder, so tf.keras is Keras 3 and "
            "ddsp's layers cannot be built; write `import ddsp_compat` above every "
            f"import of tensorflow or ddsp, or set {LEGACY_KERAS}=1 in the environment."
        )
    os.environ[LEGACY_KERAS] = "1"


def set_up_allocator() -> None:
    """Sets glibc's allocator, but for what the environment decides."""
    settings = (
        ("MALLOC_ARENA_MAX", _ARENA_MAX, N_ARENAS),
        ("MALLOC_TRIM_THRESHOLD_", _TRIM_THRESHOLD, KEPT_BYTES),
        ("MALLOC_MMAP_THRESHOLD_", _MMAP_THRESHOLD, MAPPED_BYTES),
    )
    with contextlib.suppress(OSError, AttributeError):  # another C library
        library = ctypes.CDLL("libc.so.6")
        for variable, parameter, value in settings:
            if variable not in os.environ:
                library.mallopt(parameter, value)


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
            # Says so where there is none.
            gpus = module.config.list_physical_devices("GPU")
        if not gpus and gpu_is_hidden_from_tensorflow():
            sys.stderr.write(_UNSEEN_GPU)


def compiles_kernels() -> bool:
    """Tells whether XLA compiles this project's kernels.

    `DDSP_LADDER_XLA=0` in the environment leaves them to TensorFlow's executor: they
    begin at once, and take longer ever after. Fast tests and a debugger want that.
    """
    return os.environ.get(XLA) != "0"


def gpu_is_hidden_from_tensorflow() -> bool:
    """Tells whether there is an NVIDIA device that nobody has chosen to leave out."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return chosen not in ("", "-1") and any(map(os.path.exists, _NVIDIA_SIGNS))


def lacks_bfloat16(facts: pathlib.Path = _CPU_FACTS) -> bool:
    """Tells whether the processor is known to have no products in bfloat16.

    Args:
        facts: Linux's description of the processors.

    Returns:
        False also where the system does not say, as on macOS.
    """
    try:
        lines = facts.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return False
    # "flags" on x86, "Features" on Arm, once a core.
    flags = [
        set(line.partition(":")[2].split())
        for line in lines
        if line.startswith(("flags", "Features"))
    ]
    return bool(flags) and not flags[0] & _BFLOAT16_FLAGS


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


use_legacy_keras()
set_up_allocator()
import_tensorflow_quietly()
