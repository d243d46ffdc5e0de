# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   language_info:
#     name: python
# ---

# %% [markdown]
# # An instrument out of your recordings
#
# From a few minutes of one instrument, or of a voice, to a model that you can play: by
# your own singing, in a web page, in a DAW. Run the cells from top to bottom; with the
# settings below that takes about half an hour on two cores.
#
# It runs on Linux or macOS with Python 3.11 or 3.12: on Colab or Kaggle, or in Jupyter
# on your own computer. The project's tests execute every cell, on Linux with Python
# 3.11 and without a GPU, but for the installation. **Not tried: Colab and Kaggle
# themselves, and a GPU.**

# %%
import html
import os
import pathlib
import subprocess
import sys

from IPython import display

# Where everything is written. On Colab, a folder of a mounted Drive keeps it.
FOLDER = pathlib.Path(os.environ.get("LADDER_FOLDER", "ladder")).resolve()
# Your recordings: solo, one note at a time, 5 to 20 minutes, 16 kHz or more. A folder,
# for instance "/content/drive/MyDrive/flute". Empty: you are asked, or a flute plays.
RECORDINGS = os.environ.get("LADDER_RECORDINGS", "")
# A recording that the model shall play in its own voice. Empty: you are asked, or one
# of the recordings is taken.
SINGING = os.environ.get("LADDER_SINGING", "")
# Where the project is: a checkout of it, or the address to clone it from, which is
# where you have this notebook from.
PROJECT = os.environ.get("LADDER_PROJECT", "..")
# The recipe ends by itself after 400 steps, some 4 minutes of two idle cores; the clock
# ends it sooner. "--steps=3000" trains longer; on a viola that gained little.
TRAINING = os.environ.get("LADDER_TRAINING", "--max_minutes=10").split()
# CREPE tiny measures pitch in a seventh of the time; "full" is surer of low notes.
CREPE = os.environ.get("LADDER_CREPE", "full")

FOLDER.mkdir(parents=True, exist_ok=True)
ON_COLAB = "google.colab" in sys.modules


def run(*command):
    """Runs a program, shows what it says while it says it, and stops if it fails."""
    words = [str(word) for word in command]
    print("$", *words, flush=True)
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},  # each line when it is said
    ) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
    if process.returncode:
        raise RuntimeError(f"{words[0]} ended with exit code {process.returncode}.")


def show_page(path, height=700):
    """Shows a page of the project inside the notebook; it needs no network."""
    page = html.escape(pathlib.Path(path).read_text("utf-8"))
    style = f"width: 100%; height: {height}px; border: 0"
    return display.HTML(f'<iframe srcdoc="{page}" style="{style}"></iframe>')


def offer(path):
    """Offers a file for download."""
    if not ON_COLAB:
        return display.FileLink(os.path.relpath(path))
    from google.colab import files

    return files.download(str(path))


# %% [markdown]
# ## Install
# Into an environment of its own, because the pinned packages would disturb those of the
# notebook: a few minutes and 4 GB, once. `--no-deps` because `requirements.txt` is
# complete, and ddsp asks for releases of 2022. An installation that is there already
# (`LADDER_PYTHON`) is taken as it is.

# %%
if not (pathlib.Path(PROJECT) / "setup.cfg").exists():
    if PROJECT == "..":
        raise RuntimeError("Say in PROJECT where the project can be cloned from.")
    if not (FOLDER / "project").exists():
        run("git", "clone", "--depth=1", PROJECT, FOLDER / "project")
    PROJECT = FOLDER / "project"
PROJECT = pathlib.Path(PROJECT).resolve()

PYTHON = os.environ.get("LADDER_PYTHON", "")
if not PYTHON:
    if sys.version_info[:2] not in ((3, 11), (3, 12)):
        raise RuntimeError(f"This is Python {sys.version}; 3.11 or 3.12 is needed.")
    PYTHON = FOLDER / "venv" / "bin" / "python"
    if not PYTHON.exists():
        # Without its own pip, which some systems cannot put into an environment.
        run(sys.executable, "-m", "venv", "--without-pip", FOLDER / "venv")
    pip = (sys.executable, "-m", "pip", "--python", PYTHON, "install", "--quiet")
    run(*pip, "--no-deps", "-r", PROJECT / "requirements.txt")
    run(*pip, "--no-deps", "--editable", PROJECT)
    if pathlib.Path("/proc/driver/nvidia").exists():
        run(*pip, "tensorflow[and-cuda]==2.21.*")  # the GPU's libraries

