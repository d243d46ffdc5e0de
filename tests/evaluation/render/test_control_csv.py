"""Control curves that go out as CSV and come back."""

import numpy as np
import pytest

from evaluation.render import control_csv
from evaluation.render import transfer
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
    for sizes in ((3, 65), (60, 2)):
        told = f"c.csv has 3 harmonics and 2 noise bands; .* {sizes[0]} and {sizes[1]}"
        with pytest.raises(errors.InputError, match=told):
            next(table.controls(n_harmonics=sizes[0], n_noise_bands=sizes[1]))


def test_a_file_holds_what_its_columns_say(tmp_path):
    played = render_helpers.make_line([69.0, 69.0], loudness=-25.5, confidence=0.75)
    controls = {
        "amps": np.array([[0.5], [0.25]]),
        "harmonic_distribution": np.array([[0.9, 0.1], [1.0, 0.0]]),
        "noise_magnitudes": np.array([[1e-6], [1 / 3]]),
    }
    writer = control_csv.Writer(tmp_path / "c.csv", played)
    writer.write(controls, 2)
    writer.close()
    assert (tmp_path / "c.csv").read_text().splitlines() == [
        "secs,f0_hz,loudness_db,f0_confidence,amps,harmonic_1,harmonic_2,noise_1",
        "0.0000,440,-25.5,0.75,0.5,0.9,0.1,1e-06",
        "0.0040,440,-25.5,0.75,0.25,1,0,0.3333333",
    ]


def read(tmp_path, text):
    (tmp_path / "p.csv").write_text(text)
    return control_csv.Table(tmp_path / "p.csv", frame_rate=FRAME_RATE)


def test_numbers_of_a_table_end_where_they_can_be_played(tmp_path):
    top = transfer.MAX_F0_HZ
    text = f"f0_hz,loudness_db,f0_confidence\n0.001,-99,1.5\n{top},-79,-0.5\n"
    played = read(tmp_path, text).performance()
    assert played.f0_confidence.tolist() == [1.0, 0.0]
    assert played.loudness_db.tolist() == [-80.0, -79.0]
    assert played.f0_hz[1] == top
    with pytest.raises(errors.InputError, match="f0_hz goes from 440 to 8193"):
        read(tmp_path, f"f0_hz,loudness_db\n440,0\n{top + 1},0\n")
    # Without a confidence every frame is sure.
    sure = read(tmp_path, "f0_hz,loudness_db\n440,0\n").performance()
    assert sure.f0_confidence.tolist() == [1.0]


def test_rows_stand_a_frame_apart_to_half_a_frame(tmp_path):
    text = "secs,f0_hz,loudness_db\n0,440,0\n{},440,0\n"
    for right in (0.0021, 0.0059):
        assert read(tmp_path, text.format(right)).performance().n_frames == 2
    for wrong in (0.0019, 0.0061):
        with pytest.raises(errors.InputError, match=f"line 3 comes {wrong:.4f} s"):
            read(tmp_path, text.format(wrong))


