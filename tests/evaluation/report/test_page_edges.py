"""Reports at their edges: a single clip, a run named as the recording."""

import json

import jsonschema
import numpy as np
import pytest

from evaluation.report import media
from evaluation.report import page
from evaluation.summary import builder
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


def test_a_run_named_as_the_recording_is_is_refused(clip, tmp_path):
    refs, one = clip
    with pytest.raises(ValueError, match="rename the run"):
        media.write_clip(refs[0], {"recording": one[0]}, tmp_path)
    assert list(tmp_path.iterdir()) == []
