"""Mutation testing: would a test notice if one operator, number or argument were another?

    python tests/mutants.py ggn/evaluation      a package or files; without any, what changed in git
    python tests/mutants.py --minutes 8         what is not run by then is counted and named

`make mutants` calls it. mutmut works in build/mutants/PACKAGE, on a copy of the checkout, and keeps
its results there: a second call runs only survivors and edited functions. Wordings of messages are
left alone, and so are survivors that docs/notes/mutants.md explains as equivalent. The exit code is
1 if fewer than 95 % of the others are killed.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTE = ROOT / "docs/notes/mutants.md"
LEAST_KILLED = 0.95
# Of `zip`: raises on a difference that the code around it rules out. Of tensors: tests use the CPU.
ASSERTION = re.compile(r",? *(strict|device)=[\w.]+|, (?=\))")
SURVIVED, NO_TESTS = (0,), (5, 33)  # exit codes of mutmut
# Tests of whole processes, times or hundreds of random cases: each takes seconds, and shorter ones
# state the same.
LEFT_OUT = (
    "tests/evaluation/test_predictions.py::test_a_file_is_read_like_its_records",
    "tests/evaluation/test_intervals.py::test_intervals_hold_what_they_promise",
    "tests/evaluation/test_evaluator.py::test_order_of_detections_does_not_matter_without_ties",
    "tests/evaluation/test_evaluator.py::test_order_of_images_does_not_matter",
    "tests/evaluation/test_evaluator.py::test_equals_pycocotools",
    "tests/evaluation/test_evaluator.py::test_one_more_detection_at_the_end_never_lowers_recall",
    "tests/evaluation/test_evaluator.py::test_objects_themselves_are_perfect_detections",
    "tests/evaluation/test_run_lengths.py::test_whatever_is_sound_is_valid",
    "tests/evaluation/test_run_lengths.py::test_all_encoded_masks_are_sound",
    "tests/pseudo_gt/test_learn.py::test_an_image_has_no_part_in_its_own_ranking",
    "tests/pseudo_gt/test_learn.py::test_candidates_beside_annotations_are_ranked_as_those_on_them",
    "tests/pseudo_gt/test_learn.py::test_the_same_numbers_every_time",
    "tests/grouping/test_hierarchy.py::test_a_star_of_20_000_regions_takes_no_quadratic_time",
    "tests/grouping/test_kernels.py::test_merge",
    "tests/grouping/test_group.py::test_other_processes_and_thread_counts_give_the_same_bytes",
    "tests/grouping/test_group.py::test_a_480_x_640_map_takes_less_time_than_its_watershed_in_scikit_image",
    "tests/affinity/test_model.py::test_loss_gradients_and_statistics_equal_the_reference",
    "tests/affinity/test_model.py::test_equals_the_reference",
    "tests/affinity/test_train.py",
    "tests/core/test_faults.py::test_genuine_data_has_no_fault",
    "tests/core/test_segmentation.py::test_any_json_is_parsed_or_refused",
    "tests/core/test_instances.py::test_supervision_is_loaded_without_a_warning",
    "tests/detector/test_train.py",
)


def main() -> int:
    """Run mutmut for each package concerned and print the scores; see the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__, add_help=False)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--tests", nargs="+", help="instead of all tests of the package")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes if arguments.minutes else None
    files = of_targets(arguments.targets) if arguments.targets else changed_files()
    packages = defaultdict(list)
    for file in sorted(files):
        packages[file.split("/")[1]].append(file)
    if not packages:
        print("no file of a package of ggn/ that has tests changed: no mutants")
    return max(
        (run(package, files, end, arguments) for package, files in packages.items()),
        default=0,
    )


def of_targets(targets: Iterable[str]) -> set[str]:
    """The Python files of packages and files that were asked for, relative to the checkout."""
    paths = [ROOT / target for target in targets]
    if missing := [str(path) for path in paths if not path.exists()]:
        raise SystemExit(f"not in this checkout: {', '.join(missing)}")
    found = {
        path.relative_to(ROOT).as_posix()
        for given in paths
        for path in ([given] if given.is_file() else given.rglob("*.py"))
    }
    return set(filter(has_tests, found))