def test_amplitudes_of_a_table_may_be_0_and_not_less(tmp_path):
    head = "f0_hz,loudness_db,amps,harmonic_1,noise_1\n440,0,0,0,0\n"
    sizes = dict(n_harmonics=1, n_noise_bands=1)
    (stretch,) = read(tmp_path, head).controls(**sizes)
    assert not stretch["amps"].any()
    for row in ("440,0,-1e-9,0,0", "440,0,0,-1e-9,0", "440,0,0,0,-1e-9"):
        with pytest.raises(errors.InputError, match="amplitudes below 0"):
            next(read(tmp_path, f"{head}{row}\n").controls(**sizes))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("secs,f0_hz\n0,440\n", "no column 'loudness_db'"),
        ("f0_hz,loudness_db\n440,x\n", "line 2: loudness_db is 'x'"),
        ("f0_hz,loudness_db\n440\n", "line 2: 1 values for 2 columns"),
        ("f0_hz,loudness_db\n0,-20\n", "above 0"),
        ("f0_hz,loudness_db\nnan,-20\n", "line 2: f0_hz is 'nan', not a finite"),
        ("f0_hz,loudness_db\n440,1e39\n", "line 2: loudness_db is '1e39'"),
        ("f0_hz,loudness_db\n", "no rows"),
        ("secs,f0_hz,loudness_db\n0,440,-20\n0.01,440,-20\n", "draw it at 250 rows"),
        (
            "secs,f0_hz,loudness_db\n0,440,-20\n0.004,440,-20\n0.012,440,-20\n",
            "line 4 comes 0.0080 s after the one before",
        ),
        ("", "no column 'f0_hz'; it has none"),
        ("a,b,c,d,e,f,g,h,i\n", "no column 'f0_hz'; it has a, b, c, d, e, f, g, h\\."),
        # Lines count as in an editor: empty ones, and Excel's own first one.
        ("f0_hz,loudness_db\n440,0\n\n440,x\n", "line 4: loudness_db is 'x'"),
        ("sep=;\nf0_hz;loudness_db\n440;0\n440;x\n", "line 4: loudness_db is 'x'"),
        ("f0_hz,loudness_db\n440,-4e38\n", "line 2: loudness_db is '-4e38', not a"),
        ("f0_hz,loudness_db\n440,0\n0,0\n", "f0_hz goes from 0 to 440 Hz"),
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


def test_files_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "image.csv").write_bytes(b"\x89PNG\xff")
    for name in ("image.csv", "absent.csv"):
        with pytest.raises(errors.InputError, match=f"{name} cannot be read as CSV: "):
            control_csv.Table(tmp_path / name, frame_rate=FRAME_RATE)


def test_unicode_text_of_either_byte_order_is_read(tmp_path):
    text = "\ufefff0_hz\tloudness_db\n440\t3.4e38\n"  # near the largest float32
    for encoding in ("utf-16-le", "utf-16-be"):
        (tmp_path / "a.txt").write_bytes(text.encode(encoding))
        played = control_csv.Table(tmp_path / "a.txt", frame_rate=10).performance()
        assert played.frame_rate == 10
        assert played.loudness_db == pytest.approx([3.4e38])


def test_more_rows_than_are_read_at_a_time_keep_their_order(tmp_path):
    n_rows = 2 * control_csv.BLOCK_ROWS + 1
    lines = [f"440,0,{k},1,0" for k in range(n_rows)]
    head = "f0_hz,loudness_db,amps,harmonic_1,noise_1"
    table = read(tmp_path, "\n".join([head, *lines]))
    assert table.performance().n_frames == n_rows
    stretches = table.controls(n_harmonics=1, n_noise_bands=1)
    amps = np.concatenate([stretch["amps"] for stretch in stretches])
    assert amps[:, 0].tolist() == list(range(n_rows))


def test_a_tracker_s_file_needs_what_was_heard(tmp_path):
    table = read(tmp_path, "time,frequency\n0,440\n")
    with pytest.raises(ValueError, match="needs `heard`"):
        table.performance()


