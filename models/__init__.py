"""Everything gin can build on top of ddsp, and the program that trains it.

Begin at `models.autoencoder`, the model of every rung, or at `models.training.session`,
a training from its request to its end. `models.registry` lists the names gin knows.
"""

import ddsp_compat  # noqa: F401  (before TensorFlow)
