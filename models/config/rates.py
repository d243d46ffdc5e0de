"""Lengths in samples from lengths in seconds, for gin files, which do no arithmetic."""

import gin


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
