"""DDSP-VST without the plug-in: its calling sequence and its two synths in NumPy.

Own code after the description of the plug-in (magenta/ddsp-vst, src/audio): frames of
1024 samples every 320 at 16 kHz; harmonics whose pitch and amplitudes move in the first
half of a hop and then stand; noise through a filter of 128 taps, each hop by itself.
"""

import json
import warnings
import zipfile

import numpy as np
import tensorflow as tf

RATE, FRAME, HOP = 16000, 1024, 320
N_FFT = 512  # of the noise's convolution, circular
OUTPUTS = ("amplitude", "harmonics", "noise", "state")


def scale_pitch(f0_hz):
    """Pitch as the plug-in hands it over: MIDI / 127, within its limits in Hz."""
    limited = np.clip(f0_hz, 8.18, 12543.84)
    return (12.0 * np.log2(limited / 440.0) + 69.0) / 127.0


def interpreter(content):
    """A TensorFlow Lite interpreter on one thread, as the plug-in's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a future package name
        made = tf.lite.Interpreter(model_content=content, num_threads=1)
    made.allocate_tensors()
    return made


def read_metadata(path):
    """The JSON in the zip behind a model."""
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("metadata.json"))


class Controls:
    """A model's step: finds tensors by name and carries the state by hand."""

    def __init__(self, content):
        self._run = interpreter(content)
        self._inputs = {x["name"]: x["index"] for x in self._run.get_input_details()}
        self._outputs = {x["name"]: x["index"] for x in self._run.get_output_details()}
        self.reset()

    def reset(self):
        self.state = np.zeros(512, np.float32)

    def step(self, f0_scaled, pw_scaled):
        """One frame; amplitude, harmonics, noise."""
        for name, value in (
            ("call_f0_scaled:0", [f0_scaled]),
            ("call_pw_scaled:0", [pw_scaled]),
            ("call_state:0", self.state),
        ):
            self._run.set_tensor(self._inputs[name], np.asarray(value, np.float32))
        self._run.invoke()
        found = [
            self._run.get_tensor(self._outputs[f"StatefulPartitionedCall:{number}"])
            for number in range(4)
        ]
        self.state = found[3]
        return float(found[0][0]), found[1], found[2]


class Ears:
    """The plug-in's own pitch tracker (TensorFlow Lite)."""

    def __init__(self, path):
        self._run = interpreter(path.read_bytes())
        self._input = self._run.get_input_details()[0]["index"]
        self._outputs = {
            int(x["name"].rpartition(":")[2]): x["index"]
            for x in self._run.get_output_details()
        }

    def __call__(self, frame):
        """1024 samples -> pitch in Hz, power as the model is told it."""
        self._run.set_tensor(self._input, frame.astype(np.float32))
        self._run.invoke()
        found = [
            float(self._run.get_tensor(index).reshape(-1)[0])
            for _, index in sorted(self._outputs.items())
        ]
        f0_hz, _, _, pw_scaled = found
        return f0_hz, pw_scaled


class Synths:
    """Harmonics and noise of one hop after another."""

    def __init__(self, seed=42):
        self._rng = np.random.default_rng(seed)
        self._phase = 0.0
        self._f0_hz = None
        self._amplitudes = np.zeros(60)

    def harmonic(self, amplitude, harmonics, f0_hz):
        """320 samples; harmonics from 8 kHz on are left out, the rest sums to 1."""
        number = np.arange(1, len(harmonics) + 1)
        shares = np.where(number * f0_hz >= RATE / 2, 0.0, harmonics)
        if shares.sum() > 0:
            shares = shares / shares.sum()
        loud = amplitude * shares
        before = f0_hz if self._f0_hz is None else self._f0_hz
        pitch = self._move(before, f0_hz)
        phase = self._phase + np.cumsum(2 * np.pi / RATE * pitch)
        envelope = self._move(self._amplitudes, loud)
        self._phase, self._f0_hz, self._amplitudes = phase[-1], f0_hz, loud
        return np.sum(np.sin(phase[:, None] * number) * envelope, axis=1)

    def noise(self, magnitudes):
        """320 samples of white noise through one frame's filter."""
        n_taps = 2 * (len(magnitudes) - 1)
        response = np.roll(np.fft.irfft(magnitudes, n_taps), n_taps // 2)
        response = response * np.hanning(n_taps + 1)[:-1]
        white = self._rng.uniform(-1.0, 1.0, N_FFT)
        product = np.fft.rfft(white) * np.fft.rfft(response, N_FFT)
        lead = (n_taps - 1) // 2 - 1
        return np.fft.irfft(product, N_FFT)[lead : lead + HOP]

    @staticmethod
    def _move(first, last):
        """From one value to the next in the first half of a hop, then standing."""
        way = np.minimum(np.arange(HOP) / (HOP // 2), 1.0)
        first, last = np.asarray(first), np.asarray(last)
        if first.ndim:
            way = way[:, None]
        return first + (last - first) * way


def play(content, f0_hz, pw_scaled):
    """Plays curves of pitch and scaled power, a value a hop; returns audio."""
    controls, synths, parts = Controls(content), Synths(), []
    for pitch, power in zip(f0_hz, pw_scaled, strict=True):
        amplitude, harmonics, noise = controls.step(scale_pitch(pitch), power)
        parts.append(synths.harmonic(amplitude, harmonics, pitch) + synths.noise(noise))
    return np.concatenate(parts)


def listen(ears, audio_16k):
    """Pitch and scaled power of each hop's frame, as the plug-in's loop has them."""
    padded = np.concatenate([np.zeros(FRAME, np.float32), audio_16k])
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    return np.array([ears(frame) for frame in frames]).T
