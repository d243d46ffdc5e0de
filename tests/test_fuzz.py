"""Every file that is read back, damaged at random: a result, a skip, or one sentence.

`KINDS` lists all kinds of file, who reads each, and how many mutants of it are read.
Recordings have their own: `tests/prep/recordings/test_fuzz.py`, 18 formats, 40 mutants
each, through both decoders twice; `tests/evaluation/render/test_midi_file.py` mutates
every odd MIDI file that it knows.
"""

import dataclasses
import json
import pathlib
import random
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from evaluation.matrix import history
from evaluation.matrix import note
from evaluation.matrix import results
from evaluation.render import control_csv
from evaluation.render import midi
from evaluation.render import transfer
from evaluation.report import placement
from evaluation.scoring import pitch_tracking
from evaluation.scoring import rows as rows_lib
from evaluation.scoring import training_log
from evaluation.summary import builder
from models.config import gin_config
from models.config import vetting
from models.data import record_index
from models.runs import checkpoints
from models.runs import layout
from models.runs import loading
from models.runs import metrics_log
from models.runs import record
from models.teaching import targets
from prep import errors
from prep.dataset import feature_cache
from prep.dataset import info
from prep.dataset import layout as dataset_layout
from prep.dataset import tfrecords
from prep.pitch import torch_file
from prep.plan import plan as plan_lib
from tests.evaluation.matrix import test_results
from tests.evaluation.render import test_midi_file
from tests.helpers import evaluation_helpers
from tests.helpers import mutations
from tests.helpers import render_helpers
from tests.helpers import training_helpers
from tests.helpers import training_toy

