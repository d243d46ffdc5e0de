import pathlib

import pytest

from evaluation.pairs import pairing
from prep import errors


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return str(folder)


def test_folders_are_paired_by_names_without_endings(tmp_path):
    refs = touch(tmp_path / "refs", "a.wav", "b.flac", "c.wav", "notes.txt")
    outs = touch(tmp_path / "gru", "b.mp3", "a.wav", "d.wav")
    found = pairing.match(refs, [outs])
    assert [pair.name for pair in found.pairs] == ["a", "b"]
    assert found.pairs[1].reference.name == "b.flac"
    assert found.pairs[1].estimates == {"gru": pathlib.Path(outs) / "b.mp3"}
    told = {pathlib.Path(path).name: why for path, why in found.unpaired.items()}
    assert told == {
        "c.wav": "no rendering of it by gru",
        "d.wav": "no recording of this name",
    }


def test_folders_in_folders_keep_their_paths(tmp_path):
    touch(tmp_path / "refs/soft", "a.wav")
    touch(tmp_path / "refs/loud", "a.wav")
    touch(tmp_path / "outs/loud", "a.wav")
    found = pairing.match(str(tmp_path / "refs"), [str(tmp_path / "outs")])
    assert [pair.name for pair in found.pairs] == ["loud/a"]


def test_a_star_stands_for_what_names_share(tmp_path):
    all_of = touch(
        tmp_path / "all", "1_gt.wav", "2_gt.wav", "1_x_gru.wav", "2_x_gru.wav", "1.wav"
    )
    found = pairing.match(f"{all_of}/*_gt.wav", [f"{all_of}/*_x_gru.wav"])
    assert [pair.name for pair in found.pairs] == ["1", "2"]
    assert list(found.sources) == ["x_gru"]
    assert found.unpaired == {}


def test_two_files_are_a_pair_whatever_their_names(tmp_path):
    folder = touch(tmp_path, "take.wav", "mine.mp3")
    found = pairing.match(f"{folder}/take.wav", [f"best={folder}/mine.mp3"])
    assert [pair.name for pair in found.pairs] == ["take"]
    assert found.pairs[0].estimates["best"].name == "mine.mp3"


def test_a_table_names_every_file_and_the_recordings_they_are_of(tmp_path):
    touch(tmp_path, "r1.wav", "r2.wav", "a1.wav", "a2.wav", "b1.wav", "b2.wav")
    table = tmp_path / "pairs.csv"
    table.write_text(
        "reference;recording;a;b\nr1.wav;take 1;a1.wav;b1.wav\n"
        f"r2.wav;take 1;a2.wav;{tmp_path}/b2.wav\n",
        "utf-8-sig",
    )
    found = pairing.read_table(table)
    assert [pair.recording_id for pair in found.pairs] == ["take 1", "take 1"]
    assert [pair.name for pair in found.pairs] == ["r1", "r2"]
    assert found.pairs[1].estimates["b"] == tmp_path / "b2.wav"
    assert list(found.sources) == ["a", "b"]


@pytest.mark.parametrize(
    ("reference", "estimates", "told"),
    [
        ("refs", ["nowhere"], "--estimate='{}/nowhere': no such file"),
        ("refs", ["others"], "(x, y) is named as one of"),
        ("refs", ["outs", "outs"], "the name 'outs' is taken"),
        ("refs", ["recording=outs"], "the name 'recording' is the recordings'"),
        (
            "refs",
            ["recording-seed1=outs"],
            "the name 'recording-seed1' is the recordings'",
        ),
        ("refs", ["=outs"], "names no system"),
        ("refs", ["outs/*_*.wav"], "has a * in a folder's name or several"),
        ("refs", ["outs", "half"], "no recording of --reference"),
        ("twice", ["outs"], "holds both a.flac and a.wav"),
        ("text", ["outs"], "holds no recording"),
    ],
)
def test_what_cannot_be_paired_is_refused_in_a_sentence(
    tmp_path, reference, estimates, told
):
    touch(tmp_path / "refs", "a.wav", "b.wav")
    touch(tmp_path / "outs", "a.wav")
    touch(tmp_path / "half", "b.wav")
    touch(tmp_path / "others", "x.wav", "y.wav")
    touch(tmp_path / "twice", "a.wav", "a.flac")
    touch(tmp_path / "text", "a.txt")
    given = []
    for one in estimates:
        name, equals, source = one.rpartition("=")
        given.append(f"{name}{equals}{tmp_path / source}")
    with pytest.raises(errors.InputError) as caught:
        pairing.match(str(tmp_path / reference), given)
    assert told.format(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "begins with nothing"),
        ("reference\nr.wav\n", "must be 'reference' and the name of each system"),
        ("a,b\nr.wav,r.wav\n", "must be 'reference'"),
        ("reference,a,a\nr.wav,r.wav,r.wav\n", "each once"),
        ("reference,a\n", "holds no pair"),
        ("reference,a\nr.wav\n", "row 2: no 'a'"),
        ("reference,a\nr.wav,gone.wav\n", "row 2: there is no file"),
        ("reference,a\nr.wav,a, b.wav\n", "row 2: 3 cells for 2 columns"),
        ("reference,a,\nr.wav,r.wav,r.wav\n", "names no system"),
        (
            "reference,recording_seed1\nr.wav,r.wav\n",
            "the name 'recording_seed1' is the recordings'",
        ),
    ],
)
def test_a_table_that_says_too_little_is_refused(tmp_path, text, told):
    touch(tmp_path, "r.wav")
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(errors.InputError, match=told):
        pairing.read_table(tmp_path / "pairs.csv")


def test_pairs_of_one_name_are_numbered(tmp_path):
    """One recording played three times, of which a file is named as a number is."""
    touch(tmp_path, "a.wav", "a.flac", "a (2).wav", "x.wav")
    table = tmp_path / "pairs.csv"
    references = ("a.wav", "a (2).wav", "a.flac", "a.wav")
    rows = "".join(f"{name},x.wav,\n" for name in references)  # an empty cell too many
    table.write_text(f"reference,x\n{rows}")
    found = pairing.read_table(table).pairs
    assert [pair.name for pair in found] == ["a", "a (2)", "a (3)", "a (4)"]
    assert found[0].recording_id == found[3].recording_id == "a.wav"
