"""What the first import of every program does, each case in a process of its own."""

import os
import pathlib
import subprocess
import sys

import pytest

from prep import tensorflow_setup
from tests.helpers import programs

ROOT = pathlib.Path(__file__).resolve().parents[1]


def run(code: str, **environment: str) -> subprocess.CompletedProcess:
    # Without a word, as for a person who has set nothing.
    environment = {"TF_USE_LEGACY_KERAS": ""} | environment
    return programs.run(programs.PYTHON, "-c", code, code=None, environment=environment)


def test_legacy_keras_is_asked_for_without_importing_anything_heavy():
    result = run(
        "import ddsp_compat, os, sys;"
        "print(os.environ['TF_USE_LEGACY_KERAS'], 'tensorflow' in sys.modules,"
        "'numpy' in sys.modules)"
    )
    assert result.stdout.split() == ["1", "False", "False"], result.stderr


def test_too_late_is_an_error_that_says_what_to_do():
    result = run(
        "import sys, types; sys.modules['tensorflow'] = types.ModuleType('tensorflow');"
        "import ddsp_compat"
    )
    assert result.returncode != 0
    assert "write `import ddsp_compat` above" in result.stderr


@pytest.mark.slow  # imports all of ddsp
def test_a_benchmark_may_import_ddsp_first():
    result = run("import benchmarks.training_parts")
    assert result.returncode == 0, result.stderr


def test_late_import_is_fine_where_the_environment_says_so():
    result = run(
        "import sys, types; sys.modules['tensorflow'] = types.ModuleType('tensorflow');"
        "import ddsp_compat",
        TF_USE_LEGACY_KERAS="1",
    )
    assert result.returncode == 0, result.stderr


def test_an_installed_crepe_is_left_alone(tmp_path):
    package = tmp_path / "crepe"
    package.mkdir()
    (package / "__init__.py").write_text("REAL = True")
    result = run(
        "import ddsp_compat, crepe; print(crepe.REAL)", PYTHONPATH=str(tmp_path)
    )
    assert result.stdout.strip() == "True", result.stderr


def test_our_own_module_is_not_taken_for_the_package():
    """`python prep/run_beam.py` has prep/ first on its path."""
    result = run(
        "import ddsp_compat, crepe; print(crepe.__spec__.origin)",
        PYTHONPATH=str(ROOT / "prep"),
    )
    assert result.stdout.strip() == "None", result.stderr


@pytest.mark.slow
def test_unknown_attribute_names_those_that_exist():
    result = run(
        "import ddsp_compat, crepe\n"
        "try:\n    crepe.process_file\n"
        "except AttributeError as error:\n    print(error)"
    )
    assert "process_file" in result.stdout and "build_and_load_model" in result.stdout


@pytest.mark.slow
@pytest.mark.crepe
def test_ddsp_uses_the_stand_in():
    result = run(
        "import ddsp_compat, numpy as np, ddsp.spectral_ops as ops, crepe\n"
        "import crepe.core\n"
        "assert crepe.core.models['tiny'] is None\n"
        "audio = np.sin(2 * np.pi * 440 * np.arange(8000) / 16000)\n"
        "import functools; crepe.predict = functools.partial("
        "crepe.predict, model_capacity='tiny')\n"
        "f0, confidence = ops.compute_f0(audio.astype('float32'), 250)\n"
        "print(round(float(np.median(f0))), len(f0))\n"
        "ops.reset_crepe(); assert crepe.core.models['tiny'] is None"
    )
    assert result.stdout.split() == ["440", "126"], result.stderr[-2000:]


@pytest.mark.slow
def test_tensorflow_starts_without_a_word():
    result = run(
        "import ddsp_compat, tensorflow as tf; print(int(tf.constant(1) + 1));"
        "import tensorflow; print(tf.__spec__.loader is tf.__loader__)"
    )
    assert result.stdout.split() == ["2", "True"]
    assert result.stderr == ""


@pytest.mark.slow
def test_what_else_is_said_while_tensorflow_starts_is_heard(tmp_path):
    package = tmp_path / "tensorflow"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import os; os.write(2, b'Could not find cuda drivers\\nreal trouble\\n');"
        "raise ImportError('no library')"
    )
    result = run(
        "import ddsp_compat, tensorflow", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}"
    )
    assert result.returncode == 1
    assert result.stderr.startswith("real trouble\n")
    assert "ImportError: no library" in result.stderr
    assert "\nCould not find cuda drivers" not in f"\n{result.stderr}"


class FakeTensorflow:
    """A module that sees some GPUs, and the loader that executes it."""

    def __init__(self, gpus):
        self.__spec__ = self.config = self
        self.list_physical_devices = lambda kind: gpus
        self.exec_module = lambda module: None


