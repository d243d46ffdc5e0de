import json
import os
import pathlib
import re
import struct
import tempfile

import numpy as np
import pytest
import soundfile

from prep.recordings import find
from prep.recordings import probe as probe_lib
from prep.recordings import recording as recordings_lib
from prep.recordings import wav_header
from tests.helpers import prep_helpers
from tests.helpers import programs

RATE = 16000


def probe(path, **changed):
    values = {"min_loudness_db": -50.0, "min_input_rate": 16000, **changed}
    return probe_lib.probe_recording(str(path), path.name, **values)


def write(path, audio, rate=RATE, subtype="FLOAT"):
    soundfile.write(path, audio, rate, subtype=subtype)
    return path


def test_good_recording_is_measured(tmp_path):
    tone = np.stack([prep_helpers.tone(3.0, rate=44100)] * 2, axis=1)
    result = probe(write(tmp_path / "a.wav", tone, 44100))
    assert isinstance(result, recordings_lib.Probe)
    recording = result.recording
    assert (recording.in_rate, recording.channels) == (44100, 2)
    assert recording.secs == pytest.approx(3.0)
    assert recording.peak == pytest.approx(0.3, abs=0.001)
    assert recording.notes == ()
    assert recording.clipped_share == 0
    assert recording.silent_share == 0