SHEETS = {
    "semicolons": "f0_hz;loudness_db\n440.5;-20\n",
    "decimal commas": "f0_hz;loudness_db\n440,5;-20,0\n",
    "tabs": "f0_hz\tloudness_db\n440,5\t-20\n",
    "quoted": 'f0_hz,loudness_db\n"440,5",-20\n',
    "capitals and spaces": "F0_Hz, Loudness_dB\n440.5, -20\n",
    "its first line in capitals": "SEP=;\nf0_hz;loudness_db\n440,5;-20\n",
    "Excel's own first line": "sep=;\r\nf0_hz;loudness_db\r\n440,5;-20\r\n",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("text", SHEETS.values(), ids=SHEETS.keys())
def test_dialects_of_spreadsheets_are_read(tmp_path, text, encoding):
    (tmp_path / "sheet.csv").write_text(text, encoding=encoding)
    table = control_csv.Table(tmp_path / "sheet.csv", frame_rate=FRAME_RATE)
    assert table.performance().f0_hz.tolist() == [440.5]
    assert table.performance().loudness_db.tolist() == [-20.0]


def track(tmp_path, text, encoding="utf-8"):
    (tmp_path / "a.f0.csv").write_text(text, encoding=encoding)
    table = control_csv.Table(tmp_path / "a.f0.csv", frame_rate=FRAME_RATE)
    assert table.is_tracked
    return table.performance(render_helpers.HEARD)


def rows(frequency, confidence, step=0.01, mark=","):
    lines = [mark.join(("time", "frequency", "confidence"))]
    for k, (hz, sure) in enumerate(zip(frequency, confidence, strict=True)):
        lines.append(mark.join((f"{k * step:.3f}", f"{hz:.3f}", f"{sure:.6f}")))
    return "\n".join(lines) + "\n"


HALF_SURE = [0.9] * 50 + [0.1] * 50


@pytest.mark.parametrize(
    "text",
    [
        rows([440.0] * 100, HALF_SURE),
        rows([440.0] * 100, HALF_SURE, step=10.0),  # PESTO's milliseconds
        rows([440.0] * 100, HALF_SURE, mark=";").replace(".", ","),
        rows([440.0] * 50 + [0.0] * 50, [0.9] * 100),  # 0 Hz for no pitch
    ],
    ids=["CREPE", "PESTO in milliseconds", "semicolons", "0 Hz in rests"],
)
def test_rows_of_pitch_trackers_are_played(tmp_path, text):
    played = track(tmp_path, text, "utf-8-sig")
    assert played.n_frames == 248  # up to 0.988 s; the last row is at 0.99 s
    np.testing.assert_allclose(played.f0_hz, 440.0, rtol=1e-5)
    middle = render_helpers.HEARD.loudness_db[50]
    np.testing.assert_allclose(played.loudness_db[:100], middle, atol=1e-4)
    assert played.voiced[:120].all()
    assert not played.voiced[130:].any()
    assert played.loudness_db[150:].max() < middle - 50.0


def test_trackers_pitch_is_interpolated_in_octaves(tmp_path):
    played = track(tmp_path, rows([220.0, 880.0], [0.9, 0.9], step=0.08))
    np.testing.assert_allclose(played.f0_hz[10], 440.0, rtol=1e-4)


def test_rows_left_out_by_a_tracker_are_a_rest(tmp_path):
    lines = rows([440.0] * 200, [0.9] * 200).splitlines()
    played = track(tmp_path, "\n".join([*lines[:51], *lines[151:]]))
    assert played.voiced[:115].all()
    assert not played.voiced[135:365].any()
    assert played.voiced[385:].all()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("time,frequency,confidence\n0,440,1\n0,440,1\n", "do not ascend at row 2"),
        ("time,frequency\n0,440\n0.01,440\n0.01,440\n", "ascend at row 3"),
        ("time,frequency,confidence\n0,0,1\n", "no row has a frequency above 0"),
        ("time,frequency,confidence\n0,-3,1\n1,440,1\n", "a frequency is -3 Hz"),
        ("time,frequency,confidence\n0,440,1\n9e9,440,1\n", "0 to 21600 are played"),
        ("time,frequency,confidence\n", "no rows"),
    ],
)
def test_bad_rows_of_a_tracker_are_refused(tmp_path, text, reason):
    with pytest.raises(errors.InputError, match=reason):
        track(tmp_path, text)


@pytest.mark.parametrize(("step", "n_frames"), [(1.0, 25), (0.5, 12376)])
def test_rows_a_second_apart_or_more_are_milliseconds(tmp_path, step, n_frames):
    """100 rows: up to 99 ms, or up to 49.5 s."""
    played = track(tmp_path, rows([440.0] * 100, [0.9] * 100, step=step))
    assert played.n_frames == n_frames


@pytest.mark.parametrize(("sure", "sounds"), [(0.5, True), (0.499, False)])
def test_a_tracker_s_row_sounds_from_a_confidence_of_a_half_on(tmp_path, sure, sounds):
    played = track(tmp_path, rows([440.0] * 50, [sure] * 50))
    middle = render_helpers.HEARD.loudness_db[50]
    expected = middle if sounds else middle - 60.0  # a rest
    np.testing.assert_allclose(played.loudness_db, max(expected, -80.0), atol=1e-4)


