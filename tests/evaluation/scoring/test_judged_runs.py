import dataclasses
import json
import pathlib
import shutil
import types

import pytest
from ddsp.training import preprocessing

from evaluation import evaluate
from evaluation import run_report
from evaluation import run_score
from evaluation.report import page
from evaluation.scoring import dataset_clips
from evaluation.scoring import judged_runs
from evaluation.scoring import rendering
from evaluation.summary import builder
from models.measures import frame_masks
from prep import command_line
from prep import errors
from tests.helpers import training_helpers

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]


def test_what_is_not_said_is_as_documented():
    assert dataclasses.asdict(judged_runs.JudgingOptions()) == {
        **dict(checkpoint="best", data_dir="", split="eval", max_clips=0, n_media=8),
        **dict(batch_size=4, seed=0, crepe_capacity="", allow_other_dataset=False),
        "masks": dataclasses.asdict(frame_masks.MaskSettings()),
    }


def make_run_dir(path):
    path.mkdir(parents=True)
    (path / "operative_config-0.gin").write_text("")
    return path


def parse(*words):
    return command_line.read_flags(run_report.PROGRAM, words)


def test_runs_are_found_once_with_the_baseline_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("stage1", "stage2", "stage5"):
        make_run_dir(tmp_path / "runs" / name)
    (tmp_path / "runs" / "empty").mkdir()
    (tmp_path / "runs" / "notes.txt").write_text("x")
    found = judged_runs.find_runs(
        baseline="runs/stage5", candidates=["runs/stage1"], patterns=["runs/*"]
    )
    assert [path.name for path in found.run_dirs] == ["stage5", "stage1", "stage2"]
    assert {path.name for path in found.optional} == {"stage2"}  # the rest was named


def test_a_glob_of_the_baseline_alone_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_run_dir(tmp_path / "runs" / "stage5")
    with pytest.raises(errors.InputError, match="no run to compare"):
        judged_runs.find_runs(
            baseline="runs/stage5", candidates=[], patterns=["runs/stage5"]
        )


@pytest.mark.parametrize(
    "given",
    [
        {"baseline": "runs/stage5"},
        {"candidates": ["runs/stage5"]},
        {"patterns": ["runs/*"]},
    ],
)
def test_a_run_may_stand_alone(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    make_run_dir(tmp_path / "runs" / "stage5")
    nothing = {"baseline": "", "candidates": [], "patterns": []}
    found = judged_runs.find_runs(**(nothing | given))
    assert found.baseline.name == "stage5" and not found.has_others


def test_without_a_baseline_the_first_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("stage1", "stage2"):
        make_run_dir(tmp_path / "runs" / name)
    found = judged_runs.find_runs(
        baseline="", candidates=["runs/stage2"], patterns=["runs/*"]
    )
    assert [path.name for path in found.run_dirs] == ["stage2", "stage1"]
    assert found.baseline.name == "stage2" and found.has_others


def test_no_run_at_all_is_refused():
    with pytest.raises(errors.InputError, match="there is no run to judge"):
        judged_runs.find_runs(baseline="", candidates=[], patterns=[])


@pytest.mark.parametrize("pattern", ["nowhere/*", "runs/notes*"])
def test_a_glob_that_matches_no_run_is_refused(tmp_path, monkeypatch, pattern):
    monkeypatch.chdir(tmp_path)
    make_run_dir(tmp_path / "runs" / "stage5")
    (tmp_path / "runs" / "notes").mkdir()
    with pytest.raises(errors.InputError, match="matches no run, seen from"):
        judged_runs.find_runs(
            baseline="runs/stage5", candidates=["runs/stage2"], patterns=[pattern]
        )


def test_two_runs_of_one_name_are_refused(tmp_path):
    for folder in ("a", "b"):
        make_run_dir(tmp_path / folder / "stage1")
    with pytest.raises(errors.InputError, match="two runs are named 'stage1'"):
        judged_runs.find_runs(
            baseline=str(tmp_path / "a/stage1"),
            candidates=[],
            patterns=[str(tmp_path / "*/stage1")],
        )


def test_a_run_that_only_started_is_found_so_that_it_can_be_listed(tmp_path):
    (tmp_path / "runs" / "stage2").mkdir(parents=True)
    (tmp_path / "runs" / "stage2" / "run.json").write_text("{}")
    found = judged_runs.match_runs(str(tmp_path / "runs" / "*"))
    assert [path.name for path in found] == ["stage2"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["stage2"], ""),
        (["stage2", "stage5-seed1"], "stage5-seed1 is another training of the"),
        (["stage5-seed1", "stage5_seed2"], "stage5-seed1, stage5_seed2 are other"),
    ],
)
def test_other_trainings_of_the_baseline_are_told_of(names, words):
    said = judged_runs.describe_twins(["stage5", *names])
    assert said.startswith(words) if words else said == ""
    assert len(said.splitlines()) == (1 if words else 0)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (errors.InputError("bad run"), command_line.EXIT_USAGE, "bad run"),
        (KeyboardInterrupt(), command_line.EXIT_INTERRUPTED, "interrupted"),
    ],
)
def test_what_fails_leaves_the_old_report_alone(
    tmp_path, monkeypatch, capsys, error, code, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / page.PAGE_NAME).write_text("old")
    summary = {"schema_version": builder.SCHEMA_VERSION, "verdict": {}}
    (tmp_path / "report" / builder.SUMMARY_NAME).write_text(json.dumps(summary))
    for name in ("a", "b"):
        make_run_dir(tmp_path / "runs" / name)

    def fail(*args, output, **kwargs):
        (output / "half").write_text("x")
        raise error

    monkeypatch.setattr(evaluate, "evaluate", fail)
    words_given = ("--baseline=runs/a", "--runs=runs/*", "--overwrite")
    assert command_line.run_words(run_report.PROGRAM, words_given) == code
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and words in said[0]
    left = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert left == [page.PAGE_NAME, builder.SUMMARY_NAME]


