"""Reads Standard MIDI Files as players do: what is broken costs itself, not the tune.

A tempo of 0, an unknown key or a message without an end is passed over and counted. Of
controllers those are kept that shape a single voice: pitch bend and its range, mod
wheel, breath, expression, sustain pedal. Files inside RIFF (.rmi) are unpacked; the
sequences of format 2 follow one another.

Source: MIDI Manufacturers Association, "Standard MIDI Files 1.0", RP-001, and "The
Complete MIDI 1.0 Detailed Specification", 1996.
"""

import collections
import dataclasses
import struct
from collections.abc import Iterator

DEFAULT_TEMPO = 500_000  # microseconds a beat, until a file says another
MAX_SECS = 6 * 3600.0  # of a tune
HANGING_SECS = 10.0  # at most, of a note that never ends
DRUMS = 9  # channel 10, as people count
BEND_SEMITONES = 2.0  # of a full pitch bend, until a file says another
_META, _SYSTEM_STARTS = 0xFF, (0xF0, 0xF7)
_END_OF_TRACK, _TEMPO = b"\x2f", b"\x51"
_DATA_BYTES = {0x8: 2, 0x9: 2, 0xA: 2, 0xB: 2, 0xC: 1, 0xD: 1, 0xE: 2}
_OFF, _ON, _CONTROL, _BEND = 0x8, 0x9, 0xB, 0xE
# Controllers by number.
MOD_WHEEL, BREATH, EXPRESSION = 1, 2, 11
_DATA_ENTRY, _DATA_ENTRY_FINE, _SUSTAIN = 6, 38, 64
_RPN_FINE, _RPN, _NRPN_FINE, _NRPN = 100, 101, 98, 99
_SOUND_OFF, _RESET, _NOTES_OFF = 120, 121, 123
BEND = -1  # the name of pitch bend among the curves


class MidiFileError(Exception):
    """A file that cannot be played; the message follows the file's name."""


@dataclasses.dataclass
class ScoreNote:
    """A note of a score.

    Attributes:
        velocity: 1 to 127.
        pitch: MIDI note number.
        start: Seconds.
        end: Seconds; of a note that the pedal holds, where the pedal is lifted.
        channel: From 0 on.
    """

    velocity: int
    pitch: int
    start: float
    end: float
    channel: int


@dataclasses.dataclass
class SheetMusic:
    """What a file plays.

    Attributes:
        notes: In the order of their starts, without drums.
        curves: By channel and controller (`BEND` in semitones, the others 0 to 127) the
            times and values of its changes, in their order.
        remarks: What of the file was passed over, in words.
    """

    notes: list[ScoreNote]
    curves: dict[tuple[int, int], list[tuple[float, float]]]
    remarks: list[str]


@dataclasses.dataclass(frozen=True)
class _Message:
    """A channel message or a tempo (`kind` 0, microseconds a beat in `first`)."""

    tick: int
    kind: int
    channel: int
    first: int
    second: int


def read_score(data: bytes) -> SheetMusic:
    """Reads a file's content.

    Raises:
        MidiFileError: If it is no MIDI file or says nothing of time.
    """
    passed_over: collections.Counter[str] = collections.Counter()
    data = _unpack(data)
    if len(data) < 14:
        raise MidiFileError("is no MIDI file: it ends before its header does")
    kind, _, division = struct.unpack(">HHH", data[8:14])
    tracks = [_read_track(track, passed_over) for track in _tracks(data)]
    clock = _Clock(division)
    # Format 2 holds tunes of their own; the tracks of the others sound together.
    parts = [[track] for track in tracks] if kind == 2 else [tracks]
    score = SheetMusic([], collections.defaultdict(list), [])
    begin = 0.0
    for part in parts:
        messages = sorted((m for track in part for m in track), key=lambda m: m.tick)
        begin = _play(
            clock.times(messages, begin, passed_over), begin, score, passed_over
        )
    n_notes = len(score.notes)
    score.notes = [note for note in score.notes if note.end > note.start]
    passed_over["notes without a length"] = n_notes - len(score.notes)
    score.remarks = [
        f"{count} {what}" for what, count in sorted(passed_over.items()) if count
    ]
    return score


