"""What this machine's processor can multiply, as its operating system tells."""

import pathlib

_CPU_FACTS = pathlib.Path("/proc/cpuinfo")
# Of Intel's and AMD's processors, and of Arm's.
_BFLOAT16_FLAGS = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
SLOWER = (
    "this processor has neither AMX nor AVX512-BF16, so products in bfloat16 are "
    "slower here than those in float32."
)


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
