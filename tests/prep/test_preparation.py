import contextlib
import html
import json
import os
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from prep import settings as settings_lib
from prep.beam import steps
from prep.dataset import info
from prep.dataset import layout as dataset_layout
from prep.dataset import tfrecords
from prep.recordings import decode
from prep.recordings import recording as recordings_lib
from tests.helpers import prep_helpers

WRITTEN = {
    "COMPLETED",
    "dataset.gin",
    "dataset.html",
    "dataset_info.json",
    "plan.json",
    "rejected.jsonl",
    "statistics.json",
}


@pytest.fixture
def source(tmp_path):
    prep_helpers.write_tones(tmp_path / "in", [3.0, 2.0, 5.5, 1.0, 4.2])
    return tmp_path / "in"


def test_dataset_holds_what_was_promised(source, tmp_path):
    said = prep_helpers.prepare(source, tmp_path / "out")
    found = prep_helpers.contents(tmp_path / "out")
    shards = {name for name in found if ".tfrecord-" in name}
    assert set(found) - shards == WRITTEN
    facts = json.loads(found["dataset_info.json"])
    splits = facts["splits"]
    assert len(shards) == splits["train"]["n_shards"] + splits["eval"]["n_shards"]
    assert found["COMPLETED"].decode().strip() == facts["plan_hash"]
    assert str(tmp_path) not in found["dataset_info.json"].decode()
    assert any("train: " in line for line in said)
    assert not (tmp_path / "out" / ".prep" / "audio").exists()


def test_same_inputs_give_the_same_bytes(source, tmp_path):
    for name in ("one", "two"):
        prep_helpers.prepare(source, tmp_path / name)
    one, two = (prep_helpers.contents(tmp_path / n) for n in ("one", "two"))
    assert one == two


def test_second_run_has_nothing_to_do(source, tmp_path):
    prep_helpers.prepare(source, tmp_path / "out")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("[!.]*")}
    said = prep_helpers.prepare(source, tmp_path / "out")
    assert "nothing to do" in said[-1]
    after = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("[!.]*")}
    assert after == before


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["train.tfrecord-00000*", "dataset_info.json", "dataset.html"]
)
def test_file_that_is_gone_from_a_dataset_is_made_again(source, tmp_path, name):
    prep_helpers.prepare(source, tmp_path / "out")
    before = prep_helpers.contents(tmp_path / "out")
    for path in (tmp_path / "out").glob(name):
        path.unlink()
    prep_helpers.prepare(source, tmp_path / "out")
    assert prep_helpers.contents(tmp_path / "out") == before


@pytest.mark.long
def test_damaged_files_are_replaced_as_the_message_says(source, tmp_path):
    prep_helpers.prepare(source, tmp_path / "out")
    before = prep_helpers.contents(tmp_path / "out")
    (shard, *_) = (tmp_path / "out").glob("train.tfrecord-*")
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(ValueError, match="again with --overwrite"):
        tfrecords.find_offsets(shard.read_bytes(), shard)
    (tmp_path / "out" / "dataset_info.json").write_text("{")
    with pytest.raises(ValueError, match="again with --overwrite"):
        info.read_dataset_info(tmp_path / "out")
    prep_helpers.prepare(source, tmp_path / "out", overwrite=True)
    assert prep_helpers.contents(tmp_path / "out") == before


