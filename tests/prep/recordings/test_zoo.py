"""Recordings as people have them, each held to its answer."""

import re
import struct

import numpy as np
import pytest
import soundfile

from prep.recordings import decode
from prep.recordings import ffmpeg
from prep.recordings import find
from prep.recordings import pitch_range
from prep.recordings import probe as probe_lib
from prep.recordings import recording as recordings_lib
from tests.helpers import programs
from tests.helpers import zoo

TONE = zoo.tone()
LEVEL = 0.06  # of 1, that LAME's mp3 is fainter than what went in
CODEC_SECS = 0.06  # that a lossy codec may add at the ends


def probe(path, **changed):
    values = {"min_loudness_db": -50.0, "min_input_rate": 16000, **changed}
    return probe_lib.probe_recording(str(path), path.name, **values)


def recording_of(path, **changed):
    result = probe(path, **changed)
    assert isinstance(result, recordings_lib.Probe), result.reason
    return result.recording


ENCODED = {  # codec, container, more
    "phone.m4a": ("aac", "ipod", {}),
    "lossless.m4a": ("alac", "ipod", {}),
    "a.aac": ("aac", "adts", {}),
    "a.wma": ("wmav2", "asf", {}),
    "a.webm": ("libopus", "webm", {"rate": 48000}),
    "a.opus": ("libopus", "ogg", {"rate": 48000}),
    "a.caf": ("pcm_s16le", "caf", {}),
    "lossless.caf": ("alac", "caf", {}),
    "a.mka": ("flac", "matroska", {}),
    "a.wv": ("wavpack", "wv", {}),
    "a.tta": ("tta", "tta", {}),
    "a.ac3": ("ac3", "ac3", {"rate": 48000}),
    "phone.3gp": ("aac", "3gp", {}),
    "film.mp4": ("aac", "mp4", {"video": True}),
    "film.mov": ("pcm_s16le", "mov", {"video": True}),
    "film.mkv": ("aac", "matroska", {"video": True}),
    "film.avi": ("pcm_s16le", "avi", {"video": True}),
    "a.mp3": ("libmp3lame", "mp3", {}),
    "a.mp2": ("mp2", "mp2", {}),
    "mp3_inside.wav": ("libmp3lame", "wav", {}),
}


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.long
def test_every_format_is_read_in_full(tmp_path, name, n_channels):
    codec, container, more = ENCODED[name]
    audio = TONE if n_channels == 1 else np.stack([TONE, 0.9 * TONE], axis=1)
    path = zoo.encode(tmp_path / name, audio, codec=codec, container=container, **more)
    recording = recording_of(path)
    assert recording.channels == n_channels
    assert recording.in_rate == more.get("rate", zoo.RATE)
    assert recording.secs == pytest.approx(2.0, abs=CODEC_SECS)
    assert recording.notes == ()
    loaded = decode.load_audio(path, 16000)
    level = 1.0 if n_channels == 1 else 0.95
    inside = loaded[4000:28000]
    assert np.std(inside) == pytest.approx(level * np.std(TONE), rel=LEVEL)
    crossings = np.count_nonzero((inside[:-1] < 0) & (inside[1:] >= 0))
    assert crossings / 1.5 == pytest.approx(440.0, abs=2.0)
    assert name in {
        p.split("/")[-1] for p in find.find_recordings([str(tmp_path)]).paths
    }


# The last frame is short, full, the only one, or more than half full.
@pytest.mark.parametrize("n_samples", [88200, 5 * 4096, 2205, 54419, 4097])
@pytest.mark.parametrize(("container", "name"), [("caf", "a.caf"), ("ipod", "a.m4a")])
def test_alac_is_read_to_its_last_sample(tmp_path, n_samples, container, name):
    audio = zoo.tone(secs=n_samples / zoo.RATE)
    path = zoo.encode(tmp_path / name, audio, codec="alac", container=container)
    read, rate = decode.load_start(path)
    assert (len(read), rate) == (n_samples, zoo.RATE)
    # Rounded to 16 bits on the way in.
    np.testing.assert_allclose(read, audio, rtol=0.0, atol=2.0**-15)
    assert recording_of(path, min_loudness_db=-80.0).notes == ()


