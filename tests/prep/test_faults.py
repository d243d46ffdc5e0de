"""What once lost a person's files or a whole preparation, each with its mend."""

import json
import os
import resource

import numpy as np
import pytest

from prep import preparation
from prep import settings as settings_lib
from prep.beam import runners
from prep.beam import steps
from prep.dataset import feature_cache
from prep.dataset import layout as dataset_layout
from prep.plan import plan as plan_lib
from prep.report import distribution
from prep.report import statistics
from tests.helpers import prep_helpers


@pytest.fixture
def source(tmp_path):
    prep_helpers.write_tones(tmp_path / "in", [3.0, 2.0, 2.5])
    return tmp_path / "in"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["statistics.json", "rejected.jsonl", "COMPLETED"])
def test_files_of_somebody_else_are_never_replaced(source, tmp_path, name, overwrite):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    for _ in range(2):  # the refusal leaves no mark of ours behind
        with pytest.raises(settings_lib.PrepError, match=rf"{name}, which ddsp_prep"):
            prep_helpers.prepare(source, out, overwrite=overwrite)
    assert [path.name for path in out.iterdir()] == [name]
    assert (out / name).read_text() == "mine"


def test_dataset_of_ours_without_its_work_folder_is_known_by_its_plan(source, tmp_path):
    out = tmp_path / "out"
    prep_helpers.prepare(source, out)
    layout = dataset_layout.Layout(out)
    os.rename(layout.work, tmp_path / "moved")
    assert "nothing to do" in prep_helpers.prepare(source, out)[-1]
    # Also when the plan is cut off: the message offers --overwrite.
    plan = layout.file("plan.json")
    plan.write_bytes(plan.read_bytes()[:40])
    with pytest.raises(
        settings_lib.PrepError, match=r"(?s)plan\.json.*--overwrite"
    ) as told:
        prep_helpers.prepare(source, out)
    assert "Traceback" not in str(told.value)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"[]", b'{"schema_version": 1}', b"[" * 100_000], ids=len
)
@pytest.mark.long
def test_damaged_plan_is_one_sentence(source, tmp_path, content):
    out = tmp_path / "out"
    prep_helpers.prepare(source, out)
    (out / "plan.json").write_bytes(content)
    with pytest.raises(settings_lib.PrepError, match="--overwrite"):
        prep_helpers.prepare(source, out)
    prep_helpers.prepare(source, out, overwrite=True)
    assert (out / "COMPLETED").exists()


def test_overwrite_finds_out_about_room_before_it_removes(
    source, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    prep_helpers.prepare(source, out)
    before = prep_helpers.contents(out)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(preparation.shutil, "disk_usage", lambda folder: usage)
    monkeypatch.setattr(plan_lib, "DESCRIPTION_BYTES", 1e9)
    with pytest.raises(settings_lib.PrepError, match=r"needs about .* are free"):
        prep_helpers.prepare(source, out, overwrite=True, hop_secs=0.5)
    assert prep_helpers.contents(out) == before


def test_cache_on_another_disk_needs_its_own_room(source, tmp_path, monkeypatch):
    cache = tmp_path / "cache"

    def usage(folder):
        return type("Usage", (), {"free": 10 if folder == cache else 1 << 40})

    monkeypatch.setattr(preparation, "_disk_of", lambda folder: folder == cache)
    monkeypatch.setattr(preparation.shutil, "disk_usage", usage)
    with pytest.raises(settings_lib.PrepError, match=r"in .*cache, and 10 B are free"):
        prep_helpers.prepare(source, tmp_path / "out", cache_dir=str(cache))


# --- cache ---


def _damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "flipped":
        content[200] ^= 0x40
    elif how == "nan":
        values = np.load(path)
        values[0, 3] = np.nan
        with open(path, "wb") as file:
            np.save(file, values)
        return
    elif how == "cut":
        del content[len(content) // 2 :]
    else:
        content = bytearray()
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["flipped", "nan", "cut", "empty"])
@pytest.mark.long
def test_damaged_cache_entry_is_computed_anew(source, tmp_path, how):
    cache = tmp_path / "cache"
    prep_helpers.prepare(source, tmp_path / "one", cache_dir=str(cache))
    for path in sorted(cache.rglob("*.npy")):
        _damage(path, how)
    prep_helpers.prepare(source, tmp_path / "two", cache_dir=str(cache))
    one, two = (prep_helpers.contents(tmp_path / n) for n in ("one", "two"))
    assert one == two


@pytest.mark.long
def test_cache_that_is_gone_when_all_shards_are_written_is_made_again(
    source, tmp_path, monkeypatch
):
    """Statistics need the features too: the job could never be finished."""
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "_finish", lambda job, say: None)
        prep_helpers.prepare(source, tmp_path / "out")
    for path in (tmp_path / "out" / ".prep" / "cache").rglob("*.npy"):
        path.unlink()
    prep_helpers.prepare(source, tmp_path / "out")
    prep_helpers.prepare(source, tmp_path / "fresh")
    assert prep_helpers.contents(tmp_path / "out") == prep_helpers.contents(
        tmp_path / "fresh"
    )


