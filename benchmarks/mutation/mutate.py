"""Makes small wrong changes in the code and looks whether the tests notice.

    python -m benchmarks.mutation.mutate --sample=200 --seed=7
    python -m benchmarks.mutation.mutate --packages=prep.plan,prep.files --sample=50
    python -m benchmarks.mutation.mutate --only=prep.plan.splits:34
    python -m benchmarks.mutation.mutate --survivors    (of the last time)

The modules are those that carry claims (`CLAIMS`). A mutant runs against the tests that
execute its line, but for slow ones, in a process forked from one that has imported
TensorFlow. It is killed when a test fails, when nothing can be imported, or when the
tests take several times what they should. The diffs of survivors are printed, and at
last a line of JSON. The first time a map of which test executes what is made, which
takes minutes; it is kept in build/mutation.
"""

import argparse
import collections
import dataclasses
import fnmatch
import json
import pathlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.mutation import coverage_map
from benchmarks.mutation import crew as crew_lib
from benchmarks.mutation import equivalents
from benchmarks.mutation import mutants
from benchmarks.mutation import worker
from prep import files

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
KEPT = pathlib.Path("build", "mutation")  # the map, and who survived the last time
# Modules whose arithmetic and order README and docs/ make claims about, as git selects
# files; what only puts things into words is left out.
CLAIMS = (
    "prep/plan/*.py",
    ":!prep/plan/text.py",
    "prep/pitch/*.py",
    "prep/loudness.py",
    "prep/files.py",
    "prep/dataset/layout.py",
    "models/controls/*.py",
    "models/losses/*.py",
    "models/synths/*.py",
    "models/layers/*.py",
    "models/measures/*.py",
    "models/training/selection.py",
    "models/training/optimizer.py",
    "models/training/trainer.py",
    "evaluation/scoring/*.py",
    "evaluation/metrics/*.py",
    "evaluation/collapse_index/*.py",
    "evaluation/summary/*.py",
    "evaluation/render/*.py",
)
MAX_TEST_SECS = 40.0  # of tests a mutant meets, measured without it; then it survives
SLOWER = 10.0  # times what its tests take until a mutant counts as killed
START_SECS = 60.0  # granted to every process beside that
TEST_START_SECS = 20.0  # and to every test
FILE_SECS = 900.0  # granted to a test file that is measured
LINES_BETWEEN = 10  # mutants between two lines of progress


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What became of a mutant.

    Attributes:
        mutant: The change.
        diff: As `diff -u` shows it.
        is_killed: Whether anything failed.
        by: What did: a test's name, or "time", "import".
    """

    mutant: mutants.Mutant
    diff: str
    is_killed: bool
    by: str


def find_mutants(
    repository: pathlib.Path, places: str
) -> tuple[list[mutants.Mutant], dict[str, str]]:
    """Finds the mutants of the claims' modules.

    Args:
        repository: Root of the files.
        places: Dotted names of packages or modules, with commas between; behind a
            module, `:LINE` or `:LINE-LINE` may stand. All where it is empty.

    Returns:
        The mutants, and the modules' texts by path.
    """
    known = equivalents.read(repository)
    found, sources = [], {}
    for path in crew_lib.list_files(repository, *CLAIMS):
        module, source = mutants.read_module(repository, path)
        if not any(_is_inside(module, place) for place in places.split(",")):
            continue
        sources[path] = source
        found += equivalents.without(
            mutants.mutants_of(module, path, source), source, known
        )
    return [m for m in found if is_at(m, places)], sources


def is_at(mutant: mutants.Mutant, places: str) -> bool:
    """Tells whether a mutant lies in one of some places, see `find_mutants`."""
    for place in places.split(","):
        first, _, last = place.partition(":")[2].partition("-")
        if _is_inside(mutant.module, place) and (
            not first or int(first) <= mutant.lines[0] <= int(last or first)
        ):
            return True
    return False


def _is_inside(module: str, place: str) -> bool:
    name = place.partition(":")[0]
    return not name or f"{module}.".startswith(f"{name}.")


def draw(
    found: Sequence[mutants.Mutant], sources: dict[str, str], *, size: int, seed: int
) -> list[mutants.Mutant]:
    """Draws mutants, each with the same chance, and lays them in a module's order.

    Args:
        found: To draw from.
        sources: The modules' texts by path.
        size: How many; all if there are fewer.
        seed: Another seed draws others.
    """
    shuffled = random.Random(seed).sample(found, len(found))
    drawn: list[mutants.Mutant] = []
    for mutant in shuffled:
        if len(drawn) == size:
            break
        if mutant.is_change(sources[mutant.path]):
            drawn.append(mutant)
    return sorted(drawn, key=lambda m: (m.path, m.begin, m.end, m.replacement))


def update_map(
    repository: pathlib.Path, crew: crew_lib.Crew
) -> coverage_map.CoverageMap:
    """Measures which fast test executes what, where that is not known."""
    kept = coverage_map.CoverageMap(repository, repository / KEPT / "coverage.json")
    tests = crew_lib.list_files(repository, "tests/*.py")
    tests = [t for t in tests if fnmatch.fnmatch(pathlib.Path(t).name, "test_*.py")]
    stale = kept.stale(tests)
    covered = crew_lib.list_files(repository, *CLAIMS)
    requests = {
        name: worker.Request([name], [], FILE_SECS, covered=covered) for name in stale
    }
    for done, (name, answer) in enumerate(crew.answer(requests), start=1):
        kept.add(name, answer)
        say(f"{done} of {len(stale)} test files measured: {name}")
        if answer.failed or answer.code not in (0, 5):
            say(f"without any mutant {answer.failed or name} fails:\n{answer.log}")
    return kept


def try_all(
    drawn: Sequence[mutants.Mutant],
    sources: dict[str, str],
    kept: coverage_map.CoverageMap,
    crew: crew_lib.Crew,
) -> list[Judgement]:
    """Runs each mutant's tests, and shows what survives; judgements in their order."""
    judgements: dict[str, Judgement] = {}
    requests = {}
    for number, mutant in enumerate(drawn):
        chosen = kept.choose(mutant, MAX_TEST_SECS)
        requests[str(number)] = worker.Request(
            files=chosen.files,
            tests=list(chosen.secs),
            limit_secs=START_SECS + SLOWER * sum(chosen.secs.values()),
            test_limits={
                test: TEST_START_SECS + SLOWER * secs
                for test, secs in chosen.secs.items()
            },
            path=mutant.path,
            text=mutant.apply(sources[mutant.path]),
        )
    begin = time.monotonic()
    for done, (key, answer) in enumerate(crew.answer(requests), start=1):
        mutant = drawn[int(key)]
        judgements[key] = judge(mutant, mutant.diff(sources[mutant.path]), answer)
        if not judgements[key].is_killed:
            print(judgements[key].diff, end="\n\n", flush=True)
        if done % LINES_BETWEEN == 0 or done == len(drawn):
            left = (time.monotonic() - begin) / done * (len(drawn) - done)
            n_killed = sum(v.is_killed for v in judgements.values())
            say(f"{done} of {len(drawn)}: {n_killed} killed; {left / 60:.1f} min left")
    return [judgements[str(number)] for number in range(len(drawn))]


