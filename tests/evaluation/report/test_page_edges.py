"""Reports at their edges: a single clip, a run named as the recording."""

import json

import jsonschema
import numpy as np
import pytest

from evaluation.report import media
from evaluation.report import page
from evaluation.scoring import rows as rows_lib
from evaluation.summary import builder
from prep import errors
from tests.helpers import evaluation_helpers as helpers


@pytest.fixture(scope="module")
def clip():
    """One recording of one clip, and a rendering of it."""
    rng = np.random.default_rng(3)
    refs, trackers = helpers.references([64], rng=rng)
    change = helpers.degraded("frozen distribution", 0.15)
    return refs, helpers.system(refs, trackers, change=change, rng=rng)


def test_one_clip_makes_a_report_that_decides_nothing(clip, tmp_path):
    refs, one = clip
    helpers.write_report_inputs(
        tmp_path, {"stage5": one, "stage2": one}, refs, baseline="stage5"
    )
    page.write(tmp_path)
    document = json.loads((tmp_path / builder.SUMMARY_NAME).read_text())
    jsonschema.validate(document, helpers.SUMMARY_SCHEMA)
    assert [clip["role"] for clip in document["clips"]] == ["typical"]
    comparisons = document["comparisons"][0]["metrics"].values()
    assert {one["outcome"] for one in comparisons} == {"not decided"}
    for name in (page.PAGE_NAME, page.TEXT_NAME):
        text = (tmp_path / name).read_text()
        assert "1 clip of 1 s from 1 recording" in text
        assert "Only 1 clip of 1 recording to judge by" in text
        assert "none: 1 recording to judge by, 5 needed" in text
    assert (
        "its spectral loss is the median of stage2"
        in (tmp_path / page.PAGE_NAME).read_text()
    )


def test_a_run_named_as_the_recording_is_is_refused(clip, tmp_path):
    refs, one = clip
    with pytest.raises(ValueError, match="rename the run"):
        media.write_clip(refs[0], {"recording": one[0]}, tmp_path)
    assert list(tmp_path.iterdir()) == []


DAMAGES = {
    "missing": None,
    "bytes": b"\xff\xfe",
    "torn": b'{"schema_version": 2, "verdict": {',
    "another root": b"[]",
    "keys missing": b'{"schema_version": 2}',
    "deep": b"[" * 100_000,
    "later version": b"later",
}


@pytest.mark.parametrize("content", DAMAGES.values(), ids=list(DAMAGES))
@pytest.mark.parametrize("name", [builder.SUMMARY_NAME, rows_lib.SCORES_NAME])
def test_a_damaged_file_is_one_sentence_that_names_it(clip, tmp_path, name, content):
    refs, one = clip
    document = helpers.write_report_inputs(
        tmp_path, {"stage5": one, "stage2": one}, refs, baseline="stage5", n_media=0
    )
    if content == b"later":
        content = json.dumps(document | {"schema_version": 99}).encode()
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(errors.InputError, match=name) as error:
        page.write(tmp_path)
    assert len(str(error.value).splitlines()) == 1