def _unpack(data: bytes) -> bytes:
    """The file from its header on, out of RIFF or of what stands before it."""
    where = data[: 1 << 16].find(b"MThd")
    if where < 0:
        raise MidiFileError("is no MIDI file: it has no header")
    return data[where:]


def _tracks(data: bytes) -> Iterator[bytes]:
    """Yields the content of each track; a length that leads astray is not believed."""
    position = data.find(b"MTrk")
    while position != -1:
        size = int.from_bytes(data[position + 4 : position + 8], "big")
        begin, end = position + 8, position + 8 + size
        if end != len(data) and data[end : end + 4] != b"MTrk":
            following = data.find(b"MTrk", begin)
            end = following if following != -1 else len(data)
        yield data[begin:end]
        position = data.find(b"MTrk", end)


def _read_track(track: bytes, passed_over: collections.Counter[str]) -> list[_Message]:
    """The messages of a track with their ticks; ends with a message of kind -1."""
    messages: list[_Message] = []
    position, tick, status = 0, 0, 0
    follows_at_once = False  # after a message that broke off: no time stands between
    while True:
        if not follows_at_once:
            delta, position = _read_length(track, position)
            tick += delta
        follows_at_once = False
        if position >= len(track):
            break
        byte = track[position]
        if byte == _META:
            kind = track[position + 1 : position + 2]
            size, begin = _read_length(track, position + 2)
            if kind == _END_OF_TRACK:
                break
            content = track[begin : begin + size]
            if kind == _TEMPO and len(content) == 3:
                tempo = int.from_bytes(content, "big")
                messages.append(_Message(tick, 0, 0, tempo, 0))
            position = begin + size
            continue
        if byte in _SYSTEM_STARTS:
            size, begin = _read_length(track, position + 1)
            position = begin + size
            continue
        if byte >= 0x80:
            status = byte
            position += 1
        n_bytes = _DATA_BYTES.get(status >> 4)
        if n_bytes is None:
            passed_over["bytes that belong to no message"] += 1
            position += byte < 0x80
            continue
        content = track[position : position + n_bytes]
        if len(content) < n_bytes or max(content) >= 0x80:
            # A status where a value should be begins the next message.
            passed_over["messages without an end"] += 1
            position += next((i for i, b in enumerate(content) if b >= 0x80), n_bytes)
            follows_at_once = True
            continue
        position += n_bytes
        first, second = content[0], content[-1] if n_bytes == 2 else 0
        messages.append(_Message(tick, status >> 4, status & 0xF, first, second))
    messages.append(_Message(tick, -1, 0, 0, 0))
    return messages


def _read_length(track: bytes, position: int) -> tuple[int, int]:
    """A number of up to four bytes of seven bits, and where it ends."""
    value = 0
    for _ in range(4):
        if position >= len(track):
            break
        byte = track[position]
        position += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value, position


class _Clock:
    """Turns ticks into seconds."""

    def __init__(self, division: int):
        """Takes the header's division: ticks a beat, or frames and ticks a frame."""
        self._per_beat = 0
        self._tick_secs = 0.0
        if division & 0x8000:
            frames, per_frame = 256 - (division >> 8), division & 0xFF
            # 29 stands for the 30 frames of American television, slowed by 1/1001.
            rate = 30.0 / 1.001 if frames == 29 else float(frames)
            if not per_frame:
                raise MidiFileError(
                    "cannot be played: its header says 0 ticks a frame, so it has no "
                    "tempo"
                )
            self._tick_secs = 1.0 / (rate * per_frame)
        elif division:
            self._per_beat = division
            self._tick_secs = DEFAULT_TEMPO * 1e-6 / division
        else:
            raise MidiFileError(
                "cannot be played: its header says 0 ticks a beat, so it has no tempo"
            )

    def times(
        self,
        messages: list[_Message],
        begin: float,
        passed_over: collections.Counter[str],
    ) -> Iterator[tuple[float, _Message]]:
        """Yields each message, by tick, with its time; tempos are used up."""
        secs, tick, tick_secs = begin, 0, self._tick_secs
        for message in messages:
            secs += (message.tick - tick) * tick_secs
            tick = message.tick
            if message.kind:
                yield secs, message
            elif not message.first:
                passed_over["tempos of 0"] += 1
            elif self._per_beat:
                tick_secs = message.first * 1e-6 / self._per_beat


