"""Control curves that go out as CSV and come back."""

import numpy as np
import pytest

from evaluation.render import control_csv
from prep import errors
from tests.helpers import render_helpers

FRAME_RATE = render_helpers.FRAME_RATE


def test_performances_survive_a_csv(tmp_path):
    played = render_helpers.make_performance()
    control_csv.write_performance(tmp_path / "p.csv", played)
    table = control_csv.Table(tmp_path / "p.csv", frame_rate=FRAME_RATE)
    assert not table.has_controls
    for key in control_csv.PERFORMANCE_COLUMNS:
        np.testing.assert_allclose(
            getattr(table.performance(), key), getattr(played, key), rtol=1e-6
        )


def test_controls_survive_a_csv(tmp_path, rng):
    played = render_helpers.make_performance(5)
    controls = {
        "f0_hz": played.f0_hz[:, np.newaxis],
        "amps": rng.random((5, 1)).astype(np.float32),
        "harmonic_distribution": rng.random((5, 3)).astype(np.float32),
        "noise_magnitudes": rng.random((5, 2)).astype(np.float32),
    }
    writer = control_csv.Writer(tmp_path / "c.csv", played)
    writer.write({k: v[:2] for k, v in controls.items()}, 2)
    writer.write({k: v[2:] for k, v in controls.items()}, 3)
    writer.close()
    table = control_csv.Table(tmp_path / "c.csv", frame_rate=FRAME_RATE)
    assert table.has_controls
    (read,) = table.controls(n_harmonics=3, n_noise_bands=2)
    for key, value in controls.items():
        np.testing.assert_allclose(read[key], value, rtol=1e-6)
    with pytest.raises(errors.InputError, match="this model plays 60 and 65"):
        next(table.controls(n_harmonics=60, n_noise_bands=65))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("secs,f0_hz\n0,440\n", "no column 'loudness_db'"),
        ("f0_hz,loudness_db\n440,x\n", "line 2: loudness_db is 'x'"),
        ("f0_hz,loudness_db\n440\n", "line 2: 1 values for 2 columns"),
        ("f0_hz,loudness_db\n0,-20\n", "above 0"),
        ("f0_hz,loudness_db\nnan,-20\n", "line 2: f0_hz is 'nan', not a finite"),
        ("f0_hz,loudness_db\n", "no rows"),
        ("secs,f0_hz,loudness_db\n0,440,-20\n0.01,440,-20\n", "draw it at 250 rows"),
        (
            "secs,f0_hz,loudness_db\n0,440,-20\n0.004,440,-20\n0.012,440,-20\n",
            "line 4 comes 0.0080 s after the one before",
        ),
        ("", "no column 'f0_hz'; it has none"),
    ],
)
def test_bad_tables_are_refused(tmp_path, text, reason):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(errors.InputError, match=reason):
        control_csv.Table(tmp_path / "bad.csv", frame_rate=FRAME_RATE)


def test_tables_of_spreadsheets_are_read(tmp_path):
    text = "f0_hz,loudness_db\n440,-20\n"
    (tmp_path / "sheet.csv").write_text(text, encoding="utf-8-sig")
    table = control_csv.Table(tmp_path / "sheet.csv", frame_rate=FRAME_RATE)
    assert table.performance().f0_hz.tolist() == [440.0]