@pytest.mark.long
def test_samples_that_are_cut_off_are_decoded_anew(source, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "_finish", lambda job, say: None)
        prep_helpers.prepare(source, tmp_path / "out")
    for shard in (tmp_path / "out").glob("*.tfrecord-*"):
        shard.unlink()
    for spool in (tmp_path / "out" / ".prep" / "audio").iterdir():
        os.truncate(spool, spool.stat().st_size // 2)
    prep_helpers.prepare(source, tmp_path / "out")
    prep_helpers.prepare(source, tmp_path / "fresh")
    assert prep_helpers.contents(tmp_path / "out") == prep_helpers.contents(
        tmp_path / "fresh"
    )


def test_excerpt_that_does_not_fit_on_the_disk_is_an_error(tmp_path):
    """Closing the file is where a disk says that it is full."""
    path = tmp_path / "spool.f32"
    path.write_bytes(bytes(8000))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            steps._take_excerpt(path, 0, n_samples=1600, fade_size=10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("n_left", [0, 5, 100, 200])
def test_entry_that_was_not_written_to_its_end_is_none(tmp_path, n_left):
    """A file system may keep the length of a file and lose what is in it."""
    path = tmp_path / "entry.npy"
    values = np.arange(30, dtype=np.float32).reshape(3, 10)
    feature_cache.write(path, values, temporary=tmp_path)
    content = path.read_bytes()
    np.testing.assert_array_equal(feature_cache.read(path), values)
    np.testing.assert_array_equal(np.load(path), values)
    for torn in (content[:n_left], content[:n_left].ljust(len(content), b"\0")):
        path.write_bytes(torn)
        assert feature_cache.read(path) is None


def test_estimate_knows_the_cache(source, tmp_path):
    cache = str(tmp_path / "cache")
    said = prep_helpers.prepare(source, tmp_path / "one", cache_dir=cache)
    assert "cached" not in said[0]
    said = prep_helpers.prepare(
        source, tmp_path / "two", cache_dir=cache, hop_secs=0.5, dry_run=True
    )
    assert "pitch of 7.5 s by CREPE (full), 7.5 s of it cached: about 8.0 s" in said[0]


# --- what is left behind, and links ---


def test_linked_work_folder_is_refused_and_what_it_points_to_is_kept(source, tmp_path):
    precious = tmp_path / "precious"
    for name in ("audio", "tmp", "failures"):
        (precious / name).mkdir(parents=True)
        (precious / name / "mine").touch()
    out = tmp_path / "out"
    out.mkdir()
    (out / ".prep").symlink_to(precious)
    with pytest.raises(settings_lib.PrepError, match="is a symbolic link"):
        prep_helpers.prepare(source, out)
    assert len(list(precious.rglob("mine"))) == 3


def test_what_a_run_killed_after_completing_left_is_removed(
    source, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(dataset_layout, "tidy", lambda layout: None)
        prep_helpers.prepare(source, tmp_path / "out")
    audio = tmp_path / "out" / ".prep" / "audio"
    assert list(audio.iterdir())
    prep_helpers.prepare(source, tmp_path / "out")
    assert not audio.exists()


# --- growth and sentences ---


def test_statistics_keep_no_tally_a_recording(tmp_path, monkeypatch):
    """A tally is 0.13 MB: at 30,000 recordings they were 4 GB."""
    prep_helpers.write_tones(tmp_path / "in", [1.0] * 12)
    alive, most = set(), [0]

    class Counted(distribution.Distribution):
        def __init__(self, grid):
            super().__init__(grid)
            alive.add(id(self))
            most[0] = max(most[0], len(alive))

        def __del__(self):
            alive.discard(id(self))

    monkeypatch.setattr(statistics.distribution, "Distribution", Counted)
    prep_helpers.prepare(tmp_path / "in", tmp_path / "out")
    found = json.loads((tmp_path / "out" / "statistics.json").read_text())
    assert len(found["recordings"]) == 12
    # Of all, of two splits, of a recording and of the one before it: six each.
    assert most[0] <= 6 * 5


@pytest.mark.parametrize(
    "error, words",
    [
        (OSError(27, "File too large"), "ulimit -f"),
        (OSError(28, "No space left on device"), "--cache_dir"),
        (OSError(122, "Disk quota exceeded"), "the disk is full"),
    ],
    ids=["EFBIG", "ENOSPC", "EDQUOT"],
)
def test_limits_of_a_disk_have_a_sentence(source, tmp_path, monkeypatch, error, words):
    assert words in runners.explain(error)

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(steps.feature_cache, "write", fail)
    with pytest.raises(settings_lib.PrepError, match=words):
        prep_helpers.prepare(source, tmp_path / "out")