BOTH = [  # format, subtype, tolerance: of lossless ones none
    ("WAV", "PCM_U8", 0.0),
    ("WAV", "PCM_16", 0.0),
    ("WAV", "PCM_24", 0.0),
    ("WAV", "PCM_32", 0.0),
    ("WAV", "FLOAT", 0.0),
    ("WAV", "DOUBLE", 0.0),
    ("WAV", "ULAW", 0.0),
    ("WAV", "ALAW", 0.0),
    ("AIFF", "PCM_16", 0.0),
    ("AIFF", "PCM_24", 0.0),
    ("FLAC", "PCM_16", 0.0),
    ("FLAC", "PCM_24", 0.0),
    ("CAF", "PCM_16", 0.0),
    ("W64", "PCM_16", 0.0),
    ("AU", "PCM_16", 0.0),
    # Decoders of lossy formats round in another order.
    ("OGG", "VORBIS", 2e-6),
    ("OGG", "OPUS", 2e-6),
    ("MP3", "MPEG_LAYER_III", 2e-6),
]


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize(
    ("container", "subtype", "tolerance"), BOTH, ids=[f"{b[0]} {b[1]}" for b in BOTH]
)
def test_both_decoders_give_the_same_samples(
    tmp_path, container, subtype, tolerance, n_channels
):
    audio = TONE if n_channels == 1 else np.stack([TONE, -0.5 * TONE], axis=1)
    rate = 48000 if subtype == "OPUS" else zoo.RATE
    data = zoo.as_bytes(audio, container=container, subtype=subtype, rate=rate)
    path = zoo.write(tmp_path / "a", data)
    ours, _ = soundfile.read(path, dtype="float32", always_2d=True)
    with open(path, "rb") as handle:
        theirs = np.concatenate(list(ffmpeg.Stream(handle).blocks()))
    assert theirs.shape == ours.shape
    np.testing.assert_allclose(theirs, ours, rtol=0.0, atol=tolerance)


FORMAT, DATA = zoo.wav_format(), zoo.chunk(b"data", zoo.pcm16(TONE))
STEREO = np.stack([TONE, TONE], axis=1).astype("<f4").tobytes()
FLAC = zoo.as_bytes(TONE, container="FLAC", subtype="PCM_16")
OGG = zoo.as_bytes(TONE, container="OGG", subtype="VORBIS")
OPUS = zoo.as_bytes(TONE, container="OGG", subtype="OPUS", rate=48000)
MP3 = zoo.as_bytes(TONE, container="MP3", subtype="MPEG_LAYER_III")
OPUS_SECS = len(TONE) / 48000

