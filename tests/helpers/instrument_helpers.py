"""Running the instrument's JavaScript in node, and its page in Debian's chromium."""

import json
import pathlib
import shutil
import subprocess

import numpy as np
import pytest

from evaluation.instrument import page
from evaluation.instrument import program as program_lib
from evaluation.render import performance
from models.streaming import block_noise
from models.streaming import player as player_lib

JAVASCRIPT = pathlib.Path(__file__).parents[1] / "evaluation" / "instrument" / "js"
NODE = shutil.which("node")
NODE_SECS = 600  # after which a script hangs
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
# Contrast ratio and class of every text of a page.
CONTRAST = """
  const parse = (c) => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92
    : Math.pow((v + 0.055) / 1.055, 2.4);
  const light = (c) => { const [r, g, b] = parse(c).map(channel);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (e) => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (!/rgba\\(0, 0, 0, 0\\)|transparent/.test(c)) return c; } };
  const all = "h1, h2, p, button, .action, label, output, summary, .role, .soft, kbd";
  return [...document.querySelectorAll(all)]
    .filter((e) => e.textContent.trim() && e.checkVisibility()).map((e) => {
      const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
      return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05),
        e.className || e.tagName];
    });
"""
PROFILE = {
    "pitch_midi": [57.0, 69.0, 81.0],
    "loudness_db": [-45.0, -25.0, -10.0],
    "floor_db": -60.0,
}


def run_node(*arguments: str) -> str:
    """Runs node and returns what it prints; skips where there is none."""
    if NODE is None:
        pytest.skip("node is not installed; users do not need it, these tests do")
    done = subprocess.run(
        [NODE, *arguments],
        capture_output=True,
        text=True,
        timeout=NODE_SECS,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


def write_program(folder: pathlib.Path, program: program_lib.EngineProgram) -> None:
    """Writes what the JavaScript's engine reads."""
    described = {**program.description, "profile": PROFILE}
    (folder / "program.json").write_text(json.dumps(described), "utf-8")
    (folder / "tensors.bin").write_bytes(program.content)


def player_audio(
    model, played: performance.Performance, *, with_reverb: bool = False
) -> np.ndarray:
    """What the models' own player makes of a performance, frame by frame."""
    player = player_lib.Player(model, with_reverb=with_reverb)
    state = player.initial_state()
    parts = []
    for f0_hz, loudness_db, f0_confidence in zip(
        played.f0_hz, played.loudness_db, played.f0_confidence, strict=True
    ):
        samples, state = player.step(
            f0_hz, loudness_db, f0_confidence=f0_confidence, state=state
        )
        parts.append(samples.copy())
    return np.concatenate(parts)


def noise_of_frames(n_frames: int, hop_size: int, latency_frames: int) -> np.ndarray:
    """The player's noise, as the frames meet it. Shape [n_frames, hop_size]."""
    silent = np.zeros(latency_frames * hop_size, np.float32)
    drawn = block_noise.WhiteNoise(0).span(0, n_frames * hop_size)
    joined = np.concatenate([silent, drawn])[: n_frames * hop_size]
    return joined.reshape(n_frames, hop_size)


def make_browser(*arguments: str):
    """A headless chromium; skips where there is none."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("chromium is not installed: apt-get install chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome import options as chrome_options
    from selenium.webdriver.chrome import service

    options = chrome_options.Options()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",  # CI runs as root
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--autoplay-policy=no-user-gesture-required",
        "--window-size=1280,1000",
        *arguments,
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=service.Service(DRIVER))


def write_page(path: pathlib.Path, model) -> pathlib.Path:
    """Writes a model as an instrument."""
    program = program_lib.describe(model)
    text = page.make_page(program, PROFILE, name=path.stem, facts="A test.")
    path.write_text(text, encoding="utf-8")
    return path
