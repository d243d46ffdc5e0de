"""The plan and its troubles in words, for a terminal."""

import collections
import dataclasses
import os
from collections.abc import Mapping
from collections.abc import Sequence

from prep import errors
from prep import settings as settings_lib
from prep.plan import plan as plan_lib
from prep.plan import splits
from prep.recordings import recording as recordings_lib

# Seconds of two cores per second of audio, measured (docs/prep.md); for estimates only.
_COST = {"full": 0.24, "tiny": 0.03}
_COST_CORES = 2
_COST_START = 8.0  # s, imports and the first call
MAX_SILENT_SHARE = 0.5  # of examples of short recordings, that is worth a hint
_SHOWN = 10  # lines of a kind
_NOTHING: collections.Counter[str] = collections.Counter()


def show_reason(name: str, reason: str) -> str:
    """Why something happened to a file, on one line: a reason may name another file."""
    return errors.printable(f"{name}: {reason}")


def list_reasons(reasons: Sequence[tuple[str, str]]) -> str:
    """Lines of (name, reason) for the end of a message, as many as a person reads."""
    shown = [f"\n  {show_reason(*one)}" for one in reasons[:_SHOWN]]
    more = len(reasons) - len(shown)
    return "".join([*shown, f"\n  and {more} more"] if more else shown)


def show_bytes(n_bytes: float) -> str:
    """A size for people."""
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} GB"


def show_secs(secs: float) -> str:
    """A length of time for people."""
    if secs < 90:
        return f"{secs:.1f} s"
    if secs < 5400:
        return f"{secs / 60:.1f} min"
    return f"{secs / 3600:.1f} h"


