"""A pytest plugin that lets ddsp's own unit tests run on current packages.

`make test-ddsp` loads it. It changes three things and nothing else. `ddsp_compat` is
imported first, as in every program here. The tests of `ddsp_prepare_tfrecord` get a
list as `pipeline_options`, because Beam refuses the empty string that ddsp has as its
default; the list names Beam's in-process runner, which downloads nothing. And where
ffmpeg is not installed, pydub is told that the tests' files are wav instead of asking
ffprobe, which is all that ffmpeg would do for them.
"""

import functools
import inspect
import shutil
import types

import pydub
import pytest

IN_PROCESS = ("--runner=FnApiRunner",)


@pytest.fixture(autouse=True)
def _preparation_on_current_packages(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Applies the two changes to the tests of data preparation."""
    library = getattr(request.module, "prepare_tfrecord_lib", None)
    if library is None:
        return
    _use_in_process_runner(library, monkeypatch)
    if shutil.which("ffprobe") is None:
        monkeypatch.setattr(
            pydub.AudioSegment,
            "from_file",
            functools.partial(pydub.AudioSegment.from_file, format="wav"),
        )


def _use_in_process_runner(
    library: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = library.prepare_tfrecord
    names = list(inspect.signature(function).parameters)
    defaults = list(function.__defaults__)
    place = names.index("pipeline_options") - len(names)
    if defaults[place] != "":
        raise ValueError(
            f"ddsp's default for pipeline_options is {defaults[place]!r}, not '' as in "
            "3.7.0; see whether this plugin is still needed."
        )
    defaults[place] = list(IN_PROCESS)
    monkeypatch.setattr(function, "__defaults__", tuple(defaults))