def changed_files() -> set[str]:
    """What differs from origin/main or, on origin/main itself, from the commit before."""
    base = git("merge-base", "HEAD", "origin/main")
    if base in ("", git("rev-parse", "HEAD")):
        base = git("rev-parse", "--quiet", "--verify", "HEAD~1")
    if not base:
        print(
            "neither origin/main nor a commit before is here to compare with: only what is edited"
        )
    names = git("diff", "--name-only", "--diff-filter=d", base or "HEAD").splitlines()
    return set(filter(has_tests, names))


def has_tests(file: str) -> bool:
    """Whether it is a Python file of a package that has a folder under tests/."""
    parts = file.split("/")
    return (
        len(parts) > 2
        and parts[0] == "ggn"
        and file.endswith(".py")
        and (ROOT / "tests" / parts[1]).is_dir()
    )


def run(package: str, files: list[str], end: float | None, arguments: argparse.Namespace) -> int:
    """Mutate the files of one package, print its score and its survivors; return the exit code."""
    if end is not None and time.monotonic() >= end:
        print(f"ggn/{package}: no time left, nothing run for {', '.join(files)}")
        return 0
    place = ROOT / "build" / "mutants" / package
    copy_checkout(place)
    configure(place, arguments.tests or tests_of(package), files)
    forget_plain_copies(place, files)
    forget_survivors(place)
    seconds = None if end is None else max(0.0, end - time.monotonic())
    command = [
        str(Path(sys.executable).parent / "mutmut"),
        "run",
        "--max-children",
        str(arguments.workers),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    with (place / "mutmut.log").open("w") as log:
        process = subprocess.Popen(command, cwd=place, env=environment, stdout=log, stderr=log)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # it keeps what it has
            status = 0 if process.wait() in (0, 1, 2, 130, -2) else process.returncode
    if status:
        print((place / "mutmut.log").read_text()[-3000:], file=sys.stderr)
        print(f"mutmut failed: {place / 'mutmut.log'}", file=sys.stderr)
        return 2
    return report(place, package, files)


def copy_checkout(place: Path) -> None:
    """Lay the files of the checkout, as they are now, at `place`."""
    place.mkdir(parents=True, exist_ok=True)
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, names):
        source, target = ROOT / name, place / name
        if source.is_file() and not is_same(source, target):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    link = place / "shared"
    if (ROOT.parent / "shared").is_dir() and not link.exists():
        link.symlink_to(ROOT.parent / "shared")


def is_same(source: Path, target: Path) -> bool:
    """Whether the copy is up to date."""
    return target.is_file() and target.read_bytes() == source.read_bytes()


def configure(place: Path, tests: list[str], files: list[str]) -> None:
    """Write mutmut's settings behind the project's own in the copy."""
    skipped = sorted({line for file in files for line in lines_of_messages(ROOT / file)})
    beside = [p.name for p in place.iterdir() if p.name not in ("ggn", "mutants", "shared")]
    settings = {
        "source_paths": ["ggn"],
        "only_mutate": files,
        "also_copy": [*sorted(beside), *(str(p.relative_to(place)) for p in others(place))],
        "do_not_mutate_patterns": ["^" + escape(line) + "$" for line in skipped],
        "pytest_add_cli_args_test_selection": tests,
        "pytest_add_cli_args": [
            *("-p", "no:cacheprovider", "-m", "not slow", "--hypothesis-seed=0"),
            *(f"--deselect={test}" for test in LEFT_OUT),
        ],
        "use_git_change_detection": False,
        "track_dependencies": False,
        "timeout_multiplier": 10.0,
        "timeout_constant": 2.0,
    }
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8") + "\n[tool.mutmut]\n"
    for key, value in settings.items():
        text += f"{key} = {json.dumps(value, ensure_ascii=False)}\n"
    (place / "pyproject.toml").write_text(text, encoding="utf-8")


def tests_of(package: str) -> list[str]:
    """The folder of the package's tests, and the test of its commands if there is one."""
    commands = f"tests/cli/test_{package}.py"
    return [f"tests/{package}", *([commands] if (ROOT / commands).is_file() else [])]


