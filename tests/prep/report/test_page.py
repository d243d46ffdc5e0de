import html.parser
import json

import numpy as np
import pytest
import soundfile

from prep.report import distribution
from prep.report import statistics as dataset_statistics
from tests.helpers import prep_helpers


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    prep_helpers.write_tones(folder / "in", [3.0, 6.0, 4.0])
    loud = np.clip(prep_helpers.tone(5.0, level=3.0), -1, 1)
    soundfile.write(folder / "in" / "clipped.wav", loud, 16000)
    # The stub's confidence is level: an interlude of faint noise has no pitch for it.
    noisy = prep_helpers.tone(5.0)
    noise = np.random.default_rng(1).uniform(-0.1, 0.1, 24000)
    noisy[16000:40000] = noise
    soundfile.write(folder / "in" / "noisy.wav", noisy, 16000)
    (folder / "in" / "broken.wav").write_text("x")
    prep_helpers.prepare(folder / "in", folder / "out", max_rejected=0.5)
    return folder / "out"


@pytest.fixture
def statistics(dataset):
    return json.loads((dataset / "statistics.json").read_text())


def test_quantiles_are_those_of_numpy(rng):
    values = rng.normal(60, 7, 20000)
    found = distribution.Distribution(distribution.PITCH)
    for part in np.array_split(values, 9):
        found.add(part)
    summary = found.summary()
    wanted = np.percentile(values, np.arange(101))
    np.testing.assert_allclose(summary["quantiles"], wanted, atol=0.05)
    assert summary["mean"] == pytest.approx(values.mean(), abs=1e-3)
    assert summary["std"] == pytest.approx(values.std(), abs=1e-3)
    assert summary["quantiles"][0] == pytest.approx(values.min(), abs=1e-3)
    assert sum(found.histogram()["counts"]) == 20000


def test_quantiles_of_two_values_far_apart():
    found = distribution.Distribution(distribution.LOUDNESS)
    found.add(np.array([-70.0] * 50 + [10.0] * 50))
    quantiles = found.summary()["quantiles"]
    assert quantiles[40] == pytest.approx(-70, abs=0.06)
    assert quantiles[60] == pytest.approx(10, abs=0.06)


def test_no_values_have_no_summary():
    found = distribution.Distribution(distribution.PITCH)
    assert found.summary() is None


@pytest.mark.parametrize(
    "midi, name", [(69, "A4"), (60, "C4"), (69.4, "A4"), (0, "C-1")]
)
def test_note_names(midi, name):
    assert dataset_statistics.note_name(midi) == name


def test_every_used_frame_counts_once(dataset, statistics):
    info = json.loads((dataset / "dataset_info.json").read_text())
    used = sum(split["seconds"] for split in info["splits"].values())
    assert statistics["seconds"] == pytest.approx(used)
    assert statistics["loudness_db"]["n"] == round(used * 250)
    parts = [split["seconds"] for split in statistics["splits"].values()]
    assert sum(parts) == pytest.approx(used)


def test_recordings_are_described(statistics):
    by_name = {r["name"]: r for r in statistics["recordings"]}
    assert set(by_name) == {
        "clipped.wav",
        "noisy.wav",
        "tone0.wav",
        "tone1.wav",
        "tone2.wav",
    }
    assert any("clipped" in note for note in by_name["clipped.wav"]["notes"])
    assert by_name["tone1.wav"]["notes"] == []
    assert any("noisy" in note for note in by_name["noisy.wav"]["notes"])
    # The stub counts zero crossings: 220 Hz is within its 15.6 Hz of A3.
    assert by_name["tone0.wav"]["median_pitch_midi"] == pytest.approx(57, abs=1.5)


class Outside(html.parser.HTMLParser):
    """Collects what a page would load from elsewhere, and its open tags."""

    def __init__(self):
        super().__init__()
        self.addresses = []
        self.tags = {}

    def handle_starttag(self, tag, attributes):
        self.tags[tag] = self.tags.get(tag, 0) + 1
        for name, value in attributes:
            if name in ("src", "href") and not value.startswith("data:"):
                self.addresses.append(value)


def test_page_needs_nothing_else(dataset):
    text = (dataset / "dataset.html").read_text()
    page = Outside()
    page.feed(text)
    assert page.addresses == []
    assert "http" not in text.replace("http-equiv", "")
    assert page.tags["audio"] == 5
    assert page.tags["svg"] == 3 + 2 * 5
    for word in ("clipped.wav", "broken.wav", "not audio", "voiced", "Confidence"):
        assert word in text


def test_page_without_any_pitch_is_drawn(tmp_path):
    prep_helpers.write_tones(tmp_path / "in", [3.0, 6.0])
    prep_helpers.prepare(tmp_path / "in", tmp_path / "out", voiced_loudness_db=50.0)
    text = (tmp_path / "out" / "dataset.html").read_text()
    assert "There is not one such frame" in text
    statistics = json.loads((tmp_path / "out" / "statistics.json").read_text())
    assert statistics["voiced_share"] == 0
    assert statistics["pitch_midi"] is None