@pytest.mark.parametrize(("gap_rows", "is_rest"), [(9, False), (10, True)])
def test_rows_left_out_for_a_tenth_of_a_second_are_a_rest(tmp_path, gap_rows, is_rest):
    """Rows are 10 ms apart."""
    lines = rows([440.0] * 100, [0.9] * 100).splitlines()
    played = track(tmp_path, "\n".join([*lines[:41], *lines[41 + gap_rows :]]))
    assert played.voiced.all() != is_rest


def confidences(tmp_path, times, sure=0.9):
    lines = [f"{secs},440,{sure}" for secs in times]
    return track(tmp_path, "\n".join(["time,frequency,confidence", *lines]))


@pytest.mark.filterwarnings("error")
def test_one_row_of_a_tracker_is_one_frame(tmp_path):
    """Without a confidence it is sure, however low its pitch."""
    played = track(tmp_path, "time,frequency\n0,0.5\n")
    assert (played.f0_hz.tolist(), played.f0_confidence.tolist()) == ([0.5], [1.0])


def test_confidences_of_a_tracker_end_at_0_and_1(tmp_path):
    text = "time,frequency,confidence\n0,440,1.05\n0.004,440,-0.2\n"
    assert track(tmp_path, text).f0_confidence.tolist() == [1.0, 0.0]


def test_a_column_of_ours_makes_a_table_of_ours(tmp_path):
    text = "time,frequency,f0_hz,loudness_db\n0,1,440,-20\n"
    (tmp_path / "both.csv").write_text(text)
    table = control_csv.Table(tmp_path / "both.csv", frame_rate=FRAME_RATE)
    assert not table.is_tracked
    assert table.performance().f0_hz.tolist() == [440.0]


def test_a_rest_of_left_out_rows_lasts_from_row_to_row(tmp_path):
    """Rows at 0.5 and 1 s: frames 125 and 250 sound, and none between."""
    times = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0, 1.1]
    sure = confidences(tmp_path, times).f0_confidence
    np.testing.assert_allclose(sure[[125, 250]], 0.9, atol=1e-3)
    np.testing.assert_allclose(sure[126:250], 0.0, atol=1e-3)


@pytest.mark.parametrize(("gap", "is_rest"), [(0.29, False), (0.31, True)])
def test_rows_far_apart_are_a_rest_from_one_and_a_half_steps_on(tmp_path, gap, is_rest):
    """Rows are 0.2 s apart, in the median; the mean is 0.22 s."""
    times = [0.0, 0.2, 0.4, 0.6, 0.8, 0.8 + gap]
    assert confidences(tmp_path, times).voiced.all() != is_rest


def test_one_long_pause_makes_no_milliseconds(tmp_path):
    assert confidences(tmp_path, [0.0, 0.01, 0.02, 0.03, 9.0]).n_frames == 2251


def test_six_hours_of_a_tracker_are_played(tmp_path):
    text = "time,frequency\n0,440\n0.1,440\n0.2,440\n%s,440\n"
    path = tmp_path / "long.csv"
    play = lambda: control_csv.Table(path, frame_rate=1).performance(
        render_helpers.HEARD
    )
    path.write_text(text % 21600)
    assert play().n_frames == 21601
    path.write_text(text % 21600.1)
    with pytest.raises(errors.InputError, match="0 to 21600 are played"):
        play()


def test_rests_of_a_tracker_are_60_db_quieter(tmp_path):
    loud = transfer.Heard(np.full(101, 69.0), np.full(101, -10.0))
    (tmp_path / "a.csv").write_text(rows([440.0, 440.0, 440.0], [0.1, 0.1, 0.1]))
    table = control_csv.Table(tmp_path / "a.csv", frame_rate=FRAME_RATE)
    np.testing.assert_allclose(table.performance(loud).loudness_db, -70.0)
