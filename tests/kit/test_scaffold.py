"""Building `codes/` from `reference_solution/`, and telling when it is out of date."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.scaffold import build_scaffold, stale_files, write_scaffold
from code_analyze.blocks import empty_blocks, fill_blocks, find_blocks
from coursekit.errors import UNFILLED, CourseError

ROOT = Path(__file__).resolve().parents[2]

MODEL = b"""\
class VAE:
    def __init__(self):
        # Block 1: the layers
        # TODO START
        self.secret = 1
        # TODO END
"""
EMPTIED = MODEL.replace(
    b"self.secret = 1",
    b'raise NotImplementedError("TODO: block 1 of VAE/model.py is not filled in yet: the layers")',
)
BUILT = {"GAN/model.py": b"x = 1", "VAE/README.md": b"# VAE\r\n\xff", "VAE/dataset.py": b"a = '\xc3\xa9'\r\n"}


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def read(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def course(tmp_path):
    """A small course: a solution, and no scaffold yet."""
    write(tmp_path / "reference_solution", BUILT | {"VAE/model.py": MODEL})
    return tmp_path


@pytest.fixture
def reference(course):
    return course / "reference_solution"


@pytest.fixture
def codes(course):
    return course / "codes"


def autograder(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "autograder", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


# --- building ---


def test_blocks_are_emptied_and_everything_else_is_copied(reference):
    assert build_scaffold(reference) == BUILT | {"VAE/model.py": EMPTIED}


def test_building_twice_gives_the_same_bytes_in_the_same_order(reference):
    first, second = build_scaffold(reference), build_scaffold(str(reference))
    assert list(first.items()) == list(second.items())
    assert list(first) == sorted(first)


@pytest.mark.parametrize(
    "name",
    [
        "README.md",  # not in a project folder: about the solution, not for the student
        "VAE/__pycache__/model.cpython-311.pyc",
        "VAE/__pycache__/model.py",
        "VAE/results/notes.txt",
        "VAE/runs/log.txt",
        "VAE/data/labels.txt",
        "VAE/.hidden.py",
        "VAE/.git/x.py",
        ".ipynb_checkpoints/model.py",
        "VAE/model.py.orig",
        "VAE/model.py~",
        "VAE/model.pt",
        "VAE/solution.ipynb",
    ],
)
def test_what_is_not_for_students_is_left_out(reference, name):
    write(reference, {name: MODEL})
    assert name not in build_scaffold(reference)


def test_folders_inside_a_project_are_built_too(reference):
    write(reference, {"VAE/parts/model.py": MODEL})
    assert b"block 1 of parts/model.py" in build_scaffold(reference)["VAE/parts/model.py"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (MODEL.replace(b"# TODO END", b""), "reference_solution/VAE/model.py:4: '# TODO START' without"),
        (MODEL.replace(b"# Block 1: the layers", b""), "reference_solution/VAE/model.py:4: block 1 has no title"),
        (b"x = 1\n# \xff\n", "reference_solution/VAE/model.py:2: not UTF-8"),
    ],
)
def test_a_mistake_in_the_solution_is_one_line_that_names_the_place(reference, content, message):
    write(reference, {"VAE/model.py": content})
    with pytest.raises(CourseError) as caught:
        build_scaffold(reference)
    assert str(caught.value).startswith(message)


def test_no_solution_is_an_error_and_removes_nothing(course, codes):
    write(codes, {"VAE/model.py": b"mine"})
    with pytest.raises(CourseError, match="no project folder"):
        write_scaffold(course / "missing", codes)
    assert read(codes) == {"VAE/model.py": b"mine"}


# --- writing and comparing ---


def test_written_files_are_what_was_built(reference, codes):
    assert write_scaffold(reference, codes) == build_scaffold(reference) == read(codes)
    assert stale_files(reference, codes) == []


def test_files_that_are_up_to_date_are_not_touched(reference, codes):
    write_scaffold(reference, codes)
    os.utime(codes / "VAE" / "model.py", (1, 1))
    write(codes, {"VAE/dataset.py": b"changed"})
    write_scaffold(reference, codes)
    assert (codes / "VAE" / "model.py").stat().st_mtime == 1
    assert read(codes) == build_scaffold(reference)


def test_every_file_that_is_not_as_built_is_named(reference, codes):
    write_scaffold(reference, codes)
    write(codes, {"VAE/model.py": MODEL, "VAE/extra.py": b"", "Flow/README.md": b"", "top.txt": b""})
    (codes / "VAE" / "dataset.py").unlink()
    assert stale_files(reference, codes) == [
        "Flow/README.md: extra",
        "VAE/dataset.py: missing",
        "VAE/extra.py: extra",
        "VAE/model.py: differs",
        "top.txt: extra",
    ]
    write_scaffold(reference, codes)
    assert stale_files(reference, codes) == []
    assert not (codes / "Flow").exists()


def test_one_byte_is_a_difference(reference, codes):
    write_scaffold(reference, codes)
    write(codes, {"VAE/dataset.py": BUILT["VAE/dataset.py"].replace(b"\r\n", b"\n")})
    assert stale_files(reference, codes) == ["VAE/dataset.py: differs"]


def test_a_run_in_codes_is_no_stale_file(reference, codes):
    run = {"VAE/results/model.pt": b"1", "VAE/data/x.txt": b"2", "VAE/__pycache__/x.pyc": b"3", "VAE/.env": b"4"}
    write(codes, run)
    write_scaffold(reference, codes)
    assert stale_files(reference, codes) == []
    assert read(codes) == build_scaffold(reference) | run


def test_a_stale_folder_gives_way_to_a_file(reference, codes):
    write(codes, {"VAE/model.py/old.py": b""})
    write_scaffold(reference, codes)
    assert read(codes) == build_scaffold(reference)


@pytest.mark.parametrize("target", [".", "VAE", ".."])
def test_the_solution_is_never_overwritten(reference, target):
    before = read(reference)
    with pytest.raises(CourseError, match="overwrite the solution"):
        write_scaffold(reference, reference / target)
    assert read(reference) == before


# --- the command ---


def test_the_command_writes_and_says_how_much(course, reference, codes):
    ran = autograder(course, "scaffold")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "codes/: 4 files with 1 TODO blocks\n", "")
    assert read(codes) == build_scaffold(reference)


def test_the_command_runs_from_anywhere_inside_the_repository(reference, codes):
    assert autograder(reference / "VAE", "scaffold").returncode == 0
    assert autograder(codes / "VAE", "scaffold", "--check").returncode == 0


def test_check_names_the_files_and_changes_nothing(course, codes):
    write(codes, {"VAE/model.py": EMPTIED, "GAN/model.py": b"x = 2", "old.py": b""})
    before = read(codes)
    ran = autograder(course, "scaffold", "--check")
    assert ran.returncode == 1
    assert ran.stdout.splitlines() == [
        "codes/GAN/model.py: differs",
        "codes/VAE/README.md: missing",
        "codes/VAE/dataset.py: missing",
        "codes/old.py: extra",
    ]
    assert ran.stderr.startswith("python -m autograder: codes/ is not what reference_solution/ gives")
    assert ran.stderr.count("\n") == 1
    assert read(codes) == before


def test_a_mistake_is_one_line(tmp_path, course, reference):
    write(reference, {"VAE/model.py": MODEL.replace(b"# TODO START", b"")})
    ran = autograder(course, "scaffold")
    message = "reference_solution/VAE/model.py:6: '# TODO END' without a '# TODO START' before it"
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", f"python -m autograder: {message}\n")


def test_outside_a_repository(tmp_path):
    ran = autograder(tmp_path, "scaffold")
    assert ran.returncode == 1
    assert ran.stderr.startswith("python -m autograder: no reference_solution/ in ")


@pytest.mark.parametrize("arguments", [[], ["scafold"], ["scaffold", "--chekc"]])
def test_a_wrong_command_line_is_refused(tmp_path, arguments):
    ran = autograder(tmp_path, *arguments)
    assert ran.returncode == 2
    assert "usage: python -m autograder" in ran.stderr


def test_building_the_scaffold_needs_no_torch(course):
    code = "import sys; from autograder.__main__ import main; main(['scaffold']); sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], cwd=course, env=environment, check=False).returncode == 0


# --- this repository's own ---


def test_codes_is_what_the_reference_solution_gives():
    assert stale_files(ROOT / "reference_solution", ROOT / "codes") == [], "run 'python -m autograder scaffold'"


def test_every_block_of_codes_names_itself():
    built = build_scaffold(ROOT / "reference_solution")
    total = 0
    for name, content in built.items():
        if not name.endswith(".py"):
            continue
        source = content.decode("utf-8")
        compile(source, name, "exec", dont_inherit=True)
        for block in find_blocks(source, name):
            (statement,) = ast.parse("if True:\n" + "".join(f" {line}\n" for line in block.lines)).body[0].body
            message = ast.literal_eval(statement.exc.args[0])
            expected = f"{UNFILLED}block {block.number} of {name} is not filled in yet: {block.title}"
            assert (statement.exc.func.id, message) == ("NotImplementedError", expected)
            total += 1
    assert total > 0


def test_the_solution_s_bodies_fill_codes_to_the_solution():
    for path in sorted((ROOT / "reference_solution").glob("*/*.py")):
        source = path.read_bytes().decode("utf-8")
        bodies = [block.body for block in find_blocks(source, path)]
        assert fill_blocks(empty_blocks(source, path), bodies, path) == source


def test_every_file_with_blocks_brings_what_blocks_are_written_with():
    for name, content in build_scaffold(ROOT / "reference_solution").items():
        if name.endswith(".py") and find_blocks(source := content.decode("utf-8"), name):
            given = {}
            exec("\n".join(line for line in source.splitlines() if re.match(r"(from|import) torch\b", line)), given)
            assert {"torch", "nn", "F"} <= given.keys(), name