def test_names_cannot_steer_the_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ("--baseline=runs/\x1b[2Ja\nb", "--candidate=runs/b")
    assert command_line.run_words(run_report.PROGRAM, words) == command_line.EXIT_USAGE
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and r"runs/\x1b[2Ja\nb" in said


@pytest.mark.parametrize("word", ["--crepe_capacity=huge", "--batch_size=0"])
def test_impossible_flags_are_refused(word):
    with pytest.raises(command_line.UsageError):
        parse("--baseline=a", word)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("--min_confidence=50", "=50: give 0 to 1"),
        ("--min_confidence=-0.1", "give 0 to 1"),
        ("--min_confidence=nan", "=nan: give 0 to 1"),
        ("--audible_range_db=-5", "=-5: give dB above 0"),
        ("--audible_range_db=0", "give dB above 0"),
        ("--audible_range_db=inf", "give dB above 0"),
        ("--audible_range_db=nan", "give dB above 0"),
    ],
)
def test_thresholds_beyond_their_range_are_refused(word, told):
    for program, needed in (
        (run_report.PROGRAM, "--baseline=a"),
        (run_score.PROGRAM, "--pairs=x.csv"),
    ):
        with pytest.raises(command_line.UsageError, match=told):
            command_line.read_flags(program, (needed, word))


@pytest.mark.parametrize("word", ["--min_confidence=0", "--audible_range_db=0.1"])
def test_thresholds_in_their_range_are_taken(word):
    masks = run_report.make_options(parse("--baseline=a", word)).masks
    assert masks != frame_masks.MaskSettings()


def test_a_missing_run_is_one_clear_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("--baseline=runs/a", "--candidate=runs/b")
    assert command_line.run_words(run_report.PROGRAM, words) == command_line.EXIT_USAGE
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and "there is no run at runs/a" in said[0]


def test_a_run_without_a_checkpoint_is_refused(tmp_path):
    make_run_dir(tmp_path / "run")
    with pytest.raises(errors.InputError, match="no sound checkpoint"):
        rendering.open_run(tmp_path / "run", checkpoint="best")
    (tmp_path / "folder").mkdir()
    with pytest.raises(errors.InputError, match="it has no operative_config"):
        rendering.open_run(tmp_path / "folder", checkpoint="best")


