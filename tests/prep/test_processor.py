"""What is read off the system's description of the processor, and said of it."""

import pytest
from absl import flags

from prep import command_line
from prep import preparation
from prep import products
from prep import run_beam


@pytest.mark.parametrize(
    ("facts", "lacks"),
    [
        ("processor : 0\nflags\t\t: fpu avx2 fma\n\nflags : fpu avx2\n", True),
        ("flags\t\t: fpu avx512f avx512_bf16\n", False),
        ("flags\t\t: avx512_bf16x amx_bf16\n", False),
        ("flags\t\t: fpu avx512_bf16x xbf16\n", True),
        ("Features\t: fp asimd bf16\n", False),
        ("Features\t: fp asimd\n", True),
        ("cpu\t\t: POWER9\n", False),
    ],
    ids=["avx2", "avx512_bf16", "amx", "parts of words", "arm", "older arm", "unsaid"],
)
def test_flags_of_the_first_core_decide(tmp_path, facts, lacks):
    (tmp_path / "cpuinfo").write_text(facts)
    assert products.lacks_bfloat16(tmp_path / "cpuinfo") is lacks


def test_a_system_without_a_description_is_given_the_benefit(tmp_path):
    assert not products.lacks_bfloat16(tmp_path / "absent")


@pytest.mark.parametrize("lacks", [True, False])
def test_preparation_says_what_bfloat16_costs_and_sets_it(lacks, monkeypatch, capsys):
    requests = []
    monkeypatch.setattr(
        preparation, "prepare", lambda asked, say: requests.append(asked)
    )
    monkeypatch.setattr(products, "lacks_bfloat16", lambda: lacks)
    values = flags.FlagValues()
    run_beam.define_flags(command_line.FlagGroups(values))
    values(["ddsp_prep", "--input=in", "--crepe_precision=bfloat16"])
    assert run_beam.main(values, []) == 0
    (request,) = requests
    assert request.settings.crepe_precision == "bfloat16"
    assert request.tracker_id == "crepe-full-viterbi-bfloat16"
    assert request.make_tracker().precision == "bfloat16"
    said = capsys.readouterr().err.splitlines()
    assert said == [f"ddsp_prep: --crepe_precision=bfloat16: {products.SLOWER}"] * lacks
