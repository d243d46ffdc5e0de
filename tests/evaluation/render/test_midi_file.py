"""Broken and unusual MIDI files: each is played, or refused with one sentence."""

import struct

import numpy as np
import pytest

from evaluation.render import midi
from evaluation.render import midi_file
from evaluation.render import transfer
from prep import errors
from tests.helpers import render_helpers

FRAME_RATE = render_helpers.FRAME_RATE
DIVISION = 480  # ticks a beat; at 120 beats a minute 960 ticks are a second
END = b"\x00\xff\x2f\x00"
NOTE_A4 = b"\x00\x90\x45\x64" + b"\x87\x40\x80\x45\x00"  # for 960 ticks


def delta(ticks):
    """A number of seven bits a byte."""
    parts = [ticks & 0x7F]
    while ticks := ticks >> 7:
        parts.append(ticks & 0x7F | 0x80)
    return bytes(reversed(parts))


def track(*events):
    content = b"".join(events)
    return b"MTrk" + struct.pack(">I", len(content)) + content


def smf(*tracks, kind=1, division=DIVISION):
    head = struct.pack(">4sIHHH", b"MThd", 6, kind, len(tracks), division)
    return head + b"".join(tracks)


def on(ticks, pitch=69, velocity=100, channel=0):
    return delta(ticks) + bytes([0x90 | channel, pitch, velocity])


def off(ticks, pitch=69, channel=0):
    return delta(ticks) + bytes([0x80 | channel, pitch, 0])


def control(ticks, number, value, channel=0):
    return delta(ticks) + bytes([0xB0 | channel, number, value])


def spans(score):
    return [(n.pitch, round(n.start, 3), round(n.end, 3)) for n in score.notes]


def play(tmp_path, data):
    (tmp_path / "tune.mid").write_bytes(data)
    return midi.read_midi(
        tmp_path / "tune.mid", frame_rate=FRAME_RATE, heard=render_helpers.HEARD
    )


ONE_SECOND = [(69, 0.0, 1.0)]
TEMPO_0 = b"\x00\xff\x51\x03\x00\x00\x00"
PLAYED = {
    "key signature of 11 sharps": smf(track(b"\x00\xff\x59\x02\x0b\x07", NOTE_A4, END)),
    "key signature of 1 byte": smf(track(b"\x00\xff\x59\x01\x00", NOTE_A4, END)),
    "tempo 0": smf(track(TEMPO_0, NOTE_A4, END)),
    "tempo of 2 bytes": smf(track(b"\x00\xff\x51\x02\x07\xa1", NOTE_A4, END)),
    "no end of track": smf(track(NOTE_A4)),
    "track cut off": smf(track(NOTE_A4, END, b"\0" * 50))[:-40],
    "track longer than it says": smf(
        b"MTrk\x00\x00\x00\x05" + NOTE_A4 + END, track(END)
    ),
    "SMPTE time": smf(
        track(b"\x00\x90\x45\x64", off(1000), END),
        division=0xE728,  # 25 times 40
    ),
    "unknown chunk": smf(b"XFIH\x00\x00\x00\x04abcd", track(NOTE_A4, END)),
    "longer header": b"MThd"
    + struct.pack(">IHHHH", 8, 0, 1, DIVISION, 0)
    + track(NOTE_A4, END),
    "inside RIFF": b"RIFF\x40\x00\x00\x00RMIDdata\x30\x00\x00\x00"
    + smf(track(NOTE_A4, END)),
    "running status, note-on of velocity 0": smf(
        track(on(0), delta(960) + b"\x45\x00", END)
    ),
    "status where a value should be": smf(track(b"\x00\xb0\x07", NOTE_A4[1:], END)),
    "system message longer than its track": smf(
        track(NOTE_A4, b"\x00\xf0\xff\xff\xff\x7f\x00", END)
    ),
    "drums beside it": smf(track(NOTE_A4, on(0, 40, channel=9), END)),
}


@pytest.mark.parametrize("data", PLAYED.values(), ids=PLAYED.keys())
def test_broken_files_play_what_is_whole(data):
    assert spans(midi_file.read_score(data)) == ONE_SECOND


def test_what_was_passed_over_is_said(tmp_path, caplog):
    play(tmp_path, PLAYED["tempo 0"])
    assert "is broken in places and played all the same: 1 tempos of 0" in caplog.text
    cut = b"\x00\xb0\x07"  # a status follows where a value should be
    score = midi_file.read_score(smf(track(cut, cut[1:], NOTE_A4[1:], END)))
    assert spans(score) == ONE_SECOND
    assert score.remarks == ["2 messages without an end"]


