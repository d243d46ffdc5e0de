import os

import pytest

from prep.recordings import find


@pytest.fixture
def folder(tmp_path):
    for name in (
        "b.wav",
        "a.FLAC",
        "notes.txt",
        "sub/c.mp3",
        "sub/deep/d.ogg",
        "e.m4a",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def test_folder_is_searched_to_any_depth(folder):
    found = find.find_recordings([str(folder)])
    assert found.names == ("a.FLAC", "b.wav", "e.m4a", "sub/c.mp3", "sub/deep/d.ogg")
    assert all(os.path.isabs(path) for path in found.paths)
    assert found.passed_over == {".txt": 1}


def test_glob_passes_over_a_folder_that_matches(folder):
    (folder / "looks_like.wav").mkdir()
    found = find.find_recordings([str(folder / "*.wav")])
    assert found.names == ("b.wav",)
    assert found.passed_over == {"folder": 1}


@pytest.mark.parametrize("name", ["take [1]", "what?", "a*b"])
def test_relative_glob_is_one_in_a_folder_with_a_name_like_a_pattern(
    folder, monkeypatch, name
):
    (folder / name / "sub").mkdir(parents=True)
    (folder / name / "sub" / "b.wav").touch()
    monkeypatch.chdir(folder / name)
    for pattern, names in (("*/*.wav", ("sub/b.wav",)), ("sub/?.wav", ("b.wav",))):
        found = find.find_recordings([pattern])
        assert found.names == names
        assert found.paths == (str(folder / name / "sub" / "b.wav"),)


def test_single_file_needs_no_known_ending(folder):
    assert find.find_recordings([str(folder / "notes.txt")]).names == ("notes.txt",)


def test_file_named_twice_is_found_once(folder):
    found = find.find_recordings([str(folder), str(folder / "b.wav")])
    assert sorted(found.names).count("b.wav") == 1


def test_equal_names_of_two_folders_become_distinct(tmp_path):
    for parent in ("x", "y"):
        (tmp_path / parent).mkdir()
        (tmp_path / parent / "a.wav").write_bytes(b"x")
    found = find.find_recordings([str(tmp_path / "x"), str(tmp_path / "y")])
    assert len(set(found.names)) == 2


def test_names_are_unique_over_both_flags(tmp_path):
    for parent in ("x", "y"):
        (tmp_path / parent).mkdir()
        for name in ("a.wav", f"{parent}.wav"):
            (tmp_path / parent / name).touch()
    one, two = (find.find_recordings([str(tmp_path / part)]) for part in ("x", "y"))
    assert find.name_apart(one, two).names == (str(tmp_path / "x" / "a.wav"), "x.wav")
    assert find.name_apart(two, one).names == (str(tmp_path / "y" / "a.wav"), "y.wav")
    assert find.name_apart(one, one) == one  # a file has one name


def test_strange_names_are_found(tmp_path):
    names = ["two words.wav", "line\nbreak.wav", "höhe-音.wav", "[brackets]*.wav"]
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / os.fsdecode(b"\xff\xfe.wav")).write_bytes(b"x")
    found = find.find_recordings([str(tmp_path)])
    assert set(names) < set(found.names)
    assert len(found.names) == len(names) + 1
    one = find.find_recordings([str(tmp_path / names[3])])
    assert one.names == (names[3],)


def test_loop_of_links_ends(folder):
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "self.wav").symlink_to(folder / "self.wav")
    found = find.find_recordings([str(folder)])
    assert found.names.count("b.wav") == 1
    assert "self.wav" in found.names  # the probe says why it cannot be read


def test_link_to_a_folder_is_followed(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "z.wav").write_bytes(b"x")
    (folder / "linked").symlink_to(elsewhere)
    assert "linked/z.wav" in find.find_recordings([str(folder)]).names


@pytest.mark.parametrize("pattern", ["nowhere", "*.nope", "sub/**/*.wav"])
def test_nothing_found_says_what_was_searched(folder, pattern):
    with pytest.raises(FileNotFoundError, match="--input=") as caught:
        find.find_recordings([str(folder / pattern)])
    assert str(folder) in str(caught.value)


def test_folder_that_cannot_be_opened_keeps_its_name(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert find.find_recordings([str(tmp_path)]).names == (tmp_path.name,)


def test_glob_that_matches_folders_alone_says_so(tmp_path):
    (tmp_path / "a.wav").mkdir()
    with pytest.raises(FileNotFoundError, match=r"--eval_input=.*: 1 other entries"):
        find.find_recordings([str(tmp_path / "*.wav")], flag="--eval_input")


def test_folder_without_audio_names_the_endings(tmp_path):
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(FileNotFoundError, match=r"1 other entries.*\.flac.*\.wav"):
        find.find_recordings([str(tmp_path)])


def test_formats_that_no_decoder_reads_are_passed_over(tmp_path):
    """Sound Designer II has its format in a Mac's resource fork."""
    for name in ("a.sd2", "b.wav"):
        (tmp_path / name).touch()
    found = find.find_recordings([str(tmp_path)])
    assert found.names == ("b.wav",) and found.passed_over == {".sd2": 1}