@dataclasses.dataclass
class _Channel:
    """What a channel is doing."""

    sounding: dict[int, ScoreNote] = dataclasses.field(default_factory=dict)
    held: list[ScoreNote] = dataclasses.field(default_factory=list)
    pedal: bool = False
    parameter: tuple[int, int] = (127, 127)  # which one data entry sets; none
    bend_range: float = BEND_SEMITONES


def _play(
    messages: Iterator[tuple[float, _Message]],
    begin: float,
    score: SheetMusic,
    passed_over: collections.Counter[str],
) -> float:
    """Plays messages into a score; returns when they end."""
    channels: dict[int, _Channel] = collections.defaultdict(_Channel)
    secs = begin
    for secs, message in messages:
        channel = channels[message.channel]
        if message.kind in (_ON, _OFF) and message.channel != DRUMS:
            _end_note(channel, message.first, secs)
            if message.kind == _ON and message.second:
                note = ScoreNote(
                    message.second, message.first, secs, secs, message.channel
                )
                channel.sounding[note.pitch] = note
                score.notes.append(note)
        elif message.kind == _CONTROL:
            _control(channel, message, secs, score)
        elif message.kind == _BEND:
            bend = (message.first + 128 * message.second - 8192) / 8192
            score.curves[message.channel, BEND].append(
                (secs, bend * channel.bend_range)
            )
    # Notes that nothing ended stop with the file, or after a while.
    for channel in channels.values():
        passed_over["notes that never end"] += len(channel.sounding)
        for note in [*channel.sounding.values(), *channel.held]:
            note.end = min(max(secs, note.start + 1.0), note.start + HANGING_SECS)
    last = max((note.end for note in score.notes), default=secs)
    if last > MAX_SECS:
        raise MidiFileError(
            f"cannot be played: its last note ends after {last / 3600:.3g} hours; up "
            f"to {MAX_SECS / 3600:.0f} are played"
        )
    return max(begin, min(secs, MAX_SECS), last)


def _end_note(channel: _Channel, pitch: int, secs: float) -> None:
    """Ends a note, or leaves it to the pedal."""
    note = channel.sounding.pop(pitch, None)
    if note is None:
        return
    note.end = secs
    if channel.pedal:
        channel.held.append(note)


def _lift_pedal(channel: _Channel, secs: float) -> None:
    for note in channel.held:
        note.end = secs
    channel.held.clear()
    channel.pedal = False


def _control(
    channel: _Channel, message: _Message, secs: float, score: SheetMusic
) -> None:
    """Follows a controller."""
    number, value = message.first, message.second
    if number in (MOD_WHEEL, BREATH, EXPRESSION):
        score.curves[message.channel, number].append((secs, float(value)))
    elif number == _SUSTAIN and value >= 64:
        channel.pedal = True
    elif number == _SUSTAIN:
        _lift_pedal(channel, secs)
    elif number in (_SOUND_OFF, _NOTES_OFF):
        for pitch in list(channel.sounding):
            _end_note(channel, pitch, secs)
        if number == _SOUND_OFF:
            _lift_pedal(channel, secs)
    elif number == _RESET:
        _lift_pedal(channel, secs)
        for name, rest in ((BEND, 0.0), (MOD_WHEEL, 0.0), (EXPRESSION, 127.0)):
            score.curves[message.channel, name].append((secs, rest))
    # Two controllers name the parameter that the next data entry sets.
    elif number in (_NRPN, _NRPN_FINE):
        channel.parameter = (127, 127)
    elif number == _RPN:
        channel.parameter = (value, channel.parameter[1])
    elif number == _RPN_FINE:
        channel.parameter = (channel.parameter[0], value)
    elif number == _DATA_ENTRY and channel.parameter == (0, 0):
        channel.bend_range = float(value)
    elif number == _DATA_ENTRY_FINE and channel.parameter == (0, 0):
        channel.bend_range = int(channel.bend_range) + value / 100