def test_what_was_passed_over_is_counted_in_the_order_of_its_words():
    nothing = on(0, 60) + off(0, 60)
    score = midi_file.read_score(smf(track(TEMPO_0, nothing, nothing, on(0), END)))
    assert score.remarks == [
        *("1 notes that never end", "2 notes without a length", "1 tempos of 0")
    ]


@pytest.mark.parametrize(
    ("events", "remarks"),
    [
        # A value before any status; a status that nobody defined.
        ((b"\x00\x45", b"\x00\xf4", NOTE_A4), ["2 bytes that belong to no message"]),
        # The lowest status of all, where a value should be.
        ((on(0), delta(960) + b"\xb0\x07", off(0)[1:]), ["1 messages without an end"]),
        # Tracks that end inside a message, its time or its kind.
        ((NOTE_A4, b"\x00\xb0"), ["1 messages without an end"]),
        ((NOTE_A4, b"\x00\xb0\x07"), ["1 messages without an end"]),
        ((NOTE_A4, b"\x00"), []),
        ((NOTE_A4, b"\x00\xff"), []),
    ],
)
def test_what_breaks_off_costs_itself(events, remarks):
    score = midi_file.read_score(smf(track(*events)))
    assert spans(score) == ONE_SECOND
    assert score.remarks == remarks


def test_messages_of_every_length_are_passed():
    messages = (
        *(b"\x00\xa0\x45\x10", b"\x00\xc0\x05", b"\x00\xd0\x20"),
        *(b"\x00\xf0\x02\x01\xf7", b"\x00\xf7\x01\x40", b"\x00\xff\x01\x02ab"),
    )
    score = midi_file.read_score(smf(track(on(0), *messages, off(960), END, on(0, 50))))
    assert spans(score) == ONE_SECOND
    assert score.remarks == []


def test_a_track_is_as_long_as_it_says_where_another_or_nothing_follows():
    # Its text would begin a track.
    text = b"\x00\xff\x01\x09MTrk\0\0\0\0\0"
    one, other = track(text, NOTE_A4, END), track(text, on(0, 71), off(480, 71), END)
    both = [(69, 0.0, 1.0), (71, 0.0, 0.5)]
    assert spans(midi_file.read_score(smf(one, other))) == both
    # Where it leads astray, the next track is looked for; none says where it ends.
    size = len(NOTE_A4)
    for wrong_size in (size, size - 1, size + 1, 10**6):
        astray = b"MTrk" + struct.pack(">I", wrong_size) + NOTE_A4
        other = track(on(0, 71), off(480, 71))
        for tracks in ([astray], [astray, other], [astray, other, track(on(480, 50))]):
            wanted = [*both, (50, 0.5, 1.5)][: len(tracks)]
            assert spans(midi_file.read_score(smf(*tracks))) == wanted


def test_the_first_file_of_several_is_the_one():
    data = smf(track(NOTE_A4, END)) + smf(track(on(0, 50), off(240, 50), END), kind=7)
    assert (69, 0.0, 1.0) in spans(midi_file.read_score(data))
    late = smf(track(NOTE_A4, END), division=960) + smf(division=1)
    assert spans(midi_file.read_score(late)) == [(69, 0.0, 0.5)]


@pytest.mark.parametrize(("n_bytes", "is_read"), [(65000, True), (66000, False)])
def test_a_header_is_looked_for_in_64_kilobytes(n_bytes, is_read):
    data = b"\0" * n_bytes + smf(track(NOTE_A4, END))
    if is_read:
        assert spans(midi_file.read_score(data)) == ONE_SECOND
    else:
        with pytest.raises(midi_file.MidiFileError, match="no header"):
            midi_file.read_score(data)


REFUSED = {
    "division 0": (smf(track(NOTE_A4, END), division=0), "0 ticks a beat"),
    "SMPTE of 0 ticks": (smf(track(NOTE_A4, END), division=0xE700), "0 ticks a frame"),
    "cut off in its header": (smf()[:9], "is no MIDI file: it ends before its header"),
    "text": (b"x", "is no MIDI file: it has no header"),
    "nothing": (b"", "is no MIDI file"),
    "no track": (smf(), "has no notes"),
    "17 hours a beat": (
        smf(
            track(b"\x00\xff\x51\x03\xff\xff\xff", on(0xFFFFFFF), off(1), END),
            division=1,
        ),
        r"its last note ends after 1.25e\+06 hours; up to 6 are played",
    ),
}


