"""The same graph on every engine; whole datasets are compared, byte by byte.

The servers listen on loopback and are started and ended here. Workers import the stub
tracker from this folder, so it is on their PYTHONPATH.
"""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from typing import ClassVar

import pytest

from prep import settings as settings_lib
from prep.beam import probing
from prep.beam import runners
from prep.beam import steps
from tests.helpers import prep_helpers

ROOT = pathlib.Path(__file__).resolve().parents[3]
BIN = pathlib.Path(sys.executable).parent
WAIT_SECS = 90


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("engines")
    prep_helpers.write_tones(folder / "in", [3.0, 2.0, 65.0, 4.2, 7.7])
    return folder / "in"


@pytest.fixture(scope="module")
def wanted(source):
    prep_helpers.prepare(source, source.parent / "wanted")
    return prep_helpers.contents(source.parent / "wanted")


@pytest.fixture
def worker_path(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port):
    deadline = time.monotonic() + WAIT_SECS
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port)),
        ):
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on {port}")


@pytest.fixture
def start(tmp_path, worker_path):
    """Starts programs; ends them, with their children, when the test is over."""
    processes = []

    def begin(*command):
        with open(tmp_path / f"log{len(processes)}", "wb") as log:
            processes.append(
                subprocess.Popen(
                    [str(c) for c in command],
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    cwd=tmp_path,
                )
            )
        return processes[-1]

    yield begin
    for process in reversed(processes):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_many_processes_give_the_same_dataset(
    source, wanted, tmp_path, worker_path, monkeypatch
):
    monkeypatch.setattr(probing, "MIN_BYTES", 0.0)  # the processes probe, too
    options = runners.make_options(workers=2)
    prep_helpers.prepare(source, tmp_path / "out", options=options)
    assert prep_helpers.contents(tmp_path / "out") == wanted


@pytest.mark.slow
def test_process_that_is_killed_is_explained_and_gone_on_with(
    source, wanted, tmp_path, worker_path
):
    (tmp_path / "once").touch()
    options = runners.make_options(workers=2)
    changed = {
        "options": options,
        "make_tracker": prep_helpers.Suicidal(str(tmp_path / "once")),
    }
    with pytest.raises(settings_lib.PrepError, match="a worker process was lost"):
        prep_helpers.prepare(source, tmp_path / "out", **changed)
    prep_helpers.prepare(source, tmp_path / "out", **changed)
    assert prep_helpers.contents(tmp_path / "out") == wanted


def start_dask(start, tmp_path, n_workers):
    port = free_port()
    nowhere = "127.0.0.1:0"
    start(
        *(BIN / "dask", "scheduler", "--host", "127.0.0.1", "--port", port),
        *("--dashboard-address", nowhere, "--no-show"),
    )
    wait_for(port)
    address = f"tcp://127.0.0.1:{port}"
    for index in range(n_workers):
        start(
            *(BIN / "dask", "worker", address, "--host", "127.0.0.1"),
            *("--nworkers", 1, "--nthreads", 1, "--memory-limit", "3GiB"),
            *("--dashboard-address", nowhere, "--name", f"w{index}"),
            *("--local-directory", tmp_path / f"dask{index}"),
        )
    return address


@pytest.mark.slow
def test_dask_that_loses_a_worker_gives_the_same_dataset(
    source, wanted, tmp_path, start
):
    """One of two real workers kills itself while it tracks pitch; nothing is lost."""
    import distributed

    address = start_dask(start, tmp_path, 2)
    with distributed.Client(address) as client:
        client.wait_for_workers(2, timeout=WAIT_SECS)
    (tmp_path / "once").touch()
    prep_helpers.prepare(
        source,
        tmp_path / "out",
        options=runners.make_options(dask=address),
        make_tracker=prep_helpers.Suicidal(str(tmp_path / "once")),
    )
    assert not (tmp_path / "once").exists(), "no worker was killed"
    assert prep_helpers.contents(tmp_path / "out") == wanted


