"""The order in which a dataset's files go, and what is left of them."""

import pathlib

import numpy as np
import pytest

from prep import settings as settings_lib
from prep.dataset import layout as layout_lib


@pytest.fixture
def layout(tmp_path):
    """A complete dataset and a file of somebody else."""
    layout = layout_lib.Layout(tmp_path / "data")
    layout.make_folders()
    for name in (*layout_lib.OWN_FILES, "train.tfrecord-00000-of-00001", "notes.txt"):
        layout.file(name).touch()
    return layout


def test_dataset_stops_being_complete_before_anything_of_it_goes(layout, monkeypatch):
    """A reader takes what says COMPLETED for whole; a kill may come at any moment."""
    gone = []
    unlink = pathlib.Path.unlink

    def spy(path, **options):
        unlink(path, **options)
        gone.append(path.name)

    monkeypatch.setattr(pathlib.Path, "unlink", spy)
    (layout.audio / "spool.f32").touch()
    layout_lib.remove_dataset(layout)
    assert gone[0] == "COMPLETED"
    # The plan tells that the rest is ours, so it stays until the rest is gone.
    assert gone[-1] == "plan.json"
    assert "train.tfrecord-00000-of-00001" in gone[1:-1]
    assert [path.name for path in sorted(layout.output.iterdir())] == [
        *(".prep", "notes.txt")
    ]
    assert list(layout.audio.iterdir()) == []


def test_own_files_are_listed_with_the_plan_last(layout):
    names = [path.name for path in layout_lib.own_paths(layout)]
    assert names[0] == "train.tfrecord-00000-of-00001"
    assert sorted(names[1:]) == sorted(layout_lib.OWN_FILES)
    assert names[-1] == "plan.json"
    layout.file("COMPLETED").unlink()
    assert "COMPLETED" not in [path.name for path in layout_lib.own_paths(layout)]


def test_what_a_killed_run_left_goes_and_its_features_stay(layout):
    for folder in (layout.temporary, layout.failures, layout.audio, layout.cache):
        (folder / "file").touch()
    layout_lib.clear_unfinished(layout)
    assert list(layout.temporary.iterdir()) == list(layout.failures.iterdir()) == []
    assert (layout.audio / "file").exists() and (layout.cache / "file").exists()
    layout_lib.tidy(layout)
    assert not layout.audio.exists() and not layout.temporary.exists()
    assert not layout.failures.exists() and (layout.cache / "file").exists()


def test_span_of_samples_is_filled_up_with_zeros(tmp_path):
    path = tmp_path / "spool.f32"
    np.arange(1, 11, dtype=np.float32).tofile(path)
    for start, stop, wanted in (
        (2, 5, [3, 4, 5]),
        (-2, 3, [0, 0, 1, 2, 3]),
        (8, 12, [9, 10, 0, 0]),
        (-3, -1, [0, 0]),
        (-1, 0, [0]),
        (20, 22, [0, 0]),
    ):
        span = layout_lib.read_span(path, start, stop)
        assert span.dtype == np.float32
        np.testing.assert_array_equal(span, wanted)


@pytest.mark.parametrize(
    ("name", "content", "is_ours"),
    [
        ("plan.json", '{\n "hash": "1"', True),  # cut off
        ("plan.json", '{"shards": []}', True),
        ("plan.json", '{"hash": "1"}', False),
        ("dataset_info.json", '{"plan_hash": "1"}', True),
        ("dataset_info.json", '{\n "hash": "1"', False),
    ],
)
def test_folder_is_ours_by_its_marks(tmp_path, name, content, is_ours):
    layout = layout_lib.Layout(tmp_path)
    layout.file(name).write_text(content)
    if is_ours:
        layout_lib.check_folder(layout, overwrite=False)
    else:
        with pytest.raises(settings_lib.PrepError, match=f"holds {name}, which"):
            layout_lib.check_folder(layout, overwrite=True)


def test_records_of_another_program_go_only_when_that_is_asked_for(tmp_path):
    layout = layout_lib.Layout(tmp_path)
    layout.file("train.tfrecord-00000-of-00001").touch()
    with pytest.raises(settings_lib.PrepError, match="--overwrite"):
        layout_lib.check_folder(layout, overwrite=False)
    layout_lib.check_folder(layout, overwrite=True)


def test_link_in_place_of_the_work_folder_is_refused(tmp_path):
    layout = layout_lib.Layout(tmp_path / "data")
    (tmp_path / "elsewhere").mkdir()
    layout.output.mkdir()
    layout.work.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(settings_lib.PrepError, match="symbolic link"):
        layout_lib.check_folder(layout, overwrite=True)


def test_second_run_is_told_who_holds_the_folder(layout):
    (layout.work / "lock").write_text("a longer text, of a run long ago" * 9)
    with layout_lib.locked(layout):
        with pytest.raises(
            settings_lib.PrepError, match=r"run \(process \d+ on [^,]+\) is"
        ):
            with layout_lib.locked(layout):
                pass
    with layout_lib.locked(layout):
        pass


def test_names_of_features_are_spread_over_folders(tmp_path):
    layout = layout_lib.Layout(tmp_path, str(tmp_path / "cache"))
    assert layout.features("abcd", 7) == tmp_path / "cache" / "ab" / "abcd-00007.npy"
    assert layout.spool("ef", 16000).name == "ef-16000.f32"
    assert layout_lib.Layout(tmp_path).cache == tmp_path / ".prep" / "cache"


def test_folders_are_those_that_a_person_means(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    layout = layout_lib.Layout("~/data", "~/x")
    assert (layout.output, layout.cache) == (tmp_path / "data", tmp_path / "x")
    for folders in (("gs://b/x",), ("data", "s3://b/x")):
        with pytest.raises(settings_lib.PrepError, match=r"b/x is an address"):
            layout_lib.Layout(*folders)


def test_json_is_the_same_whatever_the_order_and_no_nan():
    assert layout_lib.to_json({"b": 1, "a": ["é"]}) == (
        '{\n "a": [\n  "\\u00e9"\n ],\n "b": 1\n}\n'
    )
    with pytest.raises(ValueError, match="JSON"):
        layout_lib.to_json({"a": float("nan")})