@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_played_is_one_sentence(tmp_path, data, reason):
    with pytest.raises(errors.InputError, match=reason) as caught:
        play(tmp_path, data)
    assert str(caught.value).count("\n") == 0


def test_sequences_of_format_2_follow_one_another():
    data = smf(track(NOTE_A4, END), track(TEMPO_0, NOTE_A4, END), kind=2)
    assert spans(midi_file.read_score(data)) == [(69, 0.0, 1.0), (69, 1.0, 2.0)]


def test_notes_that_never_end_stop_with_the_file_or_after_a_while():
    score = midi_file.read_score(
        smf(track(on(0), on(480, 71), control(960, 7, 1), END))
    )
    assert spans(score) == [(69, 0.0, 1.5), (71, 0.5, 1.5)]
    assert score.remarks == ["2 notes that never end"]
    late = midi_file.read_score(smf(track(on(0), control(960 * 3600, 7, 1), END)))
    assert spans(late) == [(69, 0.0, 10.0)]


def test_tempos_of_another_track_count():
    tempo = b"\x83\x60\xff\x51\x03" + (250_000).to_bytes(3, "big")  # after 480 ticks
    score = midi_file.read_score(smf(track(tempo, END), track(NOTE_A4, END)))
    assert spans(score) == [(69, 0.0, 0.75)]


def test_sustain_pedal_holds_notes():
    held = smf(track(control(0, 64, 127), NOTE_A4, control(960, 64, 0), END))
    assert spans(midi_file.read_score(held)) == [(69, 0.0, 2.0)]
    forever = smf(track(control(0, 64, 127), NOTE_A4, control(480, 7, 0), END))
    assert spans(midi_file.read_score(forever)) == [(69, 0.0, 1.5)]


def test_pitch_bend_range_is_read(tmp_path):
    twelve = (control(0, 101, 0), control(0, 100, 0), control(0, 6, 12))
    data = smf(track(*twelve, b"\x00\xe0\x00\x60", NOTE_A4, END))  # half way up
    played = play(tmp_path, data)
    assert render_helpers.to_midi(played)[20] == pytest.approx(75.0, abs=0.01)


def bends(*events):
    """The last bend of a score, in semitones; the wheel is half way up."""
    data = smf(track(*events, b"\x00\xe0\x00\x60", NOTE_A4, END))
    return midi_file.read_score(data).curves[0, midi_file.BEND][-1]


def test_pitch_bend_range_is_the_one_that_was_named():
    bend_range = (control(0, 101, 0), control(0, 100, 0))
    cents = (control(0, 6, 3), control(0, 38, 50))
    assert bends() == (0.0, 1.0)  # of two semitones
    assert bends(*bend_range, *cents) == (0.0, 1.75)
    assert bends(*bend_range, *cents, control(0, 6, 5)) == (0.0, 2.5)
    # Another parameter, or one that is not registered, is set instead.
    tuning = (control(0, 101, 0), control(0, 100, 1))
    bank = (control(0, 101, 1), control(0, 100, 0))
    for other in (tuning, bank, *((*bend_range, control(0, n, 0)) for n in (98, 99))):
        assert bends(*other, *cents) == (0.0, 1.0)


def test_a_wheel_is_down_at_0_and_up_at_16383():
    data = smf(track(b"\x00\xe0\x00\x00\x00\xe0\x7f\x7f", NOTE_A4, END))
    down, up = midi_file.read_score(data).curves[0, midi_file.BEND]
    assert down == (0.0, -2.0)
    assert up == (0.0, pytest.approx(2.0 * 8191 / 8192))


def test_all_sound_and_all_notes_off_end_what_sounds():
    held = (control(0, 64, 64), on(0), off(480), on(0, 71))
    sound_off = smf(track(*held, control(480, 120, 0), control(960, 7, 0), END))
    assert spans(midi_file.read_score(sound_off)) == [(69, 0.0, 1.0), (71, 0.5, 1.0)]
    # The pedal holds notes that are only ended, until it is below 64.
    notes_off = (control(480, 123, 0), control(480, 64, 63), control(960, 7, 0))
    score = midi_file.read_score(smf(track(*held, *notes_off, END)))
    assert spans(score) == [(69, 0.0, 1.5), (71, 0.5, 1.5)]
    assert score.remarks == []


