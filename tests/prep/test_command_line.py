"""What a person sees of a command line: help, refusals in order, exit codes."""

import pytest

from prep import command_line
from prep import errors
from tests.helpers import programs

PROGRAMS = {
    "ddsp_prep": "prep.run_beam",
    "ddsp_run": "models.ddsp_run",
    "ddsp_report": "evaluation.run_report",
    "ddsp_score": "evaluation.run_score",
    "ddsp_matrix": "evaluation.run_matrix",
    "ddsp_render": "evaluation.run_render",
}
# Modules that take seconds to import.
HEAVY = ("tensorflow", "apache_beam", "ddsp", "librosa", "scipy")


def make_program(main=lambda values: 0, **more):
    def define_flags(groups):
        groups.group("what")
        groups.several("input", "Something to eat.", required=True)
        groups.choice("kind", "", ["", "sweet", "sour"], "Which kind.")
        groups.group("how")
        groups.real("share", 0.5, "Share of it.")
        groups.whole("count", 3, "How many.", least=1)
        groups.switch("quiet", "No word.")

    return command_line.Program(
        name="eat",
        summary="Eats what is given.",
        examples=("eat --input apple",),
        define_flags=define_flags,
        main=main,
        exit_codes="0 eaten.",
        **more,
    )


def test_help_shows_flags_in_groups_with_defaults_and_examples(capsys):
    assert command_line.run_words(make_program(), ["--help", "--nonsense"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("eat: eats what is given.")
    assert "  eat --input apple\n" in said
    assert said.index("what:") < said.index("--input=TEXT (required)")
    assert said.index("--kind=sweet|sour") < said.index("how:") < said.index("--share")
    assert "Share of it. [0.5]" in said and "How many. [3]" in said
    assert "--helpfull" not in said and "exit code: 0 eaten." in said
    assert max(map(len, said.splitlines())) <= command_line.MAX_WIDTH


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--inptu=x", "--count=0"], "no flag --inptu; did you mean --input?"),
        (["--zzz"], "there is no flag --zzz. --help lists the flags."),
        (["--count=0"], "0 is not a positive integer"),
        (["--noquiet=1"], "--noquiet=1 does not take an argument; --help lists"),
        (["--kind=bitter"], "value should be one of"),
        (["apple"], "unexpected 'apple': every argument is a --flag"),
        (["--quiet"], "--input is missing: something to eat."),
    ],
)
def test_a_command_line_that_cannot_be_read_is_one_sentence_and_2(
    capsys, words, message
):
    assert command_line.run_words(make_program(), words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("eat: ") and message in line


def test_flags_that_may_be_anothers_are_handed_on(capsys):
    seen = []
    main = lambda values, others: seen.append((values.input, others)) or 0
    program = make_program(main, takes_others=True)
    for words in (["--cuont=2"], ["--num_workers", "3", "--input=a"], ["--input=a"]):
        assert command_line.run_words(program, words) == 0
    assert command_line.run_words(program, []) == 2  # else main asks for it
    assert seen == [([], ["--cuont=2"]), (["a"], ["--num_workers", "3"]), (["a"], [])]
    capsys.readouterr()


@pytest.mark.parametrize(
    "words", [["b"], ["--input", "a", "b", "--count=2"], ["--region=c", "b"]]
)
def test_word_that_is_nobodys_value_is_refused_at_once(capsys, words):
    program = make_program(takes_others=True, loads=("no_such_module_of_ours",))
    assert command_line.run_words(program, words) == 2
    said = "'b': every argument is a --flag; quote a glob, or repeat --input."
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (command_line.UsageError("flags clash."), 2, "eat: flags clash."),
        (errors.InputError("bad apple."), 5, "eat: bad apple."),
        (OSError(28, "No space left", "a.wav"), 5, "eat: a.wav: No space left."),
        (KeyboardInterrupt(), 130, "eat: interrupted; half is eaten."),
        (ModuleNotFoundError(name="pie"), 5, "the package pie is not installed here"),
        (KeyError("ours"), 70, "KeyError: 'ours'"),
        (TypeError("ours"), 70, "TypeError: ours"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_goes_wrong_has_its_code(capsys, error, code, message):
    def main(values):
        raise error

    program = make_program(main, input_code=5, when_interrupted="half is eaten.")
    assert command_line.run_words(program, ["--input=a"]) == code
    said = capsys.readouterr().err
    assert message in said
    assert ("Traceback" in said) == (code == 70)


def test_terminal_that_cannot_show_a_name_is_no_fault():
    code = (
        "import sys; from prep import command_line, run_beam\n"
        "say = lambda values: run_beam._say('h\\u00f6he \\udcff\\x1b.wav\\nb.wav')\n"
        "command_line.run(command_line.Program('eat', '', (), lambda groups: None, "
        "say, '0'))"
    )
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    done = programs.run(programs.PYTHON, "-c", code, environment=ascii_only)
    assert done.stdout == "h\\xf6he \\udcff\\x1b.wav\nb.wav\n"


def test_nothing_is_loaded_before_flags_are_checked(capsys):
    def check(values):
        raise command_line.UsageError("refused.")

    program = make_program(check=check, loads=("no_such_module_of_ours",))
    assert command_line.run_words(program, ["--input=a"]) == 2
    assert "refused." in capsys.readouterr().err


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("words", [["--help"], ["--no_such_flag_at_all=1", "--run=x"]])
def test_help_and_refusals_import_nothing_heavy(name, words):
    if name == "ddsp_prep" and words != ["--help"]:
        words = ["a.wav"]  # flags may be Beam's
    code = (
        f"import sys, {PROGRAMS[name]} as program\n"
        "from prep import command_line\n"
        f"code = command_line.run_words(program.PROGRAM, {words})\n"
        f"heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "assert program.PROGRAM.examples[2:], 'three examples'\n"
        "sys.exit(f'imported {heavy}' if heavy else code)\n"
    )
    programs.run(programs.PYTHON, "-c", code, code=0 if words == ["--help"] else 2)


def test_libraries_are_quieted_before_they_are_loaded(monkeypatch):
    """Beam warns while it is imported, also under --quiet."""
    order = []
    monkeypatch.setattr(
        command_line.importlib, "import_module", lambda name: order.append(name)
    )
    program = make_program(
        before_loading=lambda: order.append("quiet"), loads=("loud",)
    )
    assert command_line.run_words(program, ["--input=a"]) == 0
    assert order == ["quiet", "loud"]