# Content, seconds, what the notes say (an empty pattern: there is none).
ODD = {
    "flac of unknown length": (zoo.unknown_length(FLAC), 2.0, ""),
    "joined mp3": (MP3 * 2, 4.05, r"header says 2\.0\d s, it holds 4\.0\d s"),
    "chained ogg": (OGG * 2, 4.0, r"header says 2\.00 s, it holds 4\.0\d s"),
    "chained opus": (
        OPUS * 2,
        2 * OPUS_SECS,
        r"header says 1\.84 s, it holds 3\.6\d s",
    ),
    "joined flac": (FLAC * 2, 4.0, "(says 2.00 s, it holds|is no audio)"),
    "PEAK chunk of a version that nobody knows": (
        zoo.riff(
            zoo.wav_format(tag=3, channels=2, bits=32),
            zoo.chunk(b"fact", struct.pack("<I", len(TONE))),
            zoo.chunk(b"PEAK", struct.pack("<IIfI", 1, 0, 0.5, 0)),
            zoo.chunk(b"data", STEREO),
        ),
        2.0,
        "",
    ),
    "LIST chunk without its last byte": (
        zoo.riff(zoo.chunk(b"LIST", b"abc", padded=False), FORMAT, DATA),
        2.0,
        "",
    ),
    "LIST chunk of one byte between": (
        zoo.riff(FORMAT, zoo.chunk(b"LIST", b"a", padded=False), DATA),
        2.0,
        "",
    ),
    "chunks of a field recorder": (
        zoo.riff(
            zoo.chunk(b"bext", b"\0" * 603), FORMAT, zoo.chunk(b"iXML", b"<a>"), DATA
        ),
        2.0,
        "",
    ),
    "ID3 before the samples": (
        zoo.riff(FORMAT, zoo.chunk(b"id3 ", b"\0" * 300_001), DATA),
        2.0,
        "",
    ),
    "length never written": (
        zoo.riff(FORMAT, b"data\0\0\0\0" + zoo.pcm16(TONE)),
        2.0,
        "header says 0 bytes of audio, the file has 176400 .*all are used",
    ),
    "bytes left over": (
        zoo.riff(FORMAT, DATA) + b"\xff\0\x80\x01" * 3000,
        2.0,
        "header says 176400 bytes of audio, the file has 188400: the rest is not used",
    ),
    "wav cut off": (
        zoo.riff(FORMAT, DATA)[: 44 + 88200],
        1.0,
        "header says 176400 bytes of audio, the file has 88200: cut off",
    ),
    "flac cut off": (
        FLAC[: len(FLAC) * 6 // 10],
        1.11,  # whole frames of 0.09 s
        r"header says 2\.00 s, it holds 1\.1",
    ),
    "mp3 cut off": (
        MP3[: len(MP3) // 2],
        1.0,
        r"header says 2\.0\d s, it holds [01]\.",
    ),
    "mp3 behind an ID3 tag": (b"ID3\x04\0\0\0\0\x0f\x76" + b"\0" * 2038 + MP3, 2.0, ""),
}


@pytest.mark.parametrize(("data", "secs", "note"), ODD.values(), ids=ODD.keys())
def test_odd_headers_are_read_in_full(tmp_path, data, secs, note):
    recording = recording_of(zoo.write(tmp_path / "odd", data))
    assert recording.secs == pytest.approx(secs, abs=CODEC_SECS)
    if not note:
        assert recording.notes == ()
    else:
        assert re.search(note, " ".join(recording.notes)), recording.notes


@pytest.mark.parametrize(
    "name",
    [name for name, (_, _, note) in ODD.items() if not note and "mp3" not in name],
)
def test_put_right_headers_give_the_exact_samples(tmp_path, name):
    loaded = decode.load_audio(zoo.write(tmp_path / "odd", ODD[name][0]), zoo.RATE)
    assert len(loaded) == len(TONE)
    np.testing.assert_allclose(loaded, TONE, atol=1.01 / 32767)


def test_both_halves_of_a_chained_ogg_sound_alike(tmp_path):
    loaded = decode.load_audio(zoo.write(tmp_path / "a.ogg", OGG * 2), zoo.RATE)
    first, second = loaded[2000:80000], loaded[-len(TONE) :][2000:80000]
    np.testing.assert_allclose(first, second, atol=2e-6)  # another decoder's rounding


def test_a_stream_that_changes_rate_and_channels_goes_on(tmp_path):
    half = zoo.tone(rate=22050)
    mp3 = [
        zoo.as_bytes(audio, container="MP3", subtype="MPEG_LAYER_III", rate=rate)
        for audio, rate in ((TONE, 44100), (np.stack([half, half], 1), 22050))
    ]
    recording = recording_of(zoo.write(tmp_path / "a.mp3", b"".join(mp3)))
    assert (recording.in_rate, recording.channels) == (44100, 1)
    assert recording.secs == pytest.approx(4.0, abs=2 * CODEC_SECS)


@pytest.mark.long
def test_nothing_is_written_to_stderr(tmp_path):
    zoo.write(tmp_path / "joined.mp3", MP3 * 2)
    zoo.write(tmp_path / "damaged.mp3", MP3[:5000] + b"\x55" * 4000 + MP3[5000:])
    code = (
        "import sys\n"
        "from prep.recordings import probe\n"
        "for path in sys.argv[1:]:\n"
        "    print(probe.probe_recording(path, 'a', min_loudness_db=-50,"
        " min_input_rate=1))"
    )
    done = programs.run(programs.PYTHON, "-c", code, *tmp_path.iterdir())
    assert done.stdout.count("Probe(") == 2
    assert done.stderr == ""


REFUSED = {
    "rate of 2**31 Hz": (
        zoo.riff(zoo.wav_format(rate=1 << 31), DATA),
        "header says 2147483648 samples a second; 1 to 1000000 are read",
    ),
    "1024 channels": (
        zoo.riff(zoo.wav_format(channels=1024), DATA),
        "header says 1024 channels; 1 to 64 are read",
    ),
    "text": (b"not audio at all", "not audio that libsndfile reads .*, nor FFmpeg"),
    "zeros": (b"\0" * 5000, "not audio"),
    "playlist": (b"#EXTM3U\n#EXTINF:1,\nhttp://localhost/a.mp3\n", "not audio"),
    "picture": (b"\x89PNG\r\n\x1a\n" + b"\0" * 500, "not audio"),
    "no samples": (zoo.riff(FORMAT, zoo.chunk(b"data", b"")), "holds no sample"),
}


@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_recording_is_refused_in_one_sentence(tmp_path, data, reason):
    result = probe(zoo.write(tmp_path / "a.wav", data))
    assert isinstance(result, recordings_lib.Rejection)
    assert re.search(reason, result.reason), result.reason
    assert "\n" not in result.reason


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\nfile://{path}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{path}'\n",
    ],
    ids=["HLS", "concat"],
)
def test_playlists_are_not_followed(tmp_path, text):
    zoo.encode(tmp_path / "a.aac", TONE, codec="aac", container="adts")
    listed = text.format(path=tmp_path / "a.aac").encode()
    result = probe(zoo.write(tmp_path / "list.m4a", listed))
    assert isinstance(result, recordings_lib.Rejection)


