"""What the threads of a worker share: the plan and the pitch tracker."""

import concurrent.futures
import threading
import time

from prep.beam import steps
from prep.dataset import layout as dataset_layout
from tests.helpers import plans


def make_job(folder, make_tracker=object, kind=steps.Job):
    layout = dataset_layout.Layout(folder)
    layout.file(dataset_layout.PLAN).write_text(plans.PLAN.to_json())
    return kind(str(folder), None, plans.PLAN.hash, make_tracker)


def test_plan_is_there_though_a_thread_of_another_job_takes_its_place(tmp_path):
    class Forgotten(steps.Job):
        def keep(self, plan):
            super().keep(plan)
            steps._plans.clear()

    assert make_job(tmp_path, kind=Forgotten).plan == plans.PLAN


def test_threads_that_begin_together_load_what_they_share_once(tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "_trackers", {})
    monkeypatch.setattr(steps, "_plans", {})
    began, loaded, read = threading.Barrier(3), [], []
    read_plan = steps._read_plan
    monkeypatch.setattr(
        steps, "_read_plan", lambda *key: read.append(key) or read_plan(*key)
    )

    def load():
        loaded.append(1)
        time.sleep(0.1)  # long enough for the others to come
        return object()

    def ask(job):
        began.wait()
        return job.tracker()

    job = make_job(tmp_path, load)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(ask, [job] * 3))) == 1
    assert (len(loaded), len(read)) == (1, 1)