def others(place: Path) -> list[Path]:
    """Files of ggn/ that are not Python, which mutmut copies but once."""
    return [p for p in (place / "ggn").rglob("*") if p.is_file() and p.suffix != ".py"]


def escape(line: str) -> str:
    """A regular expression of exactly this line."""
    return "".join(char if char.isalnum() or char in " _" else f"\\{char}" for char in line)


def lines_of_messages(path: Path) -> set[str]:
    """Lines that only word an error, a warning or a record of the log."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and is_log(node.func)):
            found |= {lines[i] for i in range(node.lineno - 1, (node.end_lineno or 0))}
    return {line for line in found if len(line.strip()) > 3}


def is_log(function: ast.expr) -> bool:
    """Whether a call of this warns or logs."""
    names = {"warn", "warning", "info", "debug", "error", "exception"}
    return isinstance(function, ast.Attribute) and function.attr in names


def forget_plain_copies(place: Path, files: list[str]) -> None:
    """Remove copies that another call left without mutants, because mutmut trusts their age.

    Which tests reach their functions is then not known either.
    """
    for copy in (place / "mutants" / file for file in files):
        if copy.is_file() and "__mutmut_" not in copy.read_text(encoding="utf-8"):
            copy.unlink()
            (place / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)


def forget_survivors(place: Path) -> None:
    """Let mutmut run again what no test noticed, because there may be new tests."""
    for meta in (place / "mutants").rglob("*.meta"):
        data = json.loads(meta.read_text())
        codes = data["exit_code_by_key"]
        data["exit_code_by_key"] = {
            key: None if code in SURVIVED + NO_TESTS else code for key, code in codes.items()
        }
        meta.write_text(json.dumps(data))


def report(place: Path, package: str, files: list[str]) -> int:
    """Print survivors as differences, then the score; 1 if it is below LEAST_KILLED."""
    explained = equivalents()
    counts = dict.fromkeys(("killed", "equivalent", "survived", "not run"), 0)
    for file in files:
        meta = place / "mutants" / f"{file}.meta"
        codes = json.loads(meta.read_text())["exit_code_by_key"] if meta.exists() else {}
        for name, code in codes.items():
            kind = "not run" if code is None else "killed"
            if code in SURVIVED + NO_TESTS:
                change = difference(place, name)
                alike = ASSERTION.sub("", change[0]) == ASSERTION.sub("", change[1])
                known = alike or (file, *change) in explained
                kind = "equivalent" if known else "survived"
                if kind == "survived":
                    what = "survived" if code in SURVIVED else "no test calls this"
                    print(f"{file}: {what} ({name.rpartition('.')[2]})")
                    print(f"-   {change[0]}\n+   {change[1]}")
            counts[kind] += 1
    ran = counts["killed"] + counts["survived"]
    score = counts["killed"] / ran if ran else 1.0
    print(
        f"ggn/{package}: {counts['killed']} of {ran} killed ({score:.1%}), besides "
        f"{counts['equivalent']} equivalent; {counts['not run']} not run"
    )
    return int(score < LEAST_KILLED)


def difference(place: Path, name: str) -> tuple[str, str]:
    """The lines that a mutant changes, before and after, each joined to one."""
    from mutmut.configuration import reset_config
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    here = Path.cwd()
    os.chdir(place)
    reset_config()  # it keeps that of another package
    try:
        lines = get_diff_for_mutant(name).splitlines()
    finally:
        os.chdir(here)
    before, after = (
        " ".join(line[1:].strip() for line in lines if line[:1] == sign and line[:3] != 3 * sign)
        for sign in "-+"
    )
    return before, after


def equivalents() -> set[tuple[str, str, str]]:
    """File, line before and line after of the mutants that the note explains as equivalent."""
    found, file, before = set(), "", ""
    for line in NOTE.read_text(encoding="utf-8").splitlines() if NOTE.exists() else ():
        if line.startswith("### "):
            file = line.strip("# `")
        elif line.startswith("-   "):
            before = line[1:].strip()
        elif line.startswith("+   "):
            found.add((file, before, line[1:].strip()))
    return found


def git(*words: str) -> str:
    """What a command of git prints; nothing if it fails."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip("\n") if done.returncode == 0 else ""


if __name__ == "__main__":
    sys.exit(main())