def test_film_without_sound_says_so(tmp_path):
    zoo.film(tmp_path / "a.mp4")
    assert re.search(
        "nor FFmpeg .there is no sound in it.", probe(tmp_path / "a.mp4").reason
    )


def stereo(left, right):
    return np.stack([left, right], axis=1)


CHANNELS = {
    "one silent": (stereo(TONE, 0 * TONE), (0,), "channel 2 of 2 silent"),
    "one nearly silent": (stereo(1e-3 * TONE, TONE), (1,), "channel 1 of 2 silent"),
    "out of phase": (stereo(0.9 * TONE, -TONE), (1,), "cancel each other.*channel 2"),
    "an offset alone": (stereo(TONE, 0 * TONE + 0.1), (0,), "channel 2 of 2 silent"),
    "two of three": (
        np.stack([TONE, 0 * TONE, TONE], 1),
        (0, 2),
        "channel 2 of 3 silent",
    ),
}


@pytest.mark.parametrize(
    ("audio", "used", "note"), CHANNELS.values(), ids=CHANNELS.keys()
)
def test_channels_that_would_spoil_the_mixture_are_left_out(
    tmp_path, audio, used, note
):
    soundfile.write(tmp_path / "a.wav", audio, zoo.RATE, subtype="FLOAT")
    recording = recording_of(tmp_path / "a.wav")
    assert recording.used_channels == used
    assert re.search(note, recording.notes[0])
    assert recording.peak == pytest.approx(np.abs(TONE).max(), rel=1e-3)
    loaded = decode.load_audio(tmp_path / "a.wav", zoo.RATE)
    assert np.abs(loaded).max() == pytest.approx(recording.peak)
    assert decode.choose_channels(tmp_path / "a.wav").used == used


def test_quiet_channels_are_averaged_in(tmp_path):
    soundfile.write(tmp_path / "a.wav", stereo(TONE, 0.1 * TONE), zoo.RATE)
    recording = recording_of(tmp_path / "a.wav")
    assert recording.used_channels == ()
    assert recording.notes == ()


def test_nearly_silent_recording_is_used_when_it_is_normalized(tmp_path):
    soundfile.write(tmp_path / "a.wav", 4e-4 * TONE, zoo.RATE, subtype="PCM_24")
    reason = probe(tmp_path / "a.wav").reason
    assert re.search("silent: .*--normalize=peak makes it louder", reason)
    recording = recording_of(tmp_path / "a.wav", normalize="peak")
    soundfile.write(tmp_path / "loud.wav", 0.99 / 0.3 * TONE, zoo.RATE, subtype="FLOAT")
    loud = recording_of(tmp_path / "loud.wav")
    assert recording.max_loudness_db == pytest.approx(loud.max_loudness_db, abs=0.5)


