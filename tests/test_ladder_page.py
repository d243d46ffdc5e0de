"""Numbers of docs/ladder.md and README.md against those of the code, without training.

Pieces of the pages stand here with their numbers taken from the code; formulas are
worked out by hand beside the classes that compute them.
"""

import math
import re

import gin
import numpy as np
import pytest
import tensorflow as tf

from models.config import gin_config
from models.controls import conditioning
from models.controls import heads
from models.controls import smoothing
from models.decoders import attention
from models.decoders import recurrent
from models.losses import terms
from models.measures import frame_masks
from prep import settings as prep_settings
from tests.helpers import ladder_helpers

REPOSITORY = ladder_helpers.REPOSITORY
GIBIBYTE = 2.0**30
# What a flag of the earlier command line is here: class and parameter, its value in a
# stage, and how the page's column of defaults says it.
DEFAULTS = (
    ("stage2", "models.decoders.MlpDecoder.hidden", 128, "128, 2"),
    ("stage2", "models.decoders.MlpDecoder.n_layers", 2, "128, 2"),
    ("transformer", "models.decoders.TransformerDecoder.d_model", 64, "64, 2, 2"),
    ("transformer", "models.decoders.TransformerDecoder.n_layers", 2, "64, 2, 2"),
    ("transformer", "models.decoders.TransformerDecoder.ff_multiplier", 2, "64, 2, 2"),
    ("transformer", "models.decoders.TransformerDecoder.causal", True, "True"),
    ("transformer", "models.decoders.TransformerDecoder.n_heads", 1, "1, None"),
    ("transformer", "models.decoders.TransformerDecoder.window", None, "1, None"),
    ("stage2", "models.smoothing.OnePole.alpha", 0.8, "0.8"),
    ("stage2", "models.losses.SpectralTerms.mag_weight", 1.0, "1, no ramp"),
    ("stage2", "models.losses.SpectralTerms.logmag_weight", 1.0, "1; 0 in stage0"),
    ("stage0", "models.losses.SpectralTerms.logmag_weight", 0.0, "1; 0 in stage0"),
    ("stage2", "models.loop.LoopOptions.patience", 40, "40, 0.01"),
    ("stage2", "models.loop.LoopOptions.min_delta", 0.01, "40, 0.01"),
    ("transformer", "models.trainer.LadderTrainer.accumulate_steps", 16, "16, 1;"),
)
MACROS = (
    ("stage2", "N_HARMONICS", 60, "| 60 |"),
    ("stage2", "N_NOISE_BANDS", 65, "| 65 |"),
    ("stage2", "learning_rate", 3e-4, "| 3e-4 |"),
    ("stage2", "batch_size", 16, "16, 1; transformer 1, 16"),
    ("transformer", "batch_size", 1, "16, 1; transformer 1, 16"),
)


def one_line(name: str) -> str:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", text.replace("\N{MINUS SIGN}", "-"))


@pytest.fixture(scope="module")
def page() -> str:
    return one_line("docs/ladder.md")


PREPARED = prep_settings.Settings()
TAPS = " ".join(f"{tap:g}" for tap in smoothing.FIR_TAPS)
LOW, HIGH = recurrent.MICRO_HIDDEN
PIECES = (
    f"`Fir` | taps {TAPS}, edges repeated; not causal, two frames late",
    f"cutoff {smoothing.MIN_CUTOFF_HZ:g} Hz … {0.5 * smoothing.NYQUIST_MARGIN:g} · "
    f"frame rate and Q {smoothing.MIN_Q:g} … {smoothing.MAX_Q:g}, as logits",
    f"α in (0, {smoothing.MAX_LEARNED_POLE:g}), as a logit",
    f"λ in (0, {smoothing.MAX_LEARNED_POLE:g}), as a logit",
    f"`MicroRnnDecoder` | compiled loop, gradient by hand | {LOW} to {HIGH} numbers",
    f"2 σ(n - {-heads.NOISE_BIAS:g})^ln 10 + 10⁻⁷",
    "`models.losses.weight_from_earlier(0.05)` is "
    f"{terms.weight_from_earlier(0.05):.0f} here "
    f"({terms.weight_from_earlier(0.05, n_fft_sizes=1):.0f} for each FFT size)",
    f"| `ddsp_prep --sample_rate` | {PREPARED.sample_rate} |",
    f"| {PREPARED.example_secs:g} s, {PREPARED.hop_secs:g} s |",
    f"| {PREPARED.frame_rate}/s |",
    f"| {PREPARED.min_loudness_db:g} dB, {PREPARED.voiced_confidence:g}, "
    f"{PREPARED.voiced_loudness_db:g} dB; {frame_masks.MIN_CONFIDENCE:g} |",
    f"so that no chunk leaks | {PREPARED.eval_split_fraction:g} |",
)


@pytest.mark.parametrize("piece", PIECES)
def test_the_page_says_the_code_s_numbers(piece, page):
    assert piece in page