def judge(mutant: mutants.Mutant, diff: str, answer: worker.Answer) -> Judgement:
    """Says what an answer means for a mutant.

    Raises:
        RuntimeError: If pytest was called wrongly, or no test was found.
    """
    if answer.code == 0:
        return Judgement(mutant, diff, False, "")
    if answer.code in (4, 5):
        raise RuntimeError(f"no tests for {mutant.path}: {answer.log}")
    by = answer.failed[0] if answer.failed else "import"
    if answer.code == -signal.SIGALRM:
        by = "time"
    return Judgement(mutant, diff, True, by)


def summarise(judgements: Sequence[Judgement]) -> dict[str, object]:
    """Counts killed and survived, in all and by package."""
    by_package: dict[str, list[bool]] = collections.defaultdict(list)
    for judgement in judgements:
        name = ".".join(judgement.mutant.module.split(".")[:2])
        by_package[name].append(judgement.is_killed)
    n_killed = sum(judgement.is_killed for judgement in judgements)
    return {
        "killed": n_killed,
        "survived": len(judgements) - n_killed,
        "killed_share": round(n_killed / max(1, len(judgements)), 3),
        "by_package": {
            name: {"killed": sum(killed), "survived": len(killed) - sum(killed)}
            for name, killed in sorted(by_package.items())
        },
    }


def say(text: str) -> None:
    """Tells a person how far things are."""
    print(text, file=sys.stderr, flush=True)


def commit_of(repository: pathlib.Path) -> str:
    """Returns the short name of a repository's commit, "+" behind it if changed."""
    words = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(
        words, cwd=repository, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def read_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sample", type=int, default=200, help="mutants to draw")
    parser.add_argument("--seed", type=int, default=0, help="another draws others")
    parser.add_argument("--packages", default="", help="draws only from these, a,b,c")
    parser.add_argument("--only", default="", help="every mutant of module:line")
    parser.add_argument("--list", action="store_true", help="shows, and runs nothing")
    parser.add_argument(
        "--survivors", action="store_true", help="those that survived the last time"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes at a time")
    return parser.parse_args()


def main() -> None:
    """Draws mutants, runs their tests, prints what survived and a line of JSON."""
    arguments = read_arguments()
    begin = time.monotonic()
    found, sources = find_mutants(REPOSITORY, arguments.only or arguments.packages)
    if not found:
        wanted = arguments.only or arguments.packages
        sys.exit(
            f"nothing to change in {wanted!r}; give a module with claims (CLAIMS of "
            f"{pathlib.Path(__file__).name}), a package of such, or module:line."
        )
    remembered = REPOSITORY / KEPT / "survivors.json"
    if arguments.survivors:
        last = json.loads(files.read_text(remembered) or "[]")
        found = [
            m for m in found if [m.module, *m.changed_lines(sources[m.path])] in last
        ]
    is_whole = arguments.only or arguments.survivors
    size = len(found) if is_whole else arguments.sample
    drawn = draw(found, sources, size=size, seed=arguments.seed)
    say(f"{len(drawn)} of {len(found)} mutants")
    if arguments.list:
        for mutant in drawn:
            print(mutant.diff(sources[mutant.path]), end="\n\n")
        return

    with crew_lib.employed(REPOSITORY, n_workers=arguments.workers) as crew:
        kept = update_map(REPOSITORY, crew)
        judgements = try_all(drawn, sources, kept, crew)
    places = [
        [v.mutant.module, *v.mutant.changed_lines(sources[v.mutant.path])]
        for v in judgements
        if not v.is_killed
    ]
    files.write_text(remembered, json.dumps(places))
    facts = {
        "seed": arguments.seed,
        "commit": commit_of(REPOSITORY),
        "seconds": round(time.monotonic() - begin),
    }
    print(json.dumps({**summarise(judgements), **facts}))


if __name__ == "__main__":
    main()