@pytest.mark.parametrize(
    "gpus, signs, chosen, is_said",
    [
        ([], True, None, True),
        ([], True, "0", True),
        (["GPU:0"], True, None, False),
        ([], False, None, False),
        ([], True, "-1", False),
        ([], True, "", False),
    ],
    ids=["unseen", "chosen, unseen", "seen", "none", "left out", "left out too"],
)
def test_a_gpu_that_tensorflow_does_not_see_is_one_sentence(
    tmp_path, monkeypatch, capsys, gpus, signs, chosen, is_said
):
    (tmp_path / "nvidia0").touch()
    path = tmp_path / ("nvidia0" if signs else "nothing")
    monkeypatch.setattr(tensorflow_setup, "_NVIDIA_SIGNS", (str(path),))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    fake = FakeTensorflow(gpus)
    tensorflow_setup._QuietLoader(fake).exec_module(fake)
    said = capsys.readouterr().err
    assert said.count("make setup GPU=1") == is_said
    assert said.count("\n") == is_said


@pytest.mark.slow
def test_start_up_lines_are_shown_on_request():
    result = run("import ddsp_compat, tensorflow", TF_CPP_MIN_LOG_LEVEL="0")
    assert "cuda" in result.stderr.lower()


@pytest.mark.slow
def test_what_training_does_not_touch_is_not_executed():
    result = run(
        "import ddsp_compat, sys, ddsp.training\n"
        "import models.training.session\n"
        "executed = [n for n in ddsp_compat.DEFERRED if n in sys.modules and"
        " not isinstance(sys.modules[n], ddsp_compat._DeferredModule)]\n"
        "print(executed, any(n.startswith("
        "('bokeh', 'google.cloud', 'matplotlib', 'scipy.signal'))"
        " for n in sys.modules))\n"
        "print(ddsp.training.metrics.LoudnessMetrics.__name__)\n"
        "print(type(sys.modules['ddsp.training.metrics']).__name__)"
    )
    assert result.stdout.split() == ["[]", "False", "LoudnessMetrics", "module"], (
        result.stderr
    )


def deferred_package(folder: pathlib.Path, code: str) -> str:
    """A package `pandas`, which is deferred, and code that is run beside it."""
    package = folder / "pandas"
    package.mkdir()
    (package / "__init__.py").write_text(code)
    (package / "part.py").write_text("import pandas; NAME = pandas.NAME + ' part'")
    return f"{folder}{os.pathsep}{ROOT}"


def test_a_deferred_module_is_executed_once_and_when_a_name_is_asked_for(tmp_path):
    path = deferred_package(
        tmp_path,
        "import time; print('executed'); time.sleep(0.5); NAME = 'whole'\n"
        "def __getattr__(name):\n    return name.upper()",
    )
    result = run(
        "import ddsp_compat, inspect, pandas, threading\n"
        "inspect.getmodule(inspect.currentframe()); pandas.__file__\n"
        "print('quiet')\n"
        "names = []; ask = lambda: names.append(pandas.NAME)\n"
        "threads = [threading.Thread(target=ask) for _ in range(4)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "print(*names, pandas.other)",
        PYTHONPATH=path,
    )
    lines = result.stdout.split()
    assert lines == ["quiet", "executed", *["whole"] * 4, "OTHER"], result.stderr


def test_submodules_and_names_of_a_deferred_module_are_imported_as_ever(tmp_path):
    path = deferred_package(tmp_path, "NAME = 'whole'")
    for code, output in (
        ("from pandas import NAME; print(NAME)", "whole"),
        ("import pandas.part; print(pandas.part.NAME)", "whole part"),
        (
            "import pandas; ddsp_compat.load_deferred(); print(vars(pandas)['NAME'])",
            "whole",
        ),
    ):
        result = run(f"import ddsp_compat; {code}", PYTHONPATH=path)
        assert result.stdout.strip() == output, result.stderr


def test_a_deferred_package_is_executed_before_its_submodules(tmp_path):
    path = deferred_package(tmp_path, "print('package')")
    (tmp_path / "pandas" / "part.py").write_text("print('part')")
    result = run("import ddsp_compat, pandas.part", PYTHONPATH=path)
    assert result.stdout.split() == ["package", "part"], result.stderr


def test_a_deferred_module_that_fails_says_why_each_time(tmp_path):
    path = deferred_package(tmp_path, "raise ImportError('no library')")
    result = run(
        "import ddsp_compat, pandas\n"
        "for _ in range(2):\n"
        "    try:\n        pandas.NAME\n"
        "    except ImportError as error:\n        print(error)",
        PYTHONPATH=path,
    )
    assert result.stdout.splitlines() == ["no library"] * 2, result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    ["from models.streaming import player", "from evaluation.render import job"],
)
def test_packages_set_up_what_they_need_in_any_order(line):
    """As docs/render.md types it; ddsp alone would miss `crepe`."""
    subprocess.run([sys.executable, "-c", line], cwd=ROOT, check=True)