@pytest.mark.parametrize(("stage", "name", "value", "shown"), DEFAULTS)
def test_the_page_s_defaults_are_the_stages(stage, name, value, shown, page):
    ladder_helpers.parse_stage(f"gin/{stage}.gin")
    assert gin.query_parameter(name) == value
    # A row of the table of flags names the parameter and shows the value.
    parameter = name.rsplit(".", 1)[-1]
    rows = re.findall(r"\| [^|]*\| [^|]*`[^|]*\| [^|]* \|", page)
    assert any(f"{parameter}`" in row and shown in row for row in rows)


@pytest.mark.parametrize(("stage", "name", "value", "shown"), MACROS)
def test_the_page_s_macros_are_the_stages(stage, name, value, shown, page):
    ladder_helpers.parse_stage(f"gin/{stage}.gin")
    assert gin_config.macro_value(name) == value
    assert shown in page


# --- memory ---


def attention_bytes(**changes):
    sizes = {
        "batch_size": 1,
        "n_frames": 1000,
        "n_heads": 1,
        "n_layers": 2,
        "window": None,
    }
    return attention.score_bytes(**sizes | changes)


def test_attention_takes_the_memory_that_the_page_says(page):
    """n_layers * batch * n_heads * n_frames^2 * 4 bytes * 4 copies."""
    assert attention_bytes() == 2 * 1000**2 * 4 * 4
    for factor, changes in (
        (16, {"batch_size": 16}),
        (4, {"n_heads": 4}),
        (2, {"n_layers": 4}),
        (4, {"n_frames": 2000}),
        # A window of 250 sees 500 frames in place of 1000; not more than there are.
        (0.5, {"window": 250}),
        (2.0, {"window": 1000}),
        (2.5, {"window": 1500}),
    ):
        assert attention_bytes(**changes) == factor * attention_bytes(), changes
    one, many = (attention_bytes(batch_size=n) / GIBIBYTE for n in (1, 16))
    assert f"{one:.2f} GiB for one clip of 4 s" in page
    assert f"{many:.2f} GiB for 16" in page


# --- other rates ---


def test_sizes_last_as_long_at_any_rate(page):
    sizes = terms.SpectralTerms(sample_rate=48000).frame_sizes
    assert sizes == (6144, 3072, 1536, 768, 384, 192)
    assert f"{sizes[0]} … {sizes[-1]} at 48 kHz" in page
    # Sizes are whole eighths, the nearest: 2048 * 44.1 / 16 is 5644.8.
    assert terms.SpectralTerms(sample_rate=44100).frame_sizes[0] == 5648


@pytest.mark.parametrize(("nyquist", "lowest"), [(8000, 133), (24000, 400)])
def test_sixty_harmonics_reach_nyquist_from_there_up(nyquist, lowest, page):
    assert round(nyquist / 60) == lowest
    assert f"{nyquist // 1000} kHz from {lowest} Hz up" in page


@pytest.mark.parametrize(("alpha", "cutoff_hz"), [(0.8, 8.9), (0.5, 29.0)])
def test_a_one_pole_s_cutoff_is_what_the_gin_files_say(alpha, cutoff_hz):
    """-3 dB of (1 - a) / |1 - a exp(-jw)| at 250 frames a second."""
    w = 2 * math.pi * cutoff_hz / 250
    gain = (1 - alpha) / abs(1 - alpha * np.exp(-1j * w))
    assert 20 * math.log10(gain) == pytest.approx(-3.01, abs=0.05)
    texts = [path.read_text("utf-8") for path in ladder_helpers.GIN.rglob("*.gin")]
    line = f"alpha = {alpha}  # -3 dB at {cutoff_hz:g} Hz"
    assert any(line in text for text in texts)


# --- conditioning ---


def curves(**values):
    return {
        key: tf.constant(np.reshape(value, [1, -1, 1]), tf.float32)
        for key, value in values.items()
    }


def test_what_a_decoder_is_told_by_hand():
    """MIDI / 127, dB / 80 + 1, the confidence within 0 and 1."""
    features = curves(
        f0_hz=[440.0, 880.0], loudness_db=[-80.0, -20.0], f0_confidence=[0.25, 1.5]
    )
    found = {
        k: v.numpy().ravel() for k, v in conditioning.Conditioning()(features).items()
    }
    np.testing.assert_allclose(found["f0_scaled"], [69 / 127, 81 / 127], rtol=1e-6)
    np.testing.assert_allclose(found["ld_scaled"], [0.0, 0.75], atol=1e-6)
    np.testing.assert_allclose(found["voicing"], [0.25, 1.0])


# --- README ---


def test_the_readme_says_prep_s_and_the_ladder_s_numbers():
    readme = one_line("README.md")
    assert f"loudness at {PREPARED.frame_rate} frames a second" in readme
    assert f"cuts {PREPARED.example_secs:g} s examples" in readme
    assert f"a micro-RNN of {LOW} to {HIGH} units" in readme
    assert "exit code 1 when a training of a candidate has collapsed, 3 when" in readme
    assert frame_masks.MIN_CONFIDENCE == PREPARED.voiced_confidence
