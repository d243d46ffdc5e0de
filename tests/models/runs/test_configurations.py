"""What a saved configuration binds, and what another binds differently."""

from models.runs import configurations


def test_what_two_configurations_bind_differently_is_named():
    before = (
        "import models.registry\n\n# Macros:\n# ====\nbatch_size = 4\n"
        "SPLITS = \\\n    (('amps', 1),\n     ('noise', 65))\n\n"
        "# Parameters for Lessons:\nlate/Lessons.steps = 0\nOnly.before = 1\n"
    )
    assert configurations.changed(before, before) == []
    after = before.replace("65", "33").replace("steps = 0", "steps = 600")
    after = after.replace("Only.before", "Only.after")
    assert configurations.changed(before, after) == ["SPLITS", "late/Lessons.steps"]
