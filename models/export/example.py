"""Plays an exported model; needs nothing of the project that it was trained with.

    python load_example.py            plays with TensorFlow (any length at once)
    python load_example.py --lite     plays frame by frame with TensorFlow Lite

Writes example.wav beside this file: a rising scale.
"""

import json
import pathlib
import sys
import wave

import numpy as np

FOLDER = pathlib.Path(__file__).resolve().parent
CARD = json.loads((FOLDER / "model_card.json").read_text("utf-8"))
FRAME_RATE, HOP = CARD["frame_rate"], CARD["hop_size"]
LEVEL = "power_db" if "power_db" in CARD["inputs"] else "loudness_db"


def make_scale():
    """Pitch, level and confidence of eight notes, [n_frames] each."""
    n_note = FRAME_RATE // 2
    steps = np.repeat([0, 2, 4, 5, 7, 9, 11, 12], n_note)
    place = np.arange(steps.size) % n_note / n_note
    f0_hz = 440.0 * 2.0 ** (steps / 12.0)
    level_db = np.where(place < 0.85, -25.0 - 5.0 * place, -70.0)
    f0_confidence = np.where(place < 0.85, 0.95, 0.1)
    return [x.astype(np.float32) for x in (f0_hz, level_db, f0_confidence)]


def play_at_once(f0_hz, level_db, f0_confidence, noise):
    """The whole performance in one call, with the reverb."""
    import tensorflow as tf

    synth = tf.saved_model.load(str(FOLDER / "synth")).signatures["serving_default"]
    played = synth(
        f0_hz=tf.constant(f0_hz[np.newaxis]),
        **{LEVEL: tf.constant(level_db[np.newaxis])},
        f0_confidence=tf.constant(f0_confidence[np.newaxis]),
        noise=tf.constant(noise[np.newaxis]),
        reverb_gain=tf.constant(1.0),
    )
    return played["audio"].numpy()[0]


def play_frame_by_frame(f0_hz, level_db, f0_confidence, noise):
    """One frame a call, as a live instrument would; dry."""
    try:
        from ai_edge_litert import interpreter as lite
    except ImportError:
        from tensorflow import lite
    runner = lite.Interpreter(str(FOLDER / "step.tflite")).get_signature_runner()
    state = np.zeros(CARD["step"]["n_state"], np.float32)
    parts = []
    for frame in range(len(f0_hz)):
        now = slice(frame, frame + 1)
        played = runner(
            f0_hz=f0_hz[now],
            **{LEVEL: level_db[now]},
            f0_confidence=f0_confidence[now],
            noise=noise[frame * HOP : (frame + 1) * HOP],
            state=state,
        )
        state = played["state"]
        parts.append(played["harmonic"] + played["noise_audio"])
    return np.concatenate(parts[CARD["latency_frames"] :])


def main():
    """Plays the scale and writes it."""
    features = make_scale()
    noise = np.random.default_rng(0).uniform(-1, 1, len(features[0]) * HOP)
    play = play_frame_by_frame if "--lite" in sys.argv else play_at_once
    f0_hz, level_db, f0_confidence = features
    audio = play(f0_hz, level_db, f0_confidence, noise.astype(np.float32))
    with wave.open(str(FOLDER / "example.wav"), "wb") as file:
        file.setparams((1, 2, CARD["sample_rate"], 0, "NONE", ""))
        file.writeframes((np.clip(audio, -1, 1) * 32767).astype("<i2").tobytes())
    print(f"{len(audio) / CARD['sample_rate']:.2f} s, peak {np.abs(audio).max():.4f}")


if __name__ == "__main__":
    main()