def test_reset_puts_controllers_to_rest_and_lifts_the_pedal():
    held = (control(0, 64, 127), control(0, 11, 40), on(0), off(480))
    score = midi_file.read_score(smf(track(*held, control(480, 121, 0), END)))
    assert spans(score) == [(69, 0.0, 1.0)]
    assert score.curves == {
        (0, midi_file.EXPRESSION): [(0.0, 40.0), (1.0, 127.0)],
        (0, midi_file.BEND): [(1.0, 0.0)],
        (0, midi_file.MOD_WHEEL): [(1.0, 0.0)],
    }


def test_times_of_any_length_are_read():
    # 127, 128, and bytes of 128 alone between the first and the last.
    for ticks in (127, 128, 16384, 2097152):
        (note,) = midi_file.read_score(smf(track(on(0), off(ticks), END))).notes
        assert note.end == pytest.approx(ticks / 960)


def test_the_same_note_again_ends_the_one_before():
    score = midi_file.read_score(smf(track(on(0), on(480), off(480), END)))
    assert spans(score) == [(69, 0.0, 0.5), (69, 0.5, 1.0)]
    assert [note.velocity for note in score.notes] == [100, 100]


def test_mod_wheel_decides_the_vibrato(tmp_path):
    wheel = (control(0, 1, 0), on(0), control(960, 1, 127), off(1920), END)
    cents = 100.0 * (render_helpers.to_midi(play(tmp_path, smf(track(*wheel)))) - 69.0)
    assert np.abs(cents[5:245]).max() < 0.01
    assert np.abs(cents[260:700]).max() == pytest.approx(midi.WHEEL_CENTS, abs=0.5)


def test_mod_wheel_at_rest_leaves_the_vibrato_of_the_notes(tmp_path):
    data = smf(track(control(0, 1, 0), on(0), off(2880), END))
    cents = 100.0 * (render_helpers.to_midi(play(tmp_path, data)) - 69.0)
    assert 19.0 < np.abs(cents[200:700]).max() < 21.0


@pytest.mark.parametrize("number", [midi_file.BREATH, midi_file.EXPRESSION])
def test_expression_and_breath_take_from_the_loudness(tmp_path, number):
    full = play(tmp_path, smf(track(on(0), off(1920), END)))
    moved = play(
        tmp_path,
        smf(
            track(
                on(0), control(960, number, 64), control(480, number, 0), off(480), END
            )
        ),
    )
    np.testing.assert_allclose(moved.loudness_db[:249], full.loudness_db[:249])
    # 40 dB a factor of ten, as General MIDI recommends: -11.9 dB at 64.
    lower = full.loudness_db[300] - moved.loudness_db[300]
    assert lower == pytest.approx(11.9, abs=0.1)
    assert moved.loudness_db[450] == -80.0


def test_controllers_are_those_of_the_notes_channel(tmp_path):
    bent = b"\x00\xe1\x00\x7f"  # on channel 2, where no note is
    played = play(tmp_path, smf(track(bent, NOTE_A4, END)))
    assert render_helpers.to_midi(played)[20] == pytest.approx(69.0, abs=0.01)


def test_note_127_is_too_high_until_it_is_transposed(tmp_path):
    # 12544 Hz and 20 cents of vibrato.
    played = play(tmp_path, smf(track(on(0, 127), off(960, 127), END)))
    with pytest.raises(
        errors.InputError, match=r"12690 Hz, lies above the 8192 Hz.*--transpose=-12"
    ):
        transfer.adjust(played, transfer.Adjustments(), heard=None)
    lower = transfer.adjust(played, transfer.Adjustments(transpose=-12), heard=None)
    assert lower.f0_hz[20] == pytest.approx(6272.0, rel=1e-3)


@pytest.mark.long
def test_mutated_files_play_or_are_refused(rng, tmp_path):
    seeds = [*PLAYED.values(), *(data for data, _ in REFUSED.values())]
    n_played = 0
    for number in range(400):
        data = bytearray(seeds[number % len(seeds)])
        for place in rng.integers(0, max(1, len(data)), 1 + number % 5):
            data[place : place + 1] = bytes([rng.integers(256)])
        try:
            played = play(tmp_path, bytes(data))
        except errors.InputError as error:
            assert "\n" not in str(error)
            continue
        assert np.isfinite(played.f0_hz).all()
        assert np.isfinite(played.loudness_db).all()
        n_played += 1
    assert n_played > 100