class Stopped(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("step", ["spool_recording", "analyse_segment", "write_shard"])
def test_run_goes_on_where_it_was_stopped(source, tmp_path, monkeypatch, step):
    """Stops in the middle of each step, with rubbish left behind, then goes on."""
    prep_helpers.prepare(source, tmp_path / "whole")
    real = getattr(steps, step)
    calls = []

    def stop_at_third(job, *args, **kwargs):
        calls.append(args)
        if len(calls) == 3:
            (job.layout.temporary / ".half-written.tmp").write_bytes(b"half")
            raise Stopped("pulled the plug")
        return real(job, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(steps, step, stop_at_third)
        with pytest.raises(settings_lib.PrepError, match="pulled the plug"):
            prep_helpers.prepare(source, tmp_path / "out")
    assert not (tmp_path / "out" / "COMPLETED").exists()
    kept = {
        path: path.stat().st_mtime_ns
        for pattern in ("*.tfrecord-*", ".prep/cache/*/*.npy")
        for path in (tmp_path / "out").glob(pattern)
    }
    assert kept or step == "spool_recording" or step == "analyse_segment"
    prep_helpers.prepare(source, tmp_path / "out")
    for path, written in kept.items():
        assert path.stat().st_mtime_ns == written, "computed again"
    whole, out = (prep_helpers.contents(tmp_path / n) for n in ("whole", "out"))
    assert out == whole


def test_changed_flag_is_refused_by_name(source, tmp_path):
    prep_helpers.prepare(source, tmp_path / "out")
    before = prep_helpers.contents(tmp_path / "out")
    with pytest.raises(settings_lib.PrepError, match=r"--hop_secs was 1\.0, is 0\.5"):
        prep_helpers.prepare(source, tmp_path / "out", hop_secs=0.5)
    assert prep_helpers.contents(tmp_path / "out") == before


def test_changed_input_is_refused_by_name(source, tmp_path):
    prep_helpers.prepare(source, tmp_path / "out")
    soundfile.write(source / "tone1.wav", prep_helpers.tone(2.5, level=0.2), 16000)
    with pytest.raises(settings_lib.PrepError, match=r"gone or changed: tone1\.wav"):
        prep_helpers.prepare(source, tmp_path / "out")


@pytest.mark.slow
def test_overwrite_leaves_other_peoples_files(source, tmp_path):
    prep_helpers.prepare(source, tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    prep_helpers.prepare(source, tmp_path / "out", overwrite=True, hop_secs=0.5)
    prep_helpers.prepare(source, tmp_path / "fresh", hop_secs=0.5)
    out = prep_helpers.contents(tmp_path / "out")
    assert out.pop("notes.txt") == b"mine"
    assert out == prep_helpers.contents(tmp_path / "fresh")


def test_foreign_tfrecords_are_not_mixed_in(source, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "train.tfrecord-00000-of-00001").write_bytes(b"theirs")
    with pytest.raises(settings_lib.PrepError, match="TFRecords without a plan"):
        prep_helpers.prepare(source, tmp_path / "out")


def test_features_are_reused_from_the_cache(source, tmp_path, monkeypatch):
    cache = str(tmp_path / "cache")
    prep_helpers.prepare(source, tmp_path / "one", cache_dir=cache)

    def refuse(*args, **kwargs):
        raise AssertionError("tracked pitch again")

    monkeypatch.setattr(prep_helpers.StubTracker, "__call__", refuse)
    prep_helpers.prepare(source, tmp_path / "two", cache_dir=cache, hop_secs=0.5)
    assert not list((tmp_path / "two" / ".prep").glob("cache/*"))


def test_overlapping_examples_are_tracked_once(tmp_path, monkeypatch):
    prep_helpers.write_tones(tmp_path / "in", [10.0, 5.0])
    heard = []
    real = prep_helpers.StubTracker.__call__

    def count(self, audio_16k, frame_rate, *, center=True):
        heard.append(len(audio_16k))
        return real(self, audio_16k, frame_rate, center=center)

    monkeypatch.setattr(prep_helpers.StubTracker, "__call__", count)
    monkeypatch.setattr(steps, "_trackers", {})
    prep_helpers.prepare(
        tmp_path / "in", tmp_path / "out", hop_secs=0.1, example_secs=2.0
    )
    assert sum(heard) < 16 * 16000


def test_second_run_at_the_same_time_is_turned_away(source, tmp_path):
    layout = dataset_layout.Layout(tmp_path / "out")
    layout.make_folders()
    with (
        dataset_layout.locked(layout),
        pytest.raises(settings_lib.PrepError, match=rf"process {os.getpid()} on"),
    ):
        prep_helpers.prepare(source, tmp_path / "out")
    prep_helpers.prepare(source, tmp_path / "out")  # the lock is gone with its holder


def test_output_that_cannot_be_written_is_named(source, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(settings_lib.PrepError, match=r"cannot write to .*--output"):
        prep_helpers.prepare(source, tmp_path / "file" / "out")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB."""
    where = tmp_path / "disk"
    where.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(where)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
    yield where
    subprocess.run(["umount", str(where)], check=True, timeout=10)


def test_read_only_output_is_named(source, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(settings_lib.PrepError, match="Read-only file system"):
        prep_helpers.prepare(source, small_disk / "out")


def test_too_little_space_is_seen_before_computing(source, small_disk):
    with pytest.raises(settings_lib.PrepError, match=r"needs about .* are free"):
        prep_helpers.prepare(source, small_disk / "out")


@pytest.mark.parametrize("there_already", [False, True])
def test_disk_that_is_full_from_the_start_is_explained(
    source, small_disk, monkeypatch, there_already
):
    """Nothing can be written: not even the lock, or only the plan."""
    monkeypatch.setattr("prep.preparation._check_space", lambda *args: None)
    if there_already:
        layout = dataset_layout.Layout(small_disk / "out")
        layout.make_folders()
        (layout.work / "lock").write_text("process 1 on a host of an earlier run")
    with contextlib.suppress(OSError), open(small_disk / "filler", "wb", 0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(settings_lib.PrepError, match="the disk is full"):
        prep_helpers.prepare(source, small_disk / "out")


@pytest.mark.slow
def test_disk_that_fills_up_is_explained_and_gone_on_with(
    source, small_disk, tmp_path, monkeypatch
):
    monkeypatch.setattr("prep.preparation._check_space", lambda *args: None)
    with pytest.raises(settings_lib.PrepError, match="the disk is full"):
        prep_helpers.prepare(source, small_disk / "out")
    assert not list((small_disk / "out" / ".prep" / "tmp").iterdir())
    subprocess.run(["mount", "-o", "remount,size=30m", str(small_disk)], check=True)
    prep_helpers.prepare(source, small_disk / "out")
    prep_helpers.prepare(source, tmp_path / "whole")
    assert prep_helpers.contents(small_disk / "out") == prep_helpers.contents(
        tmp_path / "whole"
    )


@pytest.mark.slow
def test_recording_that_vanishes_stops_the_job_and_keeps_the_rest(
    source, tmp_path, monkeypatch
):
    real = steps.spool_recording

    def lose(job, number):
        if job.plan.recording_of(number).name == "tone0.wav":
            pathlib.Path(job.plan.recording_of(number).path).unlink(missing_ok=True)
        return real(job, number)

    kept = (source / "tone0.wav").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(steps, "spool_recording", lose)
        with pytest.raises(settings_lib.PrepError, match=r"tone0\.wav: .*No such file"):
            prep_helpers.prepare(source, tmp_path / "out")
    assert list((tmp_path / "out" / ".prep" / "cache").rglob("*.npy"))
    (source / "tone0.wav").write_bytes(kept)
    prep_helpers.prepare(source, tmp_path / "out")


def test_failures_are_listed_once_a_recording_and_ten_at_most(tmp_path, monkeypatch):
    def fail(job, number):
        raise decode.UnreadableError("damaged by now")

    prep_helpers.write_tones(tmp_path / "in", [1.5] * 12)
    monkeypatch.setattr(steps, "spool_recording", fail)
    with pytest.raises(settings_lib.PrepError) as told:
        prep_helpers.prepare(
            tmp_path / "in", tmp_path / "out", transpose_cents=(0.0, 50.0)
        )
    said = str(told.value).splitlines()
    assert len(set(said)) == len(said) == 13
    assert said[10].endswith("damaged by now") and said[11] == "  and 2 more"


def test_recording_that_changes_while_working_is_caught(source, tmp_path, monkeypatch):
    real = steps.spool_recording

    def change(job, number):
        path = source / "tone2.wav"
        soundfile.write(path, prep_helpers.tone(5.5, level=0.1), 16000)
        return real(job, number)

    monkeypatch.setattr(steps, "spool_recording", change)
    with pytest.raises(settings_lib.PrepError, match="content changed since"):
        prep_helpers.prepare(source, tmp_path / "out")


def test_too_many_unusable_recordings_stop_the_job(source, tmp_path):
    (source / "bad.wav").write_text("no audio")
    (source / "empty.wav").touch()
    with pytest.raises(settings_lib.PrepError, match=r"2 of 7 recordings \(29%\)"):
        prep_helpers.prepare(source, tmp_path / "out")
    rejected = (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()
    names = {json.loads(line)["name"] for line in rejected}
    assert {"bad.wav", "empty.wav"} < names
    said = prep_helpers.prepare(source, tmp_path / "out", max_rejected=0.3)
    assert "not used: bad.wav" in said[0]


@pytest.mark.long
def test_recordings_of_both_flags_have_names_of_their_own(source, tmp_path):
    (tmp_path / "held").mkdir()
    soundfile.write(tmp_path / "held" / "tone0.wav", prep_helpers.tone(2.2), 16000)
    held = [str(tmp_path / "held")]
    prep_helpers.prepare(source, tmp_path / "out", eval_inputs=held)
    facts = info.read_dataset_info(tmp_path / "out")
    names = [one.name for part in facts.splits.values() for one in part.recordings]
    assert len(set(names)) == len(names) == 6


def test_copies_are_named_and_do_not_stop_the_job(source, tmp_path):
    for number in range(3):
        shutil.copy(source / "tone0.wav", source / f"tone0 ({number}).wav")
    said = prep_helpers.prepare(source, tmp_path / "out", dry_run=True, max_rejected=0)
    assert said[0].count("the same content as ") == 3


def test_names_of_other_files_stay_on_their_line_too(source, tmp_path):
    strange = os.fsdecode(b"\xff\n\x1b[2J")
    shutil.copy(source / "tone0.wav", source / f"a{strange}.wav")
    (source / f"a.{strange}").touch()
    said = prep_helpers.prepare(source, tmp_path / "out", dry_run=True)
    assert "  not used: tone0.wav: the same content as a\\udcff\\n\\x1b[2J" in said[0]
    assert "not audio by name: 1 .\\udcff\\n\\x1b[2j" in said[0]


def test_entries_that_are_passed_over_are_counted(source, tmp_path):
    (source / "notes.txt").touch()
    (source / "cover.jpg").touch()
    (source / "README").touch()
    said = prep_helpers.prepare(source, tmp_path / "out", dry_run=True)
    assert "not audio by name: 1 .jpg, 1 .txt, 1 no ending" in said[0]


def test_folder_among_the_matches_of_a_glob_is_counted(source, tmp_path):
    (source / "take.wav").mkdir()
    said = prep_helpers.prepare(source / "*.wav", tmp_path / "out", dry_run=True)
    assert "not audio by name: 1 folder" in said[0]


def test_decoders_write_nothing_in_the_middle_of_the_bar(tmp_path, capfd):
    prep_helpers.write_tones(tmp_path / "in", [3.0, 4.0])
    path = tmp_path / "in" / "cut.mp3"
    soundfile.write(path, prep_helpers.tone(8.0, rate=44100), 44100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    said = prep_helpers.prepare(tmp_path / "in", tmp_path / "out")
    assert re.search(r"cut\.mp3: its header says 8\.\d\d s, it holds [34]\.", said[0])
    assert capfd.readouterr().err == ""


def test_dry_run_writes_nothing(source, tmp_path):
    said = prep_helpers.prepare(source, tmp_path / "out", dry_run=True)
    assert "train: " in said[0]
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_outside_output_and_cache(source, tmp_path):
    (tmp_path / "home").mkdir()

    def listing():
        return {
            str(p): p.stat().st_mtime_ns
            for p in tmp_path.rglob("*")
            if not p.is_relative_to(tmp_path / "out")
            and not p.is_relative_to(tmp_path / "cache")
            and p != tmp_path
        }

    before = listing()
    prep_helpers.prepare(source, tmp_path / "out", cache_dir=str(tmp_path / "cache"))
    assert listing() == before


@pytest.mark.slow
def test_strange_names_go_all_the_way(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    names = ["two words.wav", "line\nbreak.wav", "höhe-音.wav", "<b>&.wav"]
    names.append(os.fsdecode(b"\xff\xfe.wav"))
    for index, name in enumerate(names):
        audio = prep_helpers.tone(2.0 + index)
        with open(os.fsencode(str(folder / name)), "wb") as file:
            soundfile.write(file, audio, 16000, format="WAV")
    said = prep_helpers.prepare(folder, tmp_path / "out")
    "\n".join(said).encode()  # can be printed
    page = (tmp_path / "out" / "dataset.html").read_text()
    assert "&lt;b&gt;&amp;.wav" in page
    assert "<b>&.wav" not in page
    facts = json.loads((tmp_path / "out" / "dataset_info.json").read_text())
    found = [r["name"] for s in facts["splits"].values() for r in s["recordings"]]
    assert {"höhe-音.wav", "line\nbreak.wav", "\\udcff\\udcfe.wav"} < set(found)


@pytest.mark.slow
def test_normalized_recordings_reach_the_same_peak(tmp_path):
    for index, level in enumerate((0.05, 0.9)):
        (tmp_path / "in").mkdir(exist_ok=True)
        tone = prep_helpers.tone(4.0, f0_hz=300 + index, level=level)
        soundfile.write(tmp_path / "in" / f"{index}.wav", tone, 16000, subtype="FLOAT")
    prep_helpers.prepare(tmp_path / "in", tmp_path / "out", normalize="peak")
    for split in ("train", "eval"):
        examples = prep_helpers.read_examples(tmp_path / "out", split)
        peak = max(np.abs(e["audio"]).max() for e in examples)
        assert peak == pytest.approx(recordings_lib.NORMALIZED_PEAK, abs=1e-4)


def test_noise_of_the_last_bit_is_not_made_louder(tmp_path):
    """As the plan says, which leaves its loudness as it is."""
    (tmp_path / "in").mkdir()
    for name, level in (("silence", 0.0), ("noise", 1e-5), ("music", 0.1)):
        tone = prep_helpers.tone(4.0, level=level)
        soundfile.write(tmp_path / "in" / f"{name}.wav", tone, 16000, subtype="FLOAT")
    prep_helpers.prepare(
        *(tmp_path / "in", tmp_path / "out"), normalize="peak", min_loudness_db=-80.0
    )
    peaks = {
        float(np.abs(example["audio"]).max())
        for split in ("train", "eval")
        for example in prep_helpers.read_examples(tmp_path / "out", split)
    }
    assert min(peaks) == 0.0
    assert max(peaks) == pytest.approx(recordings_lib.NORMALIZED_PEAK, abs=1e-4)
    assert [peak for peak in peaks if 0.0 < peak <= 1e-5]


@pytest.mark.slow
def test_transposed_copy_sounds_higher(tmp_path):
    prep_helpers.write_tones(tmp_path / "in", [6.0, 3.0])
    prep_helpers.prepare(
        tmp_path / "in", tmp_path / "out", transpose_cents=(0.0, 1200.0)
    )
    mean_f0 = {0.0: [], 1200.0: []}
    for example in prep_helpers.read_examples(tmp_path / "out", "train"):
        mean_f0[float(example["transpose_cents"][0])].append(example["f0_hz"].mean())
    ratio = np.mean(mean_f0[1200.0]) / np.mean(mean_f0[0.0])
    assert ratio == pytest.approx(2.0, rel=0.05)


def test_what_lies_above_the_range_is_tracked_an_octave_lower(tmp_path):
    """The same recording by both flags, one after another in the same cache."""
    (tmp_path / "in").mkdir()
    soundfile.write(
        tmp_path / "in" / "a.wav", prep_helpers.tone(3.0, f0_hz=3000.0), 16000
    )
    pitch = {}
    for flag in ("crepe", "auto"):
        prep_helpers.prepare(
            tmp_path / "in",
            tmp_path / flag,
            tracker_id="bounded",  # a process keeps a tracker under its name
            make_tracker=prep_helpers.BoundedTracker,
            cache_dir=str(tmp_path / "cache"),
            eval_split_fraction=0.0,
            pitch_range=flag,
        )
        (first, *_) = prep_helpers.read_examples(tmp_path / flag, "train")
        pitch[flag] = np.median(first["f0_hz"])
        (row,) = json.loads((tmp_path / flag / "statistics.json").read_text())[
            "recordings"
        ]
        assert row["tracked_octaves"] == (-1 if flag == "auto" else 0)
        assert "above CREPE's range" in row["notes"][0]
        assert row["notes"][0] in html.unescape(
            (tmp_path / flag / "dataset.html").read_text()
        )
    assert pitch["auto"] == pytest.approx(3000.0, rel=0.01)
    assert pitch["crepe"] == pytest.approx(1500.0, rel=0.01)


@pytest.mark.slow
def test_long_recording_of_many_segments_equals_the_whole(tmp_path, monkeypatch):
    """Two and a half minutes: examples cross the borders of segments."""
    prep_helpers.write_tones(tmp_path / "in", [150.0], rate=16000)
    prep_helpers.prepare(
        tmp_path / "in", tmp_path / "out", example_secs=8.0, hop_secs=8.0
    )
    from prep import features

    clip = decode.load_audio(tmp_path / "in" / "tone0.wav", 16000)
    whole = features.compute_features(clip, tracker=prep_helpers.StubTracker())
    crossing = 0
    for example in prep_helpers.read_examples(tmp_path / "out", "train"):
        start = round(float(example["start_secs"][0]) * 250)
        crossing += start // 15000 != (start + 1999) // 15000
        for key in ("f0_hz", "loudness_db"):
            np.testing.assert_array_equal(
                example[key], whole[key][start : start + 2000]
            )
    assert crossing
    shutil.rmtree(tmp_path / "out")
