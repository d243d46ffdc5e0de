"""A plan of three recordings, small enough to count by hand."""

from prep import settings as settings_lib
from prep.plan import plan as plan_lib
from prep.recordings import recording as recordings_lib

SETTINGS = settings_lib.Settings(
    sample_rate=48000, frame_rate=100, example_secs=1.0, framing="ddsp_center"
)


def recording(name, **changed):
    return recordings_lib.Recording(
        **{
            **dict(name=f"{name}.wav", path=f"/in/{name}.wav", recording_id=name),
            **dict(n_bytes=1, in_rate=16000, n_in=16000, channels=1, codec="WAV"),
            **dict(peak=1.0, offset=0.0, clipped_share=0.0, silent_share=0.0),
            **dict(max_loudness_db=0.0, floor_loudness_db=-60.0, notes=()),
            **changed,
        }
    )


def source(index, n_frames, segments, **changed):
    values = dict(recording=index, cents=0.0, n_samples=1, n_samples_16k=1)
    return plan_lib.Source(
        **{**values, "n_frames": n_frames, "segments": segments, **changed}
    )


# Two minutes of "a" and a bit; "b" and "c" stand in a pack, "d" alone in another.
PLAN = plan_lib.Plan(
    settings=SETTINGS,
    tracker_id="stub",
    recordings=tuple(recording(name) for name in "abcd"),
    sources=(
        source(0, 12345, (0, 2)),
        source(1, 60, (0,), excerpt=(10, 70), cents=50.0),
        source(2, 30, (0,), excerpt=(0, 30), cents=50.0),
        source(3, 90, (0,), excerpt=(0, 90)),
    ),
    shards=(
        plan_lib.Shard("train", "train.tfrecord-0", ((0, 0), (4, 50), (0, 5950))),
        plan_lib.Shard("train", "train.tfrecord-1", ((0, 12000),)),
        plan_lib.Shard("eval", "eval.tfrecord-0", ((5, 0),)),
    ),
    rejections=(),
    n_found=4,
    seconds={"train": 3.0, "eval": 0.9},
    versions={"numpy": "2"},
    packs=(
        plan_lib.Pack(((1, 0), (2, 70)), n_frames=150),
        plan_lib.Pack(((3, 0),), n_frames=100),
    ),
)
