"""Dumps of a long run: few, from its whole length."""

from models.monitoring import dumps


def test_dumps_cover_the_whole_run_and_stay_few(tmp_path):
    for step in range(0, 20000, 20):
        (tmp_path / f"step-{step:06d}").mkdir()
        dumps.thin(tmp_path, keep=10)
    steps = sorted(int(path.name[5:]) for path in tmp_path.iterdir())
    assert len(steps) <= 10
    assert (steps[0], steps[-1]) == (0, 19980)
    assert any(4000 < step < 12000 for step in steps)
