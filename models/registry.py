"""Imports every module whose names gin knows; `import models.registry` in a gin file.

The names are fixed strings (`@gin.register(module="models.heads")`), so files may move
while configurations stay. This table says where each name is defined:

| gin name | defined in |
|---|---|
| `models.autoencoder` | models/autoencoder.py |
| `models.conditioning`, `models.controls` | models/controls/ |
| `models.heads`, `models.smoothing` | models/controls/ |
| `models.data` | models/data/provider.py |
| `models.decoders` | models/decoders/ |
| `models.dense`, `models.gru` | models/layers/ |
| `models.effects` | models/synths/reverb.py |
| `models.losses`, `models.regularizers`, `models.spectral` | models/losses/ |
| `models.loop`, `models.trainer` | models/training/options.py |
| `models.teaching` | models/teaching/lessons.py |
| `models.noise`, `models.synths` | models/synths/noise.py, harmonic.py |
| `models.rates` | models/config/gin_dataset.py |
| `models.schedules` | models/schedules.py |
"""

# ruff: noqa: F401
from models import autoencoder
from models import schedules
from models.config import gin_dataset
from models.controls import conditioning
from models.controls import control_smoothing
from models.controls import heads
from models.controls import smoothing
from models.data import provider
from models.decoders import mlp
from models.decoders import recurrent
from models.decoders import transformer
from models.layers import dense
from models.layers import gru
from models.losses import regularizers
from models.losses import spectral
from models.losses import teacher
from models.losses import terms
from models.synths import harmonic
from models.synths import noise
from models.synths import reverb
from models.teaching import lessons
from models.training import options