os.chdir(PROJECT)  # gin files are named by their place in the project
DEVICES = "import tensorflow as tf; print(tf.config.list_physical_devices())"
run(PYTHON, "-c", DEVICES)


# %% [markdown]
# ## Your recordings


# %%
def ask_for(folder, what):
    """Uploads files on Colab; elsewhere returns what lies in the folder."""
    folder.mkdir(exist_ok=True)
    if ON_COLAB and not any(folder.iterdir()):
        from google.colab import files

        print(f"Choose {what}; cancel to go on without.")
        for name, content in files.upload().items():
            (folder / name).write_bytes(content)
    return sorted(folder.iterdir())


if not RECORDINGS:
    RECORDINGS = FOLDER / "recordings"
    if not ask_for(RECORDINGS, "your recordings"):
        run(PYTHON, "-m", "prep.demo", f"--output={RECORDINGS}")

# %% [markdown]
# ## Prepare
# Measures pitch and loudness. What it could not use is listed with the reason. **Look
# at the page before you train**: pitch that jumps by octaves, or a low voiced share,
# says that there are other sounds in the recordings.

# %%
DATA = FOLDER / "data"
run(
    PYTHON,
    *("-m", "prep.run_beam", f"--input={RECORDINGS}", f"--output={DATA}"),
    f"--crepe_capacity={CREPE}",
)
show_page(DATA / "dataset.html")

# %% [markdown]
# ## Train
# By the recommended recipe. The line says how far it is, how the loss falls and how
# long it will take; a warning comes when the controls collapse. Run the cell again
# after an interruption and it goes on.

# %%
RUN = FOLDER / "runs" / "instrument"
train = (PYTHON, "-m", "models.ddsp_run", "--gin_file=gin/recommended.gin")
run(*train, *TRAINING, f"--data_dir={DATA}", f"--save_dir={RUN}")

# %% [markdown]
# ## Judge
# The report plays recordings that training has not heard, and the model in their place,
# and says whether its controls have collapsed.

# %%
REPORT = FOLDER / "report"
judge = (PYTHON, "-m", "evaluation.run_report", f"--candidate={RUN}", "--overwrite")
run(*judge, f"--output={REPORT}", f"--crepe_capacity={CREPE}")
show_page(REPORT / "report.html")

# %% [markdown]
# ## Your singing
# in the model's voice. `--match` moves pitch by octaves and loudness to what it has
# heard; `ddsp_render --help` says what else can be moved.

# %%
if not SINGING:
    own = ask_for(FOLDER / "singing", "a recording of your singing")
    recorded = (p for p in sorted(pathlib.Path(RECORDINGS).rglob("*")) if p.is_file())
    SINGING = own[0] if own else next(recorded)
PLAYED = FOLDER / "played.wav"
render = (PYTHON, "-m", "evaluation.run_render", f"--run={RUN}")
run(*render, f"--input={SINGING}", f"--output={PLAYED}", "--match", "--overwrite")
display.display(display.Audio(str(SINGING)), display.Audio(str(PLAYED)))
offer(PLAYED)

# %% [markdown]
# ## An instrument in one web page
# Download it and open it by a double click: keys, MIDI, a pad, or your voice play the
# model, offline.

# %%
PAGE = FOLDER / "instrument.html"
run(*render, f"--instrument={PAGE}", "--overwrite")
offer(PAGE)

# %% [markdown]
# ## A model for your DAW
# Magenta's free plug-in DDSP-VST plays models that were trained for its controls (50
# frames a second, power in place of loudness), so this trains a second one, on the same
# data. `docs/render.md` says in which folder the plug-in looks for it.

# %%
PLUGIN_RUN = FOLDER / "runs" / "plugin"
overlay = "--gin_file=gin/overlays/ddsp_vst.gin"
run(*train, overlay, *TRAINING, f"--data_dir={DATA}", f"--save_dir={PLUGIN_RUN}")
MODEL = FOLDER / "instrument.tflite"
run(
    *(PYTHON, "-m", "evaluation.run_render", f"--run={PLUGIN_RUN}"),
    *(f"--export={MODEL}", "--for=ddsp_vst", "--overwrite"),
)
offer(MODEL)
