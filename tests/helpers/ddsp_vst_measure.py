"""How a model exported for DDSP-VST plays the recording that the plug-in comes with.

    python -m tests.helpers.ddsp_vst_measure plugin/flute.tflite ddsp_vst/

The plug-in's tracker hears the recording, the model plays what it hears through a port
of the plug-in's synths, and the tracker hears that again. Prints how far level and
pitch are the same, the size of the file, and the time of a call, of which there is one
every 20 ms.
"""

import json
import pathlib
import sys
import time

import numpy as np
import soundfile
import soxr

from tests.helpers import ddsp_vst_player as player

LAG = 2  # hops until what is played is heard in the middle of a frame
QUIET_DB = 12.0  # below the model's softest notes; what is fainter does not count
N_CALLS = 400


def measure(model: pathlib.Path, folder: pathlib.Path) -> dict[str, float]:
    """Plays the recording and compares.

    Args:
        model: The .tflite file.
        folder: With the plug-in's tracker and its recording.
    """
    content = model.read_bytes()
    ears = player.Ears(folder / "extract_features_micro.tflite")
    audio, rate = soundfile.read(folder / "ddsp_input_48k.wav", always_2d=True)
    audio_16k = soxr.resample(audio.mean(axis=1), rate, player.RATE)

    # What is heard, and what is heard of the model that plays it.
    f0_hz, pw_scaled = player.listen(ears, audio_16k)
    played_hz, played_scaled = player.listen(
        ears, player.play(content, f0_hz, pw_scaled)
    )
    last = len(f0_hz) - LAG
    asked, found = (
        80.0 * (curve - 1.0) for curve in (pw_scaled[:last], played_scaled[LAG:][:last])
    )
    softest = player.read_metadata(model)["mean_min_power_note"]
    loud = asked > softest - QUIET_DB
    cents = 1200.0 * np.log2(played_hz[LAG:][:last] / f0_hz[:last])[loud]
    return {
        "level_correlation": float(np.corrcoef(asked[loud], found[loud])[0, 1]),
        "level_difference_db": float(np.median(found[loud] - asked[loud])),
        "pitch_median_cents": float(np.median(np.abs(cents))),
        "file_mb": len(content) / 1e6,
        "call_us": 1e6 * _time_calls(content),
    }


def _time_calls(content: bytes) -> float:
    """Median seconds of a call on one thread."""
    interpreter = player.interpreter(content)
    spent = []
    for _ in range(N_CALLS):
        begin = time.perf_counter()
        interpreter.invoke()
        spent.append(time.perf_counter() - begin)
    return float(np.median(spent))


if __name__ == "__main__":
    found = measure(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
    print(json.dumps({key: round(value, 3) for key, value in found.items()}))