def test_the_last_bit_of_silence_is_not_made_loud(tmp_path):
    noise = np.random.default_rng(0).integers(-1, 2, 3 * zoo.RATE) / 32768
    soundfile.write(tmp_path / "a.wav", noise, zoo.RATE, subtype="PCM_16")
    assert "silent" in probe(tmp_path / "a.wav", normalize="peak").reason


@pytest.mark.parametrize("rate", [8000, 11025, 96000, 192000, 384000])
def test_rates_from_telephones_to_bat_detectors_are_read(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", zoo.tone(rate=rate), rate)
    recording = recording_of(tmp_path / "a.wav", min_input_rate=8000)
    assert recording.in_rate == rate
    assert recording.secs == pytest.approx(2.0)
    assert recording.notes == ()


RANGE = {  # audio, octaves, part below, part above
    "piccolo's C8": (zoo.tone(4186.0), 0, 0.0, 1.0),
    "flute's C7": (zoo.tone(2093.0, n_harmonics=3), -1, 0.0, 1.0),
    "A0 of a piano": (zoo.tone(27.5, n_harmonics=40), 1, 1.0, 0.0),
    "short C8": (zoo.tone(4186.0, secs=0.25), 0, 0.0, 1.0),
    "half of it too high": (
        np.concatenate([zoo.tone(440.0), zoo.tone(3000.0)]), -1, 0.0, 0.5
    ),
    "bass's E1": (zoo.tone(41.2, n_harmonics=40), 0, 0.0, 0.0),
    "B6": (zoo.tone(1975.5, n_harmonics=2), 0, 0.0, 0.0),
    "C1": (zoo.tone(32.7, n_harmonics=40), 0, 0.0, 0.0),
    "noise": (0.1 * np.random.default_rng(0).standard_normal(zoo.RATE), 0, 0.0, 0.0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("audio", "octaves", "below", "above"), RANGE.values(), ids=RANGE.keys()
)
def test_what_lies_outside_the_trackers_range_is_found(
    tmp_path, audio, octaves, below, above
):
    soundfile.write(tmp_path / "a.wav", audio, zoo.RATE, subtype="FLOAT")
    found = probe(tmp_path / "a.wav")
    assert found.recording.below_range_share == pytest.approx(below, abs=0.1)
    assert found.recording.above_range_share == pytest.approx(above, abs=0.1)
    assert pitch_range.choose_octaves(found.pitch_hz, hop_size=64) == octaves
    assert found.recording.notes == ()  # the plan says what was done


def test_same_samples_in_two_formats_are_used_once(tmp_path):
    audio = np.round(TONE * 32768) / 32768
    soundfile.write(tmp_path / "a.wav", audio, zoo.RATE)
    soundfile.write(tmp_path / "b.flac", audio, zoo.RATE)
    soundfile.write(tmp_path / "c.wav", audio, 48000)
    found = find.find_recordings([str(tmp_path)])
    probes = probe_lib.probe_recordings(found, min_loudness_db=-50, min_input_rate=1)
    usable, rejections = recordings_lib.reject_duplicates(probes)
    assert [u.recording.name for u in usable] == ["a.wav", "c.wav"]
    assert [r.reason for r in rejections] == ["the same content as a.wav"]


def test_a_macs_zip_and_hidden_files_are_passed_over_and_counted(tmp_path):
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / ".cache").mkdir()
    soundfile.write(tmp_path / "a.wav", TONE, zoo.RATE)
    for name in ("__MACOSX/._a.wav", "._a.wav", ".hidden.wav", ".cache/b.wav"):
        zoo.write(tmp_path / name, b"\0\5\x16\7" * 100)
    for pattern in (str(tmp_path), f"{tmp_path}/**", f"{tmp_path}/**/*.wav"):
        found = find.find_recordings([pattern])
        assert found.names == ("a.wav",)
    passed_over = find.find_recordings([str(tmp_path)]).passed_over
    assert passed_over == {find.HIDDEN: 4}
    named = find.find_recordings([str(tmp_path / ".hidden.wav")])
    assert named.names == (".hidden.wav",)