SENTENCES = (errors.InputError, FileNotFoundError)
HEARD = render_helpers.HEARD


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: Of the file in its folder.
        write: Writes a sound one, and what else its reader needs, into a folder.
        read: Reads the folder's; raises a sentence, or returns what it could use.
        n_mutants: How many are read.
        refusals: Exceptions that stand for one sentence.
        values: Whether it is JSON (a row a line, for .jsonl), mutated as such too.
        least_refused: Share of the mutants that must not pass for sound.
    """

    name: str
    write: Callable[[pathlib.Path], object]
    read: Callable[[pathlib.Path], object]
    n_mutants: int = 300
    refusals: tuple[type[Exception], ...] = SENTENCES
    values: bool = True
    least_refused: float = 0.0


# --- how each is written ---


def _write_run(folder):
    fields = {
        "schema_version": record.SCHEMA_VERSION,
        "outcome": "finished",
        "starts": [{"command": ["ddsp_run", "--steps=5"], "plan_hash": "a", "pid": 1}],
        "config": "x = 1",
        "plan_hash": "a",
        "data_dir": "data",
        "dataset": {"plan_hash": "a", "sample_rate": 16000, "n_samples": 64000},
        "seed": 0,
        "best_loss": 4.5,
        "best_step": 5,
        "lessons": {"steps": 3},
    }
    record.write_run(folder, fields)


def _write_log(folder):
    rows = [
        {
            "step": step,
            "losses/total_loss": 5.0 - 0.1 * step,
            "held_out/spectral_distance": 4.5,
            "held_out/best_step": step,
            "controls/normalized_entropy": 0.5,
            "alarms": ["noise"],
        }
        for step in range(8)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / layout.METRICS_NAME).write_text(text)


def _write_statistics(folder):
    quantiles = {"quantiles": np.linspace(40, 80, 101).tolist()}
    document = {"pitch_midi": quantiles, "loudness_db_voiced": quantiles}
    (folder / dataset_layout.STATISTICS).write_text(json.dumps(document))


def _write_cache_entry(folder):
    features = np.arange(60, dtype=np.float32).reshape(3, 20)
    feature_cache.write(folder / "entry.npy", features, temporary=folder)


def _write_heard(folder):
    pitch_tracking._write_entry(folder / "entry.npy", np.ones((2, 20), np.float32))


def _write_shard(folder):
    made = [training_helpers.make_example(i, example_secs=0.1)[0] for i in range(3)]
    tfrecords.write_records(folder / "train.tfrecord-00000-of-00001", made)


def _write_checkpoint(folder):
    tree = tf.train.Checkpoint(model=tf.train.Checkpoint(w=tf.Variable(tf.ones([40]))))
    tree.write(str(folder / "ckpt-7"))


def _write_events(folder):
    with tf.summary.create_file_writer(str(folder)).as_default():
        for step in range(4):
            tf.summary.scalar("loss", 1.0, step=step)
    next(folder.glob("events*")).rename(folder / "events")


def _write_matrix(folder):
    failed = {"exit_code": 3, "outcome": "not begun", "said": ["it broke"]}
    rows = [
        test_results.row(folder, "stage1"),
        test_results.row(folder, "stage3", state="failed", **failed),
    ]
    test_results.write(folder, rows, reports={"shuffled": "no scorecard"})


def _write_summary(folder):
    test_results.scorecard(folder / "report", {})
    (folder / "report" / "summary.json").rename(folder / "summary.json")


def _write_scores(folder):
    refs, trackers = evaluation_helpers.references(
        [60, 67], rng=np.random.default_rng(1)
    )
    rows = rows_lib.make_rows(
        refs,
        {"a": evaluation_helpers.copies(refs, trackers)},
        runs={"a": {"path": "runs/a", "step": 1, "seed": 0, "config_hash": "x"}},
    )
    rows_lib.write_rows(rows, folder / rows_lib.SCORES_NAME)


def _write_weights(folder):
    """As torch writes them; torch itself is not needed."""
    import shutil

    from prep.pitch import weights

    found = weights.find_weights("tiny")
    shutil.copyfile(found, folder / "weights.pth")


def _write_targets(folder):
    for key in targets.teacher.KEYS:
        np.save(folder / f"{key}.npy", np.ones((2, 5, 3), np.float16))


# --- how each is read ---


def _read_shard(folder):
    index = record_index.RecordIndex([folder / "train.tfrecord-00000-of-00001"])
    return [index.read(place) for place in range(len(index))]


def _read_checkpoint(folder):
    problem = checkpoints.verify(str(folder / "ckpt-7"))
    if problem:
        raise errors.InputError(problem)


def _read_log(folder):
    return training_log.track(training_log.read_rows(folder))


def _read_matrix(folder):
    found = history.read(folder, test_results.dataset(folder))
    document = {
        **history.merge(
            found, experiments=[], rows=[], reports={}, skipped={}, command=["x"]
        ),
        "dataset": history.facts(test_results.dataset(folder)),
        "machine": {"cores": 2, "gpus": []},
        "versions": {},
    }
    return results.to_text(document)


def _read_midi(folder):
    played = midi.read_midi(folder / "a.mid", frame_rate=250, heard=HEARD)
    assert np.isfinite(played.f0_hz).all() and np.isfinite(played.loudness_db).all()


def _read_table(folder):
    played = control_csv.Table(folder / "a.csv", frame_rate=250).performance(HEARD)
    assert np.isfinite(played.f0_hz).all() and np.isfinite(played.loudness_db).all()


def _read_gin(folder):
    gin_config.parse_files(gin_config.Sources(gin_files=(str(folder / "toy.gin"),)))


def _read_saved_gin(folder):
    vetting.check_statements((folder / "toy.gin").read_text("utf-8", "replace"))


def _build_saved(folder):
    text = loading.read_config(folder)
    loading.build_model(text, lengths={"n_samples": 320, "n_frames": 5})


TOY_MODEL = """import tests.helpers.training_toy
get_model.model = @training_toy.ToyModel()
training_toy.ToyModel.n_hidden = 3
training_toy.ToyModel.noise = 0.01
"""
TABLE = "secs,f0_hz,loudness_db,f0_confidence\n" + "".join(
    f"{i / 250:.3f},440.0,-20.0,0.9\n" for i in range(6)
)
TRACKED = "time,frequency,confidence\n" + "".join(
    f"{i / 100:.2f},440.0,0.9\n" for i in range(9)
)
MIDI = next(iter(test_midi_file.PLAYED.values()))


def text_file(name, text):
    return lambda folder: (folder / name).write_text(text)


KINDS = {
    # What preparation leaves, read by preparation, training, evaluation and rendering.
    "plan": Kind(
        "plan.json",
        lambda f: (f / "plan.json").write_text(training_helpers.make_plan().to_json()),
        lambda f: plan_lib.Plan.from_json((f / "plan.json").read_bytes()),
        least_refused=0.5,
    ),
    "dataset_info": Kind(
        info.INFO_NAME,
        lambda f: training_helpers.write_dataset(f, example_secs=0.1),
        lambda f: info.read_dataset_info(f).macros(),
        refusals=(*SENTENCES, ValueError),
        least_refused=0.25,
    ),
    "statistics": Kind(
        dataset_layout.STATISTICS, _write_statistics, transfer.read_heard
    ),
    "shard": Kind(
        "train.tfrecord-00000-of-00001",
        _write_shard,
        _read_shard,
        refusals=(*SENTENCES, ValueError),
        values=False,
    ),
    "feature cache": Kind(
        "entry.npy",
        _write_cache_entry,
        lambda f: feature_cache.read(f / "entry.npy"),
        values=False,
    ),
    "pitch cache": Kind(
        "entry.npy",
        _write_heard,
        lambda f: pitch_tracking._read_entry(f / "entry.npy"),
        values=False,
    ),
    "targets": Kind(
        f"{targets.teacher.KEYS[0]}.npy",
        _write_targets,
        lambda f: targets.read(f, n_examples=2),
        values=False,
    ),
    "CREPE weights": Kind(
        "weights.pth",
        _write_weights,
        lambda f: torch_file.read_tensors(f / "weights.pth"),
        n_mutants=60,
        refusals=(ValueError,),
        values=False,
    ),
    # What training leaves.
    "run": Kind(layout.RUN_NAME, _write_run, record.read_record),
    "metrics": Kind(layout.METRICS_NAME, _write_log, _read_log),
    "checkpoint index": Kind(
        "ckpt-7.index", _write_checkpoint, _read_checkpoint, 100, values=False
    ),
    "checkpoint data": Kind(
        "ckpt-7.data-00000-of-00001",
        _write_checkpoint,
        _read_checkpoint,
        100,
        values=False,
    ),
    "events": Kind(
        "events",
        _write_events,
        lambda f: metrics_log.drop_events_after(f / "events", 2),
        n_mutants=60,
        values=False,
    ),
    "saved configuration": Kind(
        "toy.gin",
        text_file("toy.gin", training_toy.TOY_GIN),
        _read_saved_gin,
        values=False,
    ),
    "model of a saved configuration": Kind(
        "operative_config-0.gin",
        text_file("operative_config-0.gin", TOY_MODEL),
        _build_saved,
        n_mutants=40,
        values=False,
    ),
    # What the matrix and reports leave.
    "matrix": Kind(results.JSON_NAME, _write_matrix, _read_matrix),
    "matrix note": Kind(
        note.NOTE_NAME, lambda f: note.write_secs(f, 3.5), note.read_secs
    ),
    "summary": Kind(
        builder.SUMMARY_NAME, _write_summary, lambda f: results._verdict(str(f))
    ),
    "summary in the way": Kind(
        builder.SUMMARY_NAME,
        _write_summary,
        lambda f: placement.check_replaceable(f, overwrite=True),
    ),
    "scores": Kind(
        rows_lib.SCORES_NAME,
        _write_scores,
        lambda f: rows_lib.read_rows(f / rows_lib.SCORES_NAME),
    ),
    # What a person gives.
    "gin file": Kind(
        "toy.gin",
        text_file("toy.gin", training_toy.TOY_GIN),
        _read_gin,
        n_mutants=80,
        values=False,
    ),
    "MIDI": Kind(
        "a.mid", lambda f: (f / "a.mid").write_bytes(MIDI), _read_midi, values=False
    ),
    "curves": Kind("a.csv", text_file("a.csv", TABLE), _read_table, values=False),
    "tracker's curves": Kind(
        "a.csv", text_file("a.csv", TRACKED), _read_table, values=False
    ),
}


def mutants(kind: Kind, content: bytes):
    """Yields a kind's mutants: of its values, of its bytes, and nested deeply."""
    rng = random.Random(kind.name)
    for number in range(kind.n_mutants):
        if kind.values and number % 3:
            text = content.decode()
            if kind.name.endswith(".jsonl"):
                lines = text.splitlines()
                place = rng.randrange(len(lines))
                mutated = mutations.mutate_values(json.loads(lines[place]), rng)
                lines[place] = json.dumps(mutated)
                yield "\n".join(lines).encode() + b"\n"
            else:
                mutated = mutations.mutate_values(json.loads(text), rng)
                yield json.dumps(mutated).encode()
        elif number % 20 == 3:
            yield mutations.deep(content, rng)
        else:
            yield mutations.mutate_bytes(content, rng)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.long
def test_damaged_files_are_read_skipped_or_refused_in_one_sentence(tmp_path, name):
    kind = KINDS[name]
    kind.write(tmp_path)
    kind.read(tmp_path)  # a sound one
    if not (tmp_path / kind.name).exists():  # events without a later step
        kind.write(tmp_path)
    content = (tmp_path / kind.name).read_bytes()
    n_refused = 0
    for mutant in mutants(kind, content):
        (tmp_path / kind.name).write_bytes(mutant)
        try:
            kind.read(tmp_path)
        except kind.refusals as error:
            assert str(error) and "\n" not in str(error), mutant[:300]
            n_refused += 1
        except Exception as error:
            raise AssertionError(f"{error!r} for {mutant[:600]!r}") from error
    assert n_refused < kind.n_mutants  # some are read
    assert n_refused > kind.least_refused * kind.n_mutants or not kind.least_refused


def test_the_number_of_mutants_is_the_one_that_is_stated():
    page = (pathlib.Path(__file__).parents[1] / "docs" / "trust.md").read_text()
    n_all = sum(kind.n_mutants for kind in KINDS.values())
    assert f"{n_all:,} mutants of {len(KINDS)} kinds of file" in page