def show_count(number: int, noun: str) -> str:
    """So many of something, in the singular or the plural."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def estimate_secs(plan: plan_lib.Plan, cached_secs: float, *, n_cores: int) -> float:
    """Time that the plan needs, about.

    Args:
        plan: What is to be computed.
        cached_secs: Audio whose pitch is in the cache, s.
        n_cores: That track pitch.
    """
    cost = _COST.get(plan.settings.crepe_capacity, _COST["full"])
    return (
        _COST_START + (plan.segment_secs - cached_secs) * cost * _COST_CORES / n_cores
    )


def describe(
    plan: plan_lib.Plan,
    passed_over: Sequence[Mapping[str, int]] = (),
    *,
    cached_secs: float = 0.0,
    n_workers: int | None = 1,
) -> str:
    """The plan: recordings, minutes, examples, shards, time, what is left out.

    Args:
        plan: What it says.
        passed_over: Counts of entries that are no recordings, by kind.
        cached_secs: Audio whose pitch is in the cache, s.
        n_workers: Processes that track pitch; None if an engine of its own decides,
            whose cores are taken to be as many as this machine's.
    """
    settings = plan.settings
    total = sum(recording.secs for recording in plan.recordings)
    # What goes in, and what comes out of it by split.
    lines = [
        f"{len(plan.recordings)} of {plan.n_found} recordings, {show_secs(total)}; "
        f"{settings.example_secs:g} s examples at {settings.sample_rate} Hz, "
        f"{settings.frame_rate} frames/s"
    ]
    for split in plan.split_names():
        shards = [shard for shard in plan.shards if shard.split == split]
        used = plan.recordings_of(split)
        lines.append(
            f"  {split}: {show_count(plan.n_examples(split), 'example')} from "
            f"{show_secs(plan.seconds[split])} of "
            f"{show_count(len(used), 'recording')}, {show_count(len(shards), 'shard')}"
        )
    if splits.EVAL not in plan.split_names():
        lines.append("  no eval split (--eval_split_fraction=0)")
    # What a person should look at before the hours of computing.
    lines += _short(plan)
    lines += [f"  note: {show_reason(n, t)}" for n, t in _notes(plan)[:_SHOWN]]
    lines += _left_out(plan.rejections)
    others = sum((collections.Counter(one) for one in passed_over), _NOTHING)
    if others:
        listed = ", ".join(f"{count} {kind}" for kind, count in sorted(others.items()))
        lines.append(f"  passed over, not audio by name: {errors.printable(listed)}")
    lines.append(_cost(plan, cached_secs, n_workers=n_workers))
    return "\n".join(lines)


def _cost(plan: plan_lib.Plan, cached_secs: float, *, n_workers: int | None) -> str:
    """Says what the plan takes of time and room, and what would take less."""
    n_there = os.cpu_count() or 1
    n_used = min(n_there, settings_lib.THREADS * n_workers) if n_workers else n_there
    cores = show_count(n_used, "core")
    if n_used < n_there:
        n_enough = -(-n_there // settings_lib.THREADS)
        cores = f"{n_used} of {n_there} cores, all with --workers={n_enough}"
    cached = f", {show_secs(cached_secs)} of it cached" if cached_secs else ""
    secs = estimate_secs(plan, cached_secs, n_cores=n_used)
    return (
        f"  pitch of {show_secs(plan.segment_secs)} by CREPE "
        f"({plan.settings.crepe_capacity}){cached}: about {show_secs(secs)} on "
        f"{cores}; {show_bytes(plan.n_bytes)} on disk"
    )


def _short(plan: plan_lib.Plan) -> list[str]:
    """Says what becomes of recordings shorter than an example."""
    short = {s.recording for s in plan.sources if s.excerpt and not s.cents}
    if not short:
        return []
    secs = sum(plan.recordings[index].secs for index in short)
    n_music = sum(s.n_frames for s in plan.sources if s.excerpt)
    silent = 1 - n_music / sum(pack.n_frames for pack in plan.packs)
    hint = ""
    if silent > MAX_SILENT_SHARE:
        hint = f"; {silent:.0%} of them is silence: --example_secs may be shorter"
    how = "filled up with silence" if plan.settings.short == "pad" else "laid in rows"
    return [
        f"  {show_count(len(short), 'recording')} of {show_secs(secs)}, each shorter "
        f"than an example, {how} (--short={plan.settings.short}){hint}"
    ]


def _notes(plan: plan_lib.Plan) -> list[tuple[str, str]]:
    notes = [(r.name, note) for r in plan.recordings for note in r.notes]
    rate = plan.settings.sample_rate
    low = [r for r in plan.recordings if r.in_rate < rate]
    if low:
        notes.append(
            (
                f"{len(low)} recordings",
                f"sampled below {rate} Hz: nothing above "
                f"{min(r.in_rate for r in low) // 2} Hz in the lowest",
            )
        )
    return notes


def _left_out(rejections: tuple[recordings_lib.Rejection, ...]) -> list[str]:
    whole = [r for r in rejections if r.part == "all"]
    lines = [f"  not used: {show_reason(r.name, r.reason)}" for r in whole[:_SHOWN]]
    if len(whole) > _SHOWN:
        lines.append(f"  not used: {len(whole) - _SHOWN} more")
    by_reason: dict[str, float] = collections.defaultdict(float)
    for rejection in rejections:
        if rejection.part != "all":
            by_reason[rejection.reason] += rejection.numbers["seconds"]
    for reason, secs in by_reason.items():
        lines.append(f"  left out: {show_secs(secs)}: {reason}")
    return lines


def too_many(plan: plan_lib.Plan, allowed: float) -> str:
    """Why the job stops when more than `allowed` of the recordings are unusable."""
    whole = [r for r in plan.rejections if r.part == "all" and not r.copy_of]
    share = len(whole) / plan.n_found
    shown = list_reasons([(r.name, r.reason) for r in whole])
    enough = min(1.0, int(share * 100 + 1) / 100)
    return (
        f"{len(whole)} of {plan.n_found} recordings ({share:.0%}) cannot be used, and "
        f"--max_rejected={allowed:g} allows {allowed:.0%}:{shown}\nPut them "
        f"right or remove them, or go on without them: --max_rejected={enough:.2f}"
    )


def describe_difference(old: plan_lib.Plan, new: plan_lib.Plan) -> list[str]:
    """Names what differs between two plans; nothing if their records are equal."""
    if old.hash == new.hash:
        return []
    lines = []
    # What a person chose ...
    before, after = (dataclasses.asdict(one.settings) for one in (old, new))
    for key in sorted(set(before) | set(after)):
        if before.get(key) != after.get(key):
            lines.append(f"--{key} was {before.get(key)}, is {after.get(key)}")
    # ... what computed, and what from.
    for key in sorted(set(old.versions) | set(new.versions)):
        if old.versions.get(key) != new.versions.get(key):
            lines.append(
                f"{key} was {old.versions.get(key)}, is {new.versions.get(key)}"
            )
    if old.tracker_id != new.tracker_id:
        lines.append(f"the pitch tracker was {old.tracker_id}, is {new.tracker_id}")
    for word, here, there in (("gone", old, new), ("new", new, old)):
        others = {(r.name, r.recording_id) for r in there.recordings}
        names = [
            r.name for r in here.recordings if (r.name, r.recording_id) not in others
        ]
        if names:
            shown = ", ".join(map(errors.printable, names[:3])) + (
                ", ..." if len(names) > 3 else ""
            )
            lines.append(f"{len(names)} recordings are {word} or changed: {shown}")
    codecs = {r.recording_id: r.codec for r in old.recordings}
    redone = [
        r for r in new.recordings if codecs.get(r.recording_id, r.codec) != r.codec
    ]
    if redone:
        was, now = codecs[redone[0].recording_id], redone[0].codec
        lines.append(f"{len(redone)} recordings were decoded as {was}, are as {now}")
    if not lines:
        lines.append("which inputs are rejected, or which recordings evaluate")
    return lines