@pytest.mark.parametrize(
    ("break_it", "match"),
    [
        (shutil.rmtree, "does not exist"),
        (lambda path: (path / "COMPLETED").unlink(), "not finished"),
    ],
)
def test_a_broken_dataset_is_refused(tmp_path, break_it, match):
    data = training_helpers.write_dataset(tmp_path / "data")
    break_it(data)
    with pytest.raises(errors.InputError, match=match):
        rendering.open_dataset(data)


def test_an_empty_eval_split_is_refused(tmp_path):
    data = training_helpers.write_dataset(tmp_path / "data", n_eval=0)
    with pytest.raises(errors.InputError, match="empty"):
        rendering.open_dataset(data)


class FakeRun:
    model = None

    def __init__(self, name, plan_hash, **rates):
        self.path = pathlib.Path(name)
        self.info = {"dataset": {"plan_hash": plan_hash, **rates}}
        self.data_dir = pathlib.Path("data")


def test_runs_of_different_datasets_are_refused():
    rendering.check_same_dataset([FakeRun("a", "1"), FakeRun("b", "1")])
    with pytest.raises(errors.InputError, match="allow_other_dataset"):
        rendering.check_same_dataset([FakeRun("a", "1"), FakeRun("b", "2")])


def test_a_dataset_of_other_rates_is_refused(tmp_path):
    dataset = rendering.open_dataset(training_helpers.write_dataset(tmp_path / "data"))
    rate = dataset.info.sample_rate
    rendering.check_rates([FakeRun("a", "1", sample_rate=rate)], dataset)
    rendering.check_rates([FakeRun("a", "1")], dataset)  # ddsp's own runs say nothing
    match = f"sample_rate 44100 where the dataset has {rate}"
    with pytest.raises(errors.InputError, match=match):
        rendering.check_rates([FakeRun("a", "1", sample_rate=44100)], dataset)


def test_ddsps_model_for_its_plugin_is_not_judged(tmp_path):
    dataset = rendering.open_dataset(training_helpers.write_dataset(tmp_path / "data"))
    run = FakeRun("a", "1")
    run.model = types.SimpleNamespace(
        preprocessor=preprocessing.OnlineF0PowerPreprocessor(
            crepe_saved_model_path=None
        )
    )
    with pytest.raises(errors.InputError, match="--for=ddsp_vst"):
        rendering.check_rates([run], dataset)


def test_a_run_of_fewer_frames_is_judged_with_them(tmp_path):
    data = training_helpers.write_dataset(tmp_path / "data")
    run = FakeRun("a", "1", frame_rate=50)
    dataset = rendering.open_dataset_of(run, data, split="eval")
    assert dataset.info.frame_rate == 50
    rendering.check_rates([run], dataset)
    stock = FakeRun("b", "1")  # says nothing
    assert rendering.open_dataset_of(stock, data).info.frame_rate == 250
    with pytest.raises(errors.InputError, match="--frame_rate=40"):
        rendering.open_dataset_of(FakeRun("c", "1", frame_rate=40), data)


def test_a_run_of_several_datasets_is_refused(tmp_path):
    """It may have trained on what the last one kept for judging."""
    dataset = rendering.open_dataset(training_helpers.write_dataset(tmp_path / "data"))
    mixed = FakeRun("a", "2")
    mixed.info |= {"plan_hash": "2", "starts": [{"plan_hash": "1"}, {"plan_hash": "2"}]}
    with pytest.raises(errors.InputError, match=r"(?s)1.*2"):
        rendering.check_rates([mixed], dataset)
    mixed.info["starts"] = [{"plan_hash": "2"}, {"plan_hash": "2"}]
    rendering.check_rates([mixed], dataset)


def test_clips_are_spread_over_recordings():
    recordings = ["a"] * 5 + ["b"] * 5 + ["c"]
    chosen = dataset_clips.spread(3, recordings)
    assert sorted(recordings[place] for place in chosen) == ["a", "b", "c"]
    assert dataset_clips.spread(0, recordings) == list(range(11))
    assert dataset_clips.spread(3, recordings) == chosen
