"""Controls of given shares, for values worked by hand."""

import numpy as np

from models.measures import control_arrays

SAMPLE_RATE, FRAME_RATE = 16000, 250


def played(
    shares, *, amps=1.0, noise_power=0.0, f0_hz=500.0, frame_rate=FRAME_RATE
) -> control_arrays.ControlArrays:
    """Controls of shares [n_frames, n_harmonics]; numbers stand for all frames."""
    shares = np.asarray(shares, float)
    full = lambda values: np.broadcast_to(np.asarray(values, float), len(shares)).copy()
    return control_arrays.ControlArrays(
        f0_hz=full(f0_hz),
        amps=full(amps),
        harmonic_distribution=shares,
        noise_power=full(noise_power),
        sample_rate=SAMPLE_RATE,
        frame_rate=frame_rate,
    )