@pytest.mark.slow
def test_job_server_and_worker_pool_give_the_same_dataset(
    source, wanted, tmp_path, start
):
    job_port, pool_port = free_port(), free_port()
    modules = "apache_beam.runners"
    start(
        *(sys.executable, "-m", f"{modules}.portability.local_job_service_main"),
        *("--port", job_port, "--staging_dir", tmp_path / "staging"),
    )
    start(
        *(sys.executable, "-m", f"{modules}.worker.worker_pool_main"),
        f"--service_port={pool_port}",
    )
    wait_for(job_port)
    wait_for(pool_port)
    options = runners.make_options(
        runner="PortableRunner",
        beam_args=[
            f"--job_endpoint=localhost:{job_port}",
            "--environment_type=EXTERNAL",
            f"--environment_config=localhost:{pool_port}",
        ],
    )
    prep_helpers.prepare(source, tmp_path / "out", options=options)
    assert prep_helpers.contents(tmp_path / "out") == wanted


def runner_of(options):
    return options.get_all_options()["runner"]


def test_direct_runner_means_the_one_in_process():
    assert runner_of(runners.make_options(runner="DirectRunner")) == "FnApiRunner"
    assert runner_of(runners.make_options()) == "FnApiRunner"


def test_beams_own_flags_pass_through():
    options = runners.make_options(
        runner="FlinkRunner", beam_args=["--flink_master=host:8081", "--parallelism=4"]
    )
    found = options.get_all_options()
    assert found["flink_master"] == "host:8081"
    assert found["runner"] == "FlinkRunner"


def test_flags_of_beam_that_resemble_ours_are_beams():
    beams = ["--num_workers=3", "--streaming", "--profile_sample_rate=0.5"]
    ours = ["workers", "framing", "sample_rate"]
    found = runners.make_options(beam_args=beams, own_flags=ours).get_all_options()
    assert (found["num_workers"], found["streaming"]) == (3, True)


@pytest.mark.parametrize(
    "values, match",
    [
        ({"workers": 0}, "at least 1"),
        ({"workers": 2, "runner": "FlinkRunner"}, "flags of its own"),
        ({"dask": "tcp://h:1", "runner": "FlinkRunner"}, "brings its own runner"),
        ({"beam_args": ["--flink_mster=x"]}, "Similar: --flink_master"),
        ({"beam_args": ["--inptu=x"], "own_flags": ["input"]}, "Similar: --input"),
    ],
)
def test_contradictions_are_refused(values, match):
    with pytest.raises(settings_lib.PrepError, match=match):
        runners.make_options(**values)


@pytest.mark.parametrize(
    "message, wanted",
    [
        ("OSError: [Errno 28] No space left on device [while running 'x']", "full"),
        ("RuntimeError: Channel closed prematurely.", "was lost"),
        ("a\nb\nthe last line", "ValueError: the last line"),
    ],
)
def test_errors_of_runners_become_sentences(message, wanted):
    assert wanted in runners.explain(ValueError(message))


class ListeningTracker(prep_helpers.StubTracker):
    """Notes, while it tracks, on which ports its process listens."""

    seen: ClassVar[list[set[str]]] = []

    def __call__(self, *args, **kwargs):
        self.seen.append(listening_ports())
        return super().__call__(*args, **kwargs)


def listening_ports() -> set[str]:
    """Addresses on which this process listens, as Linux shows them."""
    own = set()
    for link in pathlib.Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            own.add(os.readlink(link))
    found = set()
    for name in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
                found.add(fields[1])
    return found


def test_one_process_opens_no_port(tmp_path, monkeypatch):
    before = listening_ports()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert len(listening_ports() - before) == 1  # it would be seen
    prep_helpers.write_tones(tmp_path / "in", [2.0, 1.5])
    monkeypatch.setattr(steps, "_trackers", {})  # one of an earlier test would track
    ListeningTracker.seen.clear()
    prep_helpers.prepare(
        tmp_path / "in", tmp_path / "out", make_tracker=ListeningTracker
    )
    assert ListeningTracker.seen
    assert all(ports <= before for ports in ListeningTracker.seen)
