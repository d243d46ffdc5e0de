"""Writes odd recordings as people have them; PyAV encodes what soundfile does not."""

import fractions
import io
import pathlib
import struct

import av
import numpy as np
import soundfile

RATE = 44100


def tone(f0_hz=440.0, *, secs=2.0, rate=RATE, level=0.3, n_harmonics=1):
    """A steady note with some noise; float32 [n]."""
    time = np.arange(round(secs * rate)) / rate
    partials = range(1, n_harmonics + 1)
    sound = sum(np.sin(2 * np.pi * f0_hz * k * time) / k for k in partials)
    noise = np.random.default_rng(0).standard_normal(len(time))
    return (level * sound / n_harmonics**0.5 + 1e-4 * noise).astype(np.float32)


def encode(path, audio, *, codec, container, rate=RATE, video=False):
    """Writes a file with FFmpeg.

    Args:
        path: Of the file.
        audio: At `RATE`, float32, [n] or [n, 2].
        codec: FFmpeg's name.
        container: FFmpeg's name.
        rate: Samples/s in the file.
        video: Whether black pictures come before the sound.
    """
    layout = "mono" if audio.ndim == 1 else "stereo"
    with av.open(str(path), "w", format=container) as file:
        # Every stream is there before the first packet, or FFmpeg crashes.
        pictures = _add_pictures(file) if video else None
        stream = file.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = 128_000
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(audio).reshape(1, -1), format="flt", layout=layout
        )
        frame.sample_rate, frame.pts = RATE, 0
        frame.time_base = fractions.Fraction(1, RATE)
        stream.codec_context.open()
        if pictures is not None:
            for _ in range(int(len(audio) / RATE * 25)):
                file.mux(pictures.encode(_black()))
            file.mux(pictures.encode(None))
        resampler = av.AudioResampler(
            format=stream.codec_context.format.name,
            layout=layout,
            rate=rate,
            frame_size=stream.codec_context.frame_size or None,
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return path


def film(path):
    """Writes pictures without sound."""
    with av.open(str(path), "w", format="mp4") as file:
        pictures = _add_pictures(file)
        for _ in range(10):
            file.mux(pictures.encode(_black()))
        file.mux(pictures.encode(None))


def _add_pictures(file):
    stream = file.add_stream("mpeg4", rate=25)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    return stream


def _black():
    return av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")


def as_bytes(audio, *, container, subtype, rate=RATE):
    """A file of libsndfile's as bytes."""
    buffer = io.BytesIO()
    soundfile.write(buffer, audio, rate, format=container, subtype=subtype)
    return buffer.getvalue()


def chunk(name, content, *, padded=True):
    """A RIFF chunk; of odd length without its last byte if not `padded`."""
    fill = b"\0" * (len(content) % 2 if padded else 0)
    return name + struct.pack("<I", len(content)) + content + fill


def riff(*chunks):
    """A wav file of chunks."""
    content = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content)) + content


def wav_format(*, tag=1, channels=1, rate=RATE, bits=16):
    """A format chunk."""
    frame_bytes = channels * bits // 8
    return chunk(
        b"fmt ",
        struct.pack(
            "<HHIIHH",
            tag,
            channels & 0xFFFF,
            rate,
            rate * frame_bytes & 0xFFFFFFFF,
            frame_bytes & 0xFFFF,
            bits,
        ),
    )


def pcm16(audio):
    """Samples as 16-bit integers."""
    return np.round(audio * 32767).astype("<i2").tobytes()


def unknown_length(flac: bytes) -> bytes:
    """A flac file as a pipe leaves it, whose header says 0 samples."""
    data = bytearray(flac)
    data[21] &= 0xF0
    data[22:26] = b"\0" * 4
    return bytes(data)


def write(path: pathlib.Path, data: bytes) -> pathlib.Path:
    """Writes bytes; returns the path."""
    path.write_bytes(data)
    return path
