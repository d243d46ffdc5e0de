"""What many files, long files, many clips and many steps cost, an item.

    python -m benchmarks.faults.growth          # all four; an hour of two idle cores
    python -m benchmarks.faults.growth --cases=files --share=0.1

Each case runs at a tenth of its size and at its size, each in a process of its own:
10,000 recordings of 0.3 s, one recording of three hours, a report of 1,000 clips, a
training of 20,000 steps. A line of JSON each: CPU seconds and bytes an item, memory,
and how long Chromium takes to open the page. `growth` divides the cost of an item at
full size by that at a tenth: above 1, it grows faster than the input.

The pitch tracker counts zero crossings and the models are tiny: what grows with the
input is the project's own bookkeeping, which is what is measured here.
"""

import json
import os
import pathlib
import time
from collections.abc import Callable

import soundfile
from absl import app
from absl import flags

from benchmarks.faults import kill_everything
from benchmarks.faults import killed_programs
from models.runs import layout
from prep import files
from prep import processes
from tests.helpers import browsers
from tests.helpers import forked
from tests.helpers import prep_helpers
from tests.helpers import training_helpers
from tests.helpers import training_toy

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMALL = 0.1  # of the size, to compare with
FILE_SECS = 0.3
N_VISITS = 5  # of a page
_SHARE = flags.DEFINE_float("share", 1.0, "Share of the sizes, e.g. to try it.")
_CASES = flags.DEFINE_list("cases", ["files", "hours", "clips", "steps"], "Which.")


def write_files(folder: pathlib.Path, n_files: int) -> list[str]:
    """Short recordings, each of another pitch; the words that prepare them."""
    (folder / "in").mkdir(parents=True)
    for index in range(n_files):
        f0_hz = 150.0 + 500.0 * index / n_files
        audio = prep_helpers.tone(FILE_SECS, f0_hz=f0_hz)
        soundfile.write(folder / "in" / f"{index:05d}.wav", audio, 16000)
    return _prepare(folder)


def write_hours(folder: pathlib.Path, n_secs: int) -> list[str]:
    """One recording; the words that prepare it."""
    (folder / "in").mkdir(parents=True)
    minute = prep_helpers.tone(60.0)
    with soundfile.SoundFile(folder / "in" / "a.wav", "w", 16000, 1) as file:
        for start in range(0, n_secs, 60):
            file.write(minute[: 16000 * min(60, n_secs - start)])
    return _prepare(folder)


def _prepare(folder: pathlib.Path) -> list[str]:
    return [
        *("python", "-m", "prep.run_beam", "--quiet"),
        f"--input={folder / 'in'}",
        f"--output={folder / 'out'}",
        *("--example_secs=4", "--hop_secs=4"),
    ]


def write_clips(folder: pathlib.Path, n_clips: int) -> list[str]:
    """A dataset of many clips and two runs; the words that judge them."""
    training_helpers.write_dataset(
        folder / "data", n_train=2, n_eval=n_clips, example_secs=0.5
    )
    for rung in killed_programs.RUNGS:
        run(
            [
                *("python", "-m", "models.ddsp_run", "--quiet", "--steps=1"),
                f"--gin_file=gin/{rung}.gin",
                "--gin_file=gin/overlays/tiny.gin",
                f"--data_dir={folder / 'data'}",
                f"--save_dir={folder / 'runs' / rung}",
            ],
            folder,
        )
    return [
        *("python", "-m", "evaluation.run_report"),
        f"--baseline={folder / 'runs' / 'stage1'}",
        f"--candidate={folder / 'runs' / 'stage2'}",
        f"--output={folder / 'out'}",
        "--batch_size=16",
    ]


