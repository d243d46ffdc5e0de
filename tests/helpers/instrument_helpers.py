"""Running the instrument's JavaScript in node, and writing its page."""

import json
import pathlib
import shutil

import numpy as np
import pytest

from evaluation.instrument import page
from evaluation.instrument import program as program_lib
from evaluation.render import performance
from models.streaming import block_noise
from models.streaming import player as player_lib
from tests.helpers import programs

JAVASCRIPT = pathlib.Path(__file__).parents[1] / "evaluation" / "instrument" / "js"
NODE = shutil.which("node")
PROFILE = {
    "pitch_midi": [57.0, 69.0, 81.0],
    "loudness_db": [-45.0, -25.0, -10.0],
    "floor_db": -60.0,
}


def run_node(*arguments: str) -> str:
    """Runs node and returns what it prints; skips where there is none."""
    if NODE is None:
        pytest.skip("node is not installed; users do not need it, these tests do")
    return programs.run(NODE, *arguments, cwd=None).stdout


def write_program(folder: pathlib.Path, program: program_lib.EngineProgram) -> None:
    """Writes what the JavaScript's engine reads."""
    described = {**program.description, "profile": PROFILE}
    (folder / "program.json").write_text(json.dumps(described), "utf-8")
    (folder / "tensors.bin").write_bytes(program.content)


def player_audio(
    model,
    played: performance.Performance,
    *,
    with_reverb: bool = False,
    content: bytes | None = None,
) -> np.ndarray:
    """What the models' own player makes of a performance, frame by frame."""
    player = player_lib.Player(model, with_reverb=with_reverb, content=content)
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


def write_page(path: pathlib.Path, model) -> pathlib.Path:
    """Writes a model as an instrument."""
    program = program_lib.describe(model)
    text = page.make_page(program, PROFILE, name=path.stem, facts="A test.")
    path.write_text(text, encoding="utf-8")
    return path
