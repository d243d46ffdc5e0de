"""How an instrument's page plays in headless Chromium: size, speed, latency; one core.

    python -m benchmarks.bench_instrument
    python -m benchmarks.bench_instrument --runs runs/stage3

Speed is seconds of sound by seconds of processor time of all of Chromium's processes,
in the page's own audio worklet and an offline audio context, so that other programs on
the machine count as little as possible. Beside it stands a frame of the decoder with
and without WebAssembly, wall-clock. Latency is what the page adds: from a key, or a
tone at the microphone, until the output reaches a tenth of its steady peak, and one
block of the audio thread (128 samples) for which an event may wait. Weights are fresh
where no run is given. Needs Debian's chromium and selenium; the last line is JSON.
"""

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import tempfile
from typing import Any

import tensorflow as tf

from benchmarks import bench_render
from evaluation.instrument import page
from evaluation.instrument import program as program_lib
from evaluation.instrument import scripts
from models.runs import loading
from tests.helpers import browsers

STAGES = ("stage2", "stage3", "stage5")
FRAME_RATE = 250  # frames/s
N_ROUNDS = 5  # of which the median counts
SCRIPT_SECS = 600  # after which the browser hangs
RENDER = """
  const { host } = ddspInstrument, rate = host.program.synth.sample_rate;
  const note = { note: "on", id: "a", midi: 69, share: 0.8 };
  const render = async (secs) => {
    const context = new OfflineAudioContext(1, secs * rate, rate);
    const node = await host.addNode(context, [note]);
    node.connect(context.destination);
    await context.startRendering();
  };
  return render(secs);
"""
DECODER_SPEED = """
  const { program, buffer } = ddspInstrument.host;
  const time = (plain) => {
    const { decoder } = new $instrument.Instrument(program, buffer, { plain }).engine;
    const inputs = Object.fromEntries(decoder.inputs.map((name) => [name, 0.5]));
    for (let i = 0; i < 100; i++) decoder.step(inputs);
    const begin = performance.now(), count = plain ? 100 : 1000;
    for (let i = 0; i < count; i++) decoder.step(inputs);
    return (1000 * (performance.now() - begin)) / count;
  };
  return [time(false), time(true)];
"""
LATENCY = """
  const { program, buffer } = ddspInstrument.host;
  const rate = program.synth.sample_rate;
  const measure = (hear, play) => {
    const instrument = new $instrument.Instrument(program, buffer);
    instrument.settings.reverb = 0;
    if (hear) instrument.listen(true, rate);
    const output = [], begin = 128 * 100;
    for (let start = 0; start < 3 * rate; start += 128) {
      if (start === begin) play?.(instrument);
      if (hear) instrument.hear(Float32Array.from({ length: 128 },
        (_, i) => (start + i < begin ? 0 : hear(start + i))));
      const block = new Float32Array(128);
      instrument.render(block);
      output.push(...block);
    }
    const peak = output.slice(2 * rate).reduce((a, x) => Math.max(a, Math.abs(x)), 0);
    const onset = output.findIndex((x) => Math.abs(x) > 0.1 * peak);
    return (1000 * (onset - begin + 128)) / rate;
  };
  const tone = (n) => [1, 2, 3, 4].reduce((sum, k) =>
    sum + 0.1 * Math.sin((2 * Math.PI * 330 * k * n) / rate), 0);
  return [
    measure(null, ({ performer }) => performer.noteOn("a", 69, 0.8)),
    measure(tone),
  ];
"""


def evaluate(driver: Any, body: str, **constants: float) -> Any:
    """Awaits JavaScript in the page."""
    given = "".join(f"const {name} = {value};" for name, value in constants.items())
    answer = driver.execute_async_script(
        "const done = arguments[0];"
        f"(async () => {{ {given} {body} }})()"
        ".then((value) => done({ value }), (error) => done({ error: String(error) }));"
    )
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["value"]


def real_time_factor(driver: Any, *, secs: float) -> float:
    """Seconds of sound by processor time, the median of some renderings."""
    evaluate(driver, RENDER, secs=2)  # compiles
    factors = []
    for _ in range(N_ROUNDS):
        before = processor_secs(driver.service.process.pid)
        evaluate(driver, RENDER, secs=secs)
        factors.append(secs / (processor_secs(driver.service.process.pid) - before))
    return statistics.median(factors)


def processor_secs(root: int) -> float:
    """Processor time of a process and all below it, s."""
    parents, ticks = {}, {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # a process may end meanwhile
            fields = path.read_text().rpartition(")")[2].split()
            pid = int(path.parent.name)
            parents[pid] = int(fields[1])
            ticks[pid] = int(fields[11]) + int(fields[12])
    below = {root}
    while more := {pid for pid, up in parents.items() if up in below} - below:
        below |= more
    return sum(ticks.get(pid, 0) for pid in below) / os.sysconf("SC_CLK_TCK")


def measure(driver: Any, model: tf.keras.Model, *, secs: float) -> dict[str, Any]:
    """All figures of a model."""
    program = program_lib.describe(model)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "instrument.html"
        profile = page.read_profile(pathlib.Path(folder))
        text = page.make_page(program, profile, name="bench", facts="")
        path.write_text(text, encoding="utf-8")
        driver.get(path.as_uri())
        end = "globalThis.$instrument = $instrument;"
        driver.execute_script(scripts.bundle("instrument", last=end))
        compiled_us, plain_us = evaluate(driver, DECODER_SPEED)
        key_ms, voice_ms = evaluate(driver, LATENCY)
        factor = real_time_factor(driver, secs=secs)
    return {
        "page_mb": round(len(text) / 1e6, 2),
        "eight_bits": program.eight_bits,
        "real_time_factor": round(factor, 1),
        "decoder_us": round(compiled_us, 1),
        "decoder_without_webassembly_us": round(plain_us, 1),
        "key_ms": round(key_ms, 1),
        "voice_ms": round(voice_ms, 1),
    }


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stages", nargs="+", default=list(STAGES))
    parser.add_argument("--runs", nargs="+", default=[], help="in place of stages")
    parser.add_argument("--secs", type=float, default=8.0, help="of sound a round")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    results = {}
    driver = browsers.open_chromium()
    driver.set_script_timeout(SCRIPT_SECS)
    try:
        for name in arguments.runs or arguments.stages:
            if arguments.runs:
                model = loading.load_run(name).model
            else:
                model = bench_render.make_model(name, FRAME_RATE)
            results[name] = measure(driver, model, secs=arguments.secs)
            print(f"{name:24s} {json.dumps(results[name])}", flush=True)
    finally:
        driver.quit()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