def test_id_is_the_content_not_the_name(tmp_path):
    first = probe(write(tmp_path / "a.wav", prep_helpers.tone(1.0)))
    (tmp_path / "b.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    other = probe(write(tmp_path / "c.wav", prep_helpers.tone(1.0, level=0.31)))
    ids = [
        first.recording.recording_id,
        probe(tmp_path / "b.wav").recording.recording_id,
        other.recording.recording_id,
    ]
    assert ids[0] == ids[1] != ids[2]


def declare(path, n_bytes):
    """Makes a wav file's header claim so many bytes of audio."""
    data = bytearray(path.read_bytes())
    where = data.index(b"data") + 4
    data[where : where + 4] = struct.pack("<I", n_bytes)
    path.write_bytes(data)


def make_text(path):
    path.write_text("this is not audio")


def make_empty(path):
    path.touch()


def make_short(path):
    write(path, np.zeros(0, np.float32))


def make_nan(path):
    audio = prep_helpers.tone(2.0)
    audio[16000:16003] = np.nan
    write(path, audio)


def make_infinite(path):
    audio = prep_helpers.tone(2.0)
    audio[8000] = -np.inf
    write(path, audio)


def make_silence(path):
    write(path, np.zeros(5 * RATE, np.float32), subtype="PCM_16")


def make_offset_only(path):
    offset = np.full(5 * RATE, 0.25, np.float32)
    fade = np.minimum(1, np.arange(RATE, dtype=np.float32) / RATE)
    offset[:RATE] *= fade
    offset[-RATE:] *= fade[::-1]
    write(path, offset)


def make_offset_from_the_first_sample(path):
    write(path, np.full(5 * RATE, 0.25, np.float32))


def make_huge(path):
    write(path, 1e30 * prep_helpers.tone(2.0))


def make_unfinished(path):
    """As a recorder leaves it that writes the length last and was killed before."""
    write(path, prep_helpers.tone(5.0), subtype="PCM_16")
    declare(path, 0)


def make_damaged_flac(path):
    """A flac file under the name of a wav; libsndfile looks at the content."""
    soundfile.write(path, prep_helpers.tone(12.0), RATE, format="FLAC")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 9 // 10])


def make_cancelling(path):
    tone = prep_helpers.tone(2.0)
    write(path, np.stack([tone, -tone], axis=1))


def make_low_rate(path):
    write(path, prep_helpers.tone(2.0, rate=8000), 8000)


def make_dangling(path):
    path.symlink_to(path.parent / "gone.wav")


def make_loop(path):
    path.symlink_to(path)


def make_pipe(path):
    os.mkfifo(path)


BAD = [
    (make_text, "not audio that libsndfile reads"),
    (make_empty, r"empty file \(0 bytes\)"),
    (make_short, "holds no sample"),
    (make_nan, r"3 samples are NaN or infinite, the first at 1\.000 s"),
    (make_infinite, r"1 samples are NaN or infinite, the first at 0\.500 s"),
    (make_silence, "silent: never louder than -80"),
    (make_offset_only, "silent"),
    (make_offset_from_the_first_sample, "silent"),
    (make_huge, r"no audio by its numbers: samples of up to 3e\+29 times full scale"),
    (make_low_rate, "8000 Hz, is below 16000.*--min_input_rate=8000"),
    (make_dangling, "broken link"),
    (make_loop, "broken link: Too many levels"),
    (make_pipe, "no ordinary file"),
]


@pytest.mark.parametrize("make, match", BAD, ids=lambda v: getattr(v, "__name__", ""))
def test_bad_file_is_rejected_with_its_reason(tmp_path, make, match):
    make(tmp_path / "bad.wav")
    result = probe(tmp_path / "bad.wav")
    assert isinstance(result, recordings_lib.Rejection)
    assert result.part == "all"
    assert re.search(match, result.reason), result.reason


def test_numbers_come_with_the_rejection(tmp_path):
    make_nan(tmp_path / "bad.wav")
    numbers = probe(tmp_path / "bad.wav").numbers
    assert numbers["samples_not_finite"] == 3
    assert numbers["first_at_seconds"] == 1.0
    assert numbers["seconds"] == 2.0


def test_numbers_of_samples_at_the_end_of_float32_are_json(tmp_path):
    audio = np.full((2 * RATE, 2), 3e38, np.float32)  # their sum is infinite
    numbers = probe(write(tmp_path / "bad.wav", audio)).numbers
    json.dumps(numbers, allow_nan=False)
    assert numbers["peak"] > 3e38


def test_low_rate_is_used_when_asked_for(tmp_path):
    make_low_rate(tmp_path / "a.wav")
    result = probe(tmp_path / "a.wav", min_input_rate=8000)
    assert isinstance(result, recordings_lib.Probe)


def test_truncated_wav_is_used_to_its_true_end(tmp_path):
    path = write(tmp_path / "a.wav", prep_helpers.tone(4.0), subtype="PCM_16")
    path.write_bytes(path.read_bytes()[: 44 + 2 * 2 * RATE])
    recording = probe(path).recording
    assert recording.secs == pytest.approx(2.0, abs=0.01)
    assert re.search(r"128000 bytes of audio, .* 64000: cut off", recording.notes[0])


def test_truncated_mp3_is_used_to_its_true_end(tmp_path):
    path = tmp_path / "a.mp3"
    soundfile.write(path, prep_helpers.tone(8.0, rate=44100), 44100)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    result = probe(path)
    assert isinstance(result, recordings_lib.Probe)
    assert 3.0 < result.recording.secs < 5.0


def test_header_that_promises_more_is_not_believed(tmp_path):
    path = write(tmp_path / "a.wav", prep_helpers.tone(2.0), subtype="PCM_16")
    declare(path, 10 * 2 * RATE)
    recording = probe(path).recording
    assert recording.secs == pytest.approx(2.0, abs=0.01)
    assert "cut off?" in recording.notes[0]


def test_header_of_a_pipe_needs_no_note(tmp_path):
    path = write(tmp_path / "a.wav", prep_helpers.tone(2.0), subtype="PCM_16")
    declare(path, 0xFFFFFFFF)
    recording = probe(path).recording
    assert recording.secs == pytest.approx(2.0, abs=0.01)
    assert recording.notes == ()


def test_chunks_before_the_audio_are_stepped_over(tmp_path):
    path = write(tmp_path / "a.wav", prep_helpers.tone(2.0), subtype="PCM_16")
    data = path.read_bytes()
    where = data.index(b"data")
    odd = b"note" + struct.pack("<I", 3) + b"abc\0"
    path.write_bytes(data[:where] + odd + data[where:])
    assert probe(path).recording.notes == ()
    with open(path, "rb") as file:
        header = wav_header.read_header(file)
    assert header.declared == header.available == 2 * 2 * RATE
    assert header.trailing == 0


def test_float_samples_on_another_scale_are_noted(tmp_path):
    path = write(tmp_path / "a.wav", 32768 * prep_helpers.tone(2.0))
    assert any("--normalize=peak" in note for note in probe(path).recording.notes)


def test_header_that_hides_audio_is_noted(tmp_path):
    path = write(tmp_path / "a.wav", prep_helpers.tone(10.0), subtype="PCM_16")
    declare(path, 2 * 2 * RATE)
    recording = probe(path).recording
    assert recording.secs == pytest.approx(2.0)
    assert any("the rest is not used" in note for note in recording.notes)


def test_forty_milliseconds_are_measured(tmp_path):
    path = write(tmp_path / "a.wav", prep_helpers.tone(0.04))
    assert probe(path).recording.secs == pytest.approx(0.04)


def test_square_wave_at_full_scale_is_called_clipped(tmp_path):
    square = np.sign(prep_helpers.tone(2.0, level=1.0) + 1e-6).astype(np.float32)
    recording = probe(write(tmp_path / "a.wav", square)).recording
    assert recording.clipped_share > 0.9
    assert any("clipped" in note for note in recording.notes)


def test_loud_sine_is_not_called_clipped(tmp_path):
    recording = probe(
        write(tmp_path / "a.wav", prep_helpers.tone(2.0, level=0.999))
    ).recording
    assert recording.notes == ()


def test_offset_is_noted_and_kept(tmp_path):
    audio = prep_helpers.tone(2.0) + np.float32(0.1)
    recording = probe(write(tmp_path / "a.wav", audio)).recording
    assert recording.offset == pytest.approx(0.1, abs=0.001)
    assert any("offset" in note for note in recording.notes)


def test_channels_out_of_phase_are_noted(tmp_path):
    tone = prep_helpers.tone(2.0)
    stereo = np.stack([tone, -0.98 * tone], axis=1)
    notes = probe(write(tmp_path / "a.wav", stereo)).recording.notes
    assert any("out of phase" in note for note in notes)


def test_silent_share_is_measured(tmp_path):
    audio = np.concatenate([prep_helpers.tone(3.0), np.zeros(RATE, np.float32)])
    recording = probe(write(tmp_path / "a.wav", audio)).recording
    assert recording.silent_share == pytest.approx(0.25, abs=0.02)


@pytest.mark.slow
def test_two_hours_of_silence_are_rejected_in_flat_memory(tmp_path):
    path = tmp_path / "a.flac"
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for _ in range(120):
            file.write(np.zeros(60 * RATE, np.int16))
    code = (
        "import sys\n"
        "from prep import processes\n"
        "from prep.recordings import probe\n"
        "before = processes.peak_mb()\n"
        "r = probe.probe_recording(sys.argv[1], 'a', min_loudness_db=-50,"
        " min_input_rate=16000)\n"
        "grown_mb = processes.peak_mb() - before\n"
        "print(r.reason, '|', r.numbers['seconds'], '|', grown_mb)\n"
    )
    done = programs.run(programs.PYTHON, "-c", code, path)
    reason, secs, grown_mb = done.stdout.split("|")
    assert "silent" in reason
    assert float(secs) == 7200.0
    assert float(grown_mb) < 100  # the two hours as float32 are 460 MB


@pytest.fixture
def not_root():
    """Makes the test run as nobody where it would run as root, who may read all."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.fixture
def open_folder():
    """A folder that everybody may look into, which pytest's are not."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


def test_file_that_may_not_be_read_is_rejected(open_folder, request):
    path = write(open_folder / "a.wav", prep_helpers.tone(1.0))
    path.chmod(0)
    request.getfixturevalue("not_root")
    assert probe(path).reason == "no permission to read it"


def test_same_content_twice_is_used_once(tmp_path):
    write(tmp_path / "a.wav", prep_helpers.tone(1.0))
    (tmp_path / "copy.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    found = find.find_recordings([str(tmp_path)])
    probes = probe_lib.probe_recordings(found, min_loudness_db=-50, min_input_rate=1)
    usable, rejections = recordings_lib.reject_duplicates(probes)
    assert [u.recording.name for u in usable] == ["a.wav"]
    assert [r.reason for r in rejections] == ["the same content as a.wav"]