def write_steps(folder: pathlib.Path, n_steps: int) -> list[str]:
    """A toy; the words that train it, with dumps as a person may ask for."""
    training_helpers.write_dataset(folder / "data", example_secs=0.2)
    training_toy.write_toy_gin(folder)
    return [
        *("python", "-m", "models.ddsp_run", "--quiet", f"--steps={n_steps}"),
        f"--gin_file={folder / 'toy.gin'}",
        f"--data_dir={folder / 'data'}",
        f"--save_dir={folder / 'out'}",
        "--gin_param=train.steps_per_save=200",
        "--gin_param=models.loop.LoopOptions.log_every=10",
        "--gin_param=models.loop.LoopOptions.held_out_every=100",
        f"--dump_controls_every={max(1, n_steps // 100)}",
    ]


CASES: dict[str, tuple[Callable[[pathlib.Path, int], list[str]], int]] = {
    "files": (write_files, 10_000),
    "hours": (write_hours, 3 * 3600),
    "clips": (write_clips, 1000),
    "steps": (write_steps, 20_000),
}


def run(words: list[str], folder: pathlib.Path) -> dict[str, float]:
    """Runs a program in a forked process; returns what it took.

    Raises:
        RuntimeError: If it fails.
    """
    begin = time.monotonic()
    with open(folder / "log", "a", encoding="utf-8") as log:
        pid = forked.Forked(words, stdout=log).pid
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise RuntimeError((folder / "log").read_text("utf-8", "replace")[-2000:])
    return {
        "secs": time.monotonic() - begin,
        "cpu_secs": usage.ru_utime + usage.ru_stime,
        "peak_mb": processes.usage_mb(usage),
    }


def sizes(folder: pathlib.Path) -> dict[str, int]:
    """Bytes of what grows: of all, and of files that are read by people or programs."""
    named = [
        *("plan.json", "statistics.json", "dataset.html", "report.html"),
        *("summary.json", "scores.jsonl", layout.METRICS_NAME, layout.RUN_NAME),
    ]
    out = folder / "out"
    found = {
        name: (out / name).stat().st_size for name in named if (out / name).exists()
    }
    whole = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return {"all": whole, **found}


def measure(name: str, folder: pathlib.Path, n_items: int) -> dict[str, object]:
    """Runs a case of some size."""
    write, _ = CASES[name]
    took = run(write(folder, n_items), folder)
    pages = [folder / "out" / page for page in ("dataset.html", "report.html")]
    return {
        "case": name,
        "n_items": n_items,
        "cpu_ms_per_item": round(1000 * took["cpu_secs"] / n_items, 3),
        **{key: round(value, 1) for key, value in took.items()},
        "bytes": sizes(folder),
        "page_secs": [round(open_page(page), 2) for page in pages if page.exists()],
    }


def open_page(path: pathlib.Path) -> float:
    """Seconds until Chromium has loaded and laid out a page; NaN without Chromium.

    The fastest of some visits counts: the others waited for other work.
    """
    if not (browsers.CHROMIUM and browsers.DRIVER):
        return float("nan")
    browser = browsers.open_chromium()
    found = []
    try:
        for _ in range(N_VISITS):
            browser.get("about:blank")
            begin = time.monotonic()
            browser.get(path.as_uri())
            browser.execute_script("return document.body.offsetHeight")
            found.append(time.monotonic() - begin)
    finally:
        browser.quit()
    return min(found)


def main(argv: list[str]) -> None:
    """Measures all cases."""
    del argv
    os.chdir(ROOT)
    kill_everything.prepare_to_fork()
    for name in _CASES.value:
        found = []
        for share in (SMALL, 1.0):
            n_items = max(2, round(CASES[name][1] * _SHARE.value * share))
            with files.scratch_folder(f"growth-{name}") as folder:
                found.append(measure(name, folder, n_items))
            print(json.dumps(found[-1]), flush=True)
        costs = [float(str(one["cpu_ms_per_item"])) for one in found]
        print(json.dumps({"case": name, "growth": round(costs[1] / costs[0], 2)}))


if __name__ == "__main__":
    app.run(main)
