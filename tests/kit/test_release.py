"""The handout: what is in it, that it is always the same, and above all what can't get into it."""

import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import sysconfig
import textwrap
import zipfile
from pathlib import Path

import pytest
from conftest import REFERENCE, REPOSITORY, user_environment

from autograder import release as release_module
from autograder.leaks import find_leaks
from autograder.release import build_handout, release
from autograder.scaffold import build_scaffold
from code_analyze.blocks import fill_blocks, find_blocks
from coursekit.errors import CourseError, Refused

MODEL = '''\
"""A model."""

from torch import nn


class VAE(nn.Module):
    def __init__(self, latent_dim):
        super().__init__()
        # Block 1: the layers
        # TODO START
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, kernel_size=3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, kernel_size=3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 8 * 8, 2 * latent_dim),
        )  # halves the size twice
        self.decoder = nn.Sequential(nn.Linear(latent_dim, 32 * 8 * 8), nn.Unflatten(1, (32, 8, 8)), nn.Sigmoid())
        # TODO END

    def forward(self, x=None, z=None):
        """Reconstruct x, or decode z."""
        if x is not None:
            # Block 2: encode and decode
            # TODO START
            mu, log_sigma = self.encoder(x).chunk(2, dim=1)
            recon_x = self.decoder(mu)
            # TODO END
            return recon_x, mu, log_sigma
        # Block 3: decode
        # TODO START
        images = self.decoder(z)
        # TODO END
        return images


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, kernel_size=3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(16, 32, kernel_size=3, stride=2, padding=1),
            nn.Sigmoid(),
        )
'''
ONE_LINE = "images = self.decoder(z)"
TWO_LINES = "mu, log_sigma = self.encoder(x).chunk(2, dim=1)\nrecon_x = self.decoder(mu)\n"
GIVEN = MODEL[MODEL.index("class Discriminator") :]
HIDDEN_TEST = '''\
"""What graders look at."""

import numpy as np


def test_kl_is_averaged_over_the_batch(evidence):
    mu, log_sigma = evidence["mu"], evidence["log_sigma"]
    expected = 0.5 * (mu**2 + np.exp(2 * log_sigma) - 2 * log_sigma - 1).sum() / len(mu)
    assert abs(evidence["kl_loss"] - expected) < 1e-4, "your KL is summed over the batch"
    assert evidence["kl_loss"].shape == (), "the loss is a scalar"
'''
COURSE = {
    "reference_solution/VAE/model.py": MODEL,
    "reference_solution/VAE/main.py": '"""Train it."""\n\nfrom model import VAE\n\nprint(VAE(3))\n',
    "reference_solution/VAE/README.md": "# What I changed\n",
    "codes/VAE/model.py": MODEL,  # somebody has tried the solution out
    "code_analyze/__init__.py": '"""Reads code."""\n',
    "code_analyze/analyze.py": "print('summary')\n",
    "coursekit/__init__.py": '"""The kit."""\n',
    "coursekit/data.py": '"""Images."""\n\nimport os\n',
    "coursekit/extractors/__init__.py": "",
    "coursekit/extractors/lenet.json": "{}",
    "coursekit/extractors/lenet.pt": b"\x80weights\0",
    "tests/public/test_vae.py": '"""Shapes."""\n\n\ndef test_shape():\n    assert True\n',
    "tests/hidden/test_kl.py": HIDDEN_TEST,
    "tests/kit/test_kit.py": "import autograder\n",
    "autograder/grade.py": '"""Grades."""\n\nPOINTS = {"vae": 4, "gan": 2}\n',
    "Report_template.md": "# Report\n",
    "README.md": "# The course\n",
}
HANDED_OUT = {
    ".gitignore",
    "README.md",
    "Report_template.md",
    "SHA256SUMS",
    *(f"{folder}/VAE/{name}" for folder in ("codes", "code_analyze/_codes") for name in ("README.md", "main.py")),
    "codes/VAE/model.py",
    "code_analyze/_codes/VAE/model.py",
    "code_analyze/__init__.py",
    "code_analyze/analyze.py",
    "coursekit/__init__.py",
    "coursekit/data.py",
    "coursekit/extractors/__init__.py",
    "coursekit/extractors/lenet.json",
    "coursekit/extractors/lenet.pt",
    "pyproject.toml",
    "tests/public/test_vae.py",
}


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def read(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make_course(root):
    write(root, COURSE)
    shutil.copytree(REPOSITORY / "autograder" / "handout", root / "autograder" / "handout")
    return root


@pytest.fixture
def course(tmp_path):
    """A small course with everything that a handout is made of, and everything that must not be in it."""
    return make_course(tmp_path / "course")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out" / "handout"


def problems(course, out):
    """Why the handout of a course is refused; nothing is written."""
    before = read(out.parent)
    with pytest.raises(Refused) as refused:
        release(course, out)
    assert read(out.parent) == before
    return refused.value.problems


def append(course, name, text):
    with open(course / name, "a") as file:
        file.write(text)


def command(folder, *arguments, umask=0o022):
    # As `python -m autograder release`, but that the small course in `folder` is not what it is imported from.
    start = "import sys; del sys.path[0]; from autograder.__main__ import main; main()"
    return subprocess.run(
        [sys.executable, "-c", start, "release", *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        preexec_fn=lambda: os.umask(umask),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


# --- what is in it ---


def test_a_handout_holds_what_a_student_needs_and_nothing_else(course, out):
    release(course, out)
    files = read(out)
    assert set(files) == HANDED_OUT
    for name in ("Report_template.md", "coursekit/extractors/lenet.pt", "tests/public/test_vae.py"):
        assert files[name] == (course / name).read_bytes()
    for template, name in (
        ("README.md", "README.md"),
        ("pyproject.toml", "pyproject.toml"),
        ("gitignore", ".gitignore"),
    ):
        assert files[name] == (course / "autograder" / "handout" / template).read_bytes()


def test_the_scaffold_is_built_from_the_solution_and_not_from_the_working_codes(course, out):
    release(course, out)
    scaffold = build_scaffold(course / "reference_solution")
    assert read(out / "codes") == read(out / "code_analyze" / "_codes") == scaffold
    assert b"NotImplementedError" in scaffold["VAE/model.py"]


@pytest.mark.parametrize(
    "name",
    [
        "coursekit/data.py.orig",
        "coursekit/data.py~",
        "coursekit/.data.py.swp",
        "coursekit/notes.md",
        "coursekit/checkpoint.pt",
        "coursekit/__pycache__/data.py",
        "coursekit/.ipynb_checkpoints/data.py",
        "coursekit/data/x.py",
        "coursekit/results/x.py",
        "code_analyze/_codes/VAE/model.py",
        "code_analyze/summary.txt",
        "tests/public/.hidden.py",
        "tests/public/runs/x.py",
        "tests/public/results/model.pt",
        "tests/conftest.py",
        "autograder/handout/README.md~",
        "reference_solution/VAE/model.py.orig",
        "handout_old.py",
    ],
)
def test_what_an_editor_or_a_run_leaves_behind_stays_here(course, out, name):
    write(course, {name: MODEL})
    release(course, out)
    assert set(read(out)) == HANDED_OUT
    assert MODEL.encode() not in read(out).values()


def test_checksums_are_those_of_the_files(course, out):
    release(course, out)
    files = read(out)
    lines = files.pop("SHA256SUMS").decode().splitlines()
    assert lines == [f"{hashlib.sha256(files[name]).hexdigest()}  {name}" for name in sorted(files)]


# --- the same bytes every time ---


def test_the_same_repository_gives_the_same_bytes_wherever_whenever_and_by_whom(tmp_path):
    one, other = make_course(tmp_path / "one"), make_course(tmp_path / "deeper" / "other")
    for path in other.rglob("*"):
        os.utime(path, (10**9, 10**9))
        path.chmod(0o700 if path.is_dir() else 0o600)
    first = command(one)
    second = command(other / "coursekit", "--out", "../../handout", umask=0o077)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert read(one / "handout") == read(tmp_path / "deeper" / "handout")
    assert (one / "handout.zip").read_bytes() == (tmp_path / "deeper" / "handout.zip").read_bytes()
    for folder in (one / "handout", tmp_path / "deeper" / "handout"):
        modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}
        folder_modes = {stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*")) if path.is_dir()}
        assert (modes, folder_modes) == ({0o644}, {0o755})
        assert stat.S_IMODE(folder.with_suffix(".zip").stat().st_mode) == 0o644


def test_a_second_run_changes_nothing(course, out):
    first = release(course, out)
    before = read(out.parent)
    assert release(course, out) == first
    assert read(out.parent) == before


def test_the_zip_holds_the_folder_s_files_and_nothing_of_the_machine(course, out):
    release(course, out)
    with zipfile.ZipFile(out.with_suffix(".zip")) as archive:
        entries = archive.infolist()
        assert archive.comment == b""
        assert {entry.filename: archive.read(entry) for entry in entries} == {
            f"handout/{name}": content for name, content in read(out).items()
        }
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {(e.date_time, e.create_system, e.external_attr, e.compress_type, e.extra) for e in entries} == {
        ((1980, 1, 1, 0, 0, 0), 3, 0o100644 << 16, zipfile.ZIP_STORED, b"")
    }
    assert str(course).encode() not in out.with_suffix(".zip").read_bytes()


def test_the_command_says_what_it_wrote(course):
    ran = command(course / "coursekit")
    archive = course / "handout.zip"
    files = read(course / "handout")
    assert ran.stdout.splitlines() == [
        f"{course}/handout: {len(files)} files, {sum(map(len, files.values())):,} bytes",
        f"{archive}: {archive.stat().st_size:,} bytes, sha256 {hashlib.sha256(archive.read_bytes()).hexdigest()}",
    ]
    assert (ran.returncode, ran.stderr) == (0, "")


# --- the solution's blocks ---

BLOCK_3 = "block 3 of reference_solution/VAE/model.py"
REFORMATTED = """
mu, log_sigma = (
    self.encoder(
        x,
    ).chunk(
        2,
        dim=1,
    )
)  # twice as wide
# and back
recon_x = \\
    self . decoder(mu);
"""
LAYERS = """\
self.enc = nn.Sequential(nn.Conv2d(1, 16, kernel_size=3, stride=2, padding=1), nn.ReLU(),
                         nn.Conv2d(16, 32, kernel_size=3, stride=2, padding=1), nn.ReLU())
"""


@pytest.mark.parametrize(
    ("name", "text", "leak"),
    [
        ("coursekit/data.py", f'"""Hint: {ONE_LINE}"""\n', f":4: holds {BLOCK_3}"),
        ("coursekit/data.py", f"# {ONE_LINE}\n", f":4: holds {BLOCK_3}"),
        ("coursekit/data.py", "def f(self, z):\n\timages=self.decoder( z )\n", f":5: holds {BLOCK_3}"),
        ("coursekit/data.py", "HINT = 'x\\n    images = self.decoder(z)\\n'\n", f":4: holds {BLOCK_3}"),
        ("tests/public/test_vae.py", f"\n\ndef f(self, z):\n    {ONE_LINE}  # ours\n", f":9: holds {BLOCK_3}"),
        ("Report_template.md", f"See `{ONE_LINE}`.\n", f":2: holds {BLOCK_3}"),
        ("Report_template.md", "1. images =\n   self.decoder(z)\n", f":2: holds {BLOCK_3}"),
        ("autograder/handout/README.md", f"\n    {ONE_LINE}\n", f": holds {BLOCK_3}"),
        ("coursekit/extractors/lenet.json", f'["{ONE_LINE}\\n"]', f": holds {BLOCK_3}"),
        ("Report_template.md", TWO_LINES, ":2: holds block 2 of"),
        ("Report_template.md", TWO_LINES.replace("\n", "\r\n"), ":2: holds block 2 of"),
        ("Report_template.md", "".join(f"> {line}\n" for line in TWO_LINES.splitlines()), ":2: holds block 2 of"),
        ("Report_template.md", "".join(f"+   {line}\n" for line in TWO_LINES.splitlines()), ":2: holds block 2 of"),
        (
            "Report_template.md",
            "".join(f"# {n} + {line}\n" for n, line in enumerate(TWO_LINES.splitlines())),
            ":2: holds",
        ),
        ("coursekit/data.py", "".join(f"#   {line}\n" for line in TWO_LINES.splitlines()), ":4: holds block 2 of"),
        ("coursekit/extractors/lenet.json", repr(TWO_LINES.splitlines(True)), ": holds block 2 of"),
        ("coursekit/data.py", f"def f(self, x):\n    if x:\n        {REFORMATTED.strip()}\n", ":6: holds block 2 of"),
        (
            "coursekit/data.py",
            "q = 1\nmu, log_sigma = self.encoder(x).chunk(2, dim=1)\n",
            ":5: holds a part of block 2",
        ),
        ("Report_template.md", MODEL[MODEL.index("self.enc") : MODEL.index("# TODO END")], ":2: holds block 1 of"),
        ("tests/public/test_vae.py", LAYERS, "holds a part of block 1 of"),
        (
            "coursekit/data.py",
            "m, s = net.enc(batch).chunk(2, dim=1)\nagain = net.dec(m)\n",
            ":4: holds block 2 of reference_solution/VAE/model.py under other names",
        ),
    ],
)
def test_a_block_of_the_solution_is_found_wherever_and_however_it_is_written(course, out, name, text, leak):
    append(course, name, text)
    found = problems(course, out)
    assert len(found) == 1, found
    assert found[0].startswith(name.removeprefix("autograder/handout/"))
    assert leak in found[0]


BLOCKS = {  # by a name that a file may have -> its label, and the block
    f"{path.parent.name}-{path.stem}-{block.number}": (f"{path.parent.name}/{path.name}", block)
    for path in sorted(REFERENCE.glob("*/*.py"))
    for block in find_blocks(path.read_bytes().decode(), path)
}


def label_of(name):
    file, block = BLOCKS[name]
    return f"block {block.number} of reference_solution/{file}"


def reformatted(block):
    code = "\n\n".join(f"{line.split('#')[0].strip()}  # why" for line in block.lines).replace('"', "'")
    return f"Some words.\n{code}\n"


def quoted_with(quoting):
    return lambda block: "\n".join(quoting + line for line in ["# an idea", *textwrap.dedent(block.body).splitlines()])


def half_of(block, is_first):
    lines = block.lines
    if len(lines) == 1:
        return ""
    return "\n".join(lines[: (len(lines) + 1) // 2] if is_first else lines[len(lines) // 2 :])


QUOTINGS = ["> ", "# ", "+ ", "- ", ">>> ", "\t", "12: ", "# 12 + "]
HALVES = {"first half": lambda block: half_of(block, True), "second half": lambda block: half_of(block, False)}
DISGUISES = {"reformatted": reformatted, **{one: quoted_with(one) for one in QUOTINGS}, **HALVES}


@pytest.fixture(scope="module")
def told():
    """What is said of each block in each disguise, in a file of its own: one search, as each takes seconds."""
    files = {}
    for index, disguise in enumerate(DISGUISES.values()):
        files |= {f"{index}/{name}.md": disguise(block) for name, (_, block) in BLOCKS.items()}
    found = find_leaks(REPOSITORY, {name: text.encode() for name, text in files.items()})
    return {
        disguise: {name: [one for one in found if one.startswith(f"{index}/{name}.md:")] for name in BLOCKS}
        for index, disguise in enumerate(DISGUISES)
    }


@pytest.mark.parametrize("disguise", ["reformatted", *QUOTINGS])
def test_each_block_of_this_course_is_found_whole(told, disguise):
    for name in BLOCKS:
        assert any(one.endswith(f".md:2: holds {label_of(name)}") for one in told[disguise][name]), name


@pytest.mark.parametrize("disguise", HALVES)
def test_half_of_each_longer_block_of_this_course_is_found(told, disguise):
    longer = [name for name, (_, block) in BLOCKS.items() if len(block.lines) > 1]
    assert len(longer) > 5
    for name in longer:
        assert any("block" in one and BLOCKS[name][0] in one for one in told[disguise][name]), name


def test_every_leak_of_a_handout_is_named_at_once(course, out):
    append(course, "Report_template.md", TWO_LINES)
    append(course, "coursekit/data.py", f"# {ONE_LINE}\nimport autograder.grade\n")
    (course / "tests" / "public" / "test_vae.py").rename(course / "tests" / "public" / "helpers.py")
    assert problems(course, out) == [
        "tests/public/test_*.py: no such file, and students need it",
        "Report_template.md:2: holds block 2 of reference_solution/VAE/model.py",
        f"coursekit/data.py:4: holds {BLOCK_3}",
        "coursekit/data.py:5: imports autograder",
    ]


def test_the_command_prints_every_problem_and_ends_in_one_line(course):
    append(course, "Report_template.md", TWO_LINES)
    append(course, "coursekit/data.py", f"# {ONE_LINE}\n")
    ran = command(course)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.splitlines() == [
        "python -m autograder: Report_template.md:2: holds block 2 of reference_solution/VAE/model.py",
        f"python -m autograder: coursekit/data.py:4: holds {BLOCK_3}",
        "python -m autograder: nothing was written: 2 problems",
    ]
    assert not (course / "handout").exists() and not (course / "handout.zip").exists()


@pytest.mark.parametrize("text", [GIVEN, "z = self.decoder(images)\n", "return images\nnn.Flatten(),\n"])
def test_what_the_scaffold_gives_away_itself_is_no_leak(course, out, text):
    append(course, "Report_template.md", text)
    release(course, out)


@pytest.mark.parametrize(
    ("given", "leak"),
    [
        (f"def old(self, z):\n    {ONE_LINE}\n", f"holds {BLOCK_3}"),
        (f'"""{ONE_LINE}"""\n', f"holds {BLOCK_3}"),
        (f"# {ONE_LINE}\n", f"holds {BLOCK_3}"),
        (f'"""{TWO_LINES.splitlines()[0]}"""\n', "holds a part of block 2 of"),
        (f"# {TWO_LINES.splitlines()[0]}\n", "holds a part of block 2 of"),
    ],
)
def test_what_the_solution_itself_gives_away_outside_its_blocks_is_a_leak(course, out, given, leak):
    append(course, "reference_solution/VAE/model.py", f"\n\n{given}")
    found = problems(course, out)
    assert [line.partition(":")[0] for line in found] == ["code_analyze/_codes/VAE/model.py", "codes/VAE/model.py"]
    assert all(leak in line for line in found)


@pytest.mark.parametrize(("body", "is_secret"), [("return images", False), ("return codes", True)])
def test_a_block_of_two_words_is_a_secret_unless_the_given_code_has_them_too(course, out, body, is_secret):
    block = f"\n\ndef tail(codes):\n    # Block 4: the end\n    # TODO START\n    {body}\n    # TODO END\n"
    append(course, "reference_solution/VAE/model.py", block)
    append(course, "Report_template.md", f"Should it {body}?\n")
    if is_secret:
        assert problems(course, out) == ["Report_template.md:2: holds block 4 of reference_solution/VAE/model.py"]
    else:
        release(course, out)


def test_a_solution_with_a_byte_order_mark_and_windows_line_ends_is_guarded_too(course, out):
    write(course, {"reference_solution/VAE/model.py": "\ufeff" + MODEL.replace("\n", "\r\n")})
    append(course, "Report_template.md", TWO_LINES)
    assert problems(course, out) == ["Report_template.md:2: holds block 2 of reference_solution/VAE/model.py"]


def test_a_title_that_holds_its_block_is_a_leak(course, out):
    model = MODEL.replace("# Block 2: encode and decode", f"# Block 2: {' '.join(TWO_LINES.split())}")
    write(course, {"reference_solution/VAE/model.py": model})
    assert any("codes/VAE/model.py" in line and "holds block 2" in line for line in problems(course, out))


def test_a_solved_copy_without_blocks_in_the_solution_s_folder_is_a_leak(course, out):
    solved = "".join(line for line in MODEL.splitlines(True) if "TODO" not in line)
    write(course, {"reference_solution/VAE/solved.py": solved})
    assert sum(line.startswith("codes/VAE/solved.py") for line in problems(course, out)) == 3


# --- hidden tests and the TA's side ---


@pytest.mark.parametrize("text", [HIDDEN_TEST, HIDDEN_TEST.replace("\n", " \r\n") + "\n\n"])
def test_a_hidden_test_under_another_name_is_found(course, out, text):
    write(course, {"tests/public/test_shapes.py": text})
    assert problems(course, out) == ["tests/public/test_shapes.py: is tests/hidden/test_kl.py"]


def test_a_part_of_a_hidden_test_is_found(course, out):
    append(course, "tests/public/test_vae.py", HIDDEN_TEST[HIDDEN_TEST.index("def ") :])
    assert problems(course, out) == ["tests/public/test_vae.py:6: holds a part of tests/hidden/test_kl.py"]


def test_a_file_of_the_ta_s_side_is_found(course, out):
    shutil.copy(course / "autograder" / "grade.py", course / "coursekit" / "points.py")
    assert problems(course, out) == ["coursekit/points.py: is autograder/grade.py"]


def test_most_of_a_file_of_the_ta_s_side_is_found_but_not_a_start_that_commands_share(course, out):
    points = [f"    'check {number}': {number},\n" for number in range(40)]
    append(course, "autograder/grade.py", f"MORE = {{\n{''.join(points)}}}\n")
    before = (course / "coursekit" / "data.py").read_text()
    write(course, {"coursekit/data.py": f"{before}MINE = {{\n{''.join(points)}}}\n"})
    assert problems(course, out) == ["coursekit/data.py:4: holds a part of autograder/grade.py"]
    write(course, {"coursekit/data.py": f"{before}MINE = {{\n{''.join(points[:20])}}}\n"})
    release(course, out)


def test_weights_of_the_ta_s_side_are_found(course, out):
    write(course, {f"{folder}/best.pt": b"\x80\0" for folder in ("tests/hidden", "coursekit/extractors")})
    assert problems(course, out) == ["coursekit/extractors/best.pt: is tests/hidden/best.pt"]


def test_empty_files_and_no_hidden_tests_at_all_are_no_problem(course, out):
    write(course, {"autograder/__init__.py": "", "coursekit/submit/__init__.py": ""})
    shutil.rmtree(course / "tests" / "hidden")
    release(course, out)


@pytest.mark.parametrize(
    ("statement", "module"),
    [
        ("import autograder", "autograder"),
        ("import os, autograder.grade as g", "autograder"),
        ("from autograder.grade import POINTS", "autograder"),
        ("def f():\n    from reference_solution.VAE import model", "reference_solution"),
        ("from tests import hidden", "tests.hidden"),
        ("from ..hidden import test_kl", "tests.hidden"),
        ("import tests.kit.conftest", "tests.kit"),
        ("import importlib\nimportlib.import_module('autograder.grade')", "autograder"),
        ("import pytest\npytest.importorskip('autograder')", "autograder"),
    ],
)
def test_an_import_that_no_student_can_make_is_found(course, out, statement, module):
    write(course, {"tests/public/test_vae.py": f"{statement}\n"})
    line = statement.count("\n") + 1
    assert problems(course, out) == [f"tests/public/test_vae.py:{line}: imports {module}"]


def test_imports_of_other_things_are_no_problem(course, out):
    write(course, {"tests/public/test_vae.py": "import autograders\nfrom . import hidden\nfrom tests import public\n"})
    release(course, out)


def test_a_path_below_the_ta_s_folders_is_refused(course):
    assert find_leaks(course, {"codes/autograder/x.py": b"x = 1\n"}) == ["codes/autograder/x.py: lies in autograder/"]


def test_what_can_t_be_read_is_refused(course, out):
    write(course, {"coursekit/data.py": "# é".encode("utf-16"), "coursekit/fid.py": "def f(:\n"})
    assert problems(course, out) == [
        "coursekit/data.py: not UTF-8, so what it says can't be checked",
        "coursekit/fid.py:1: not valid Python",
    ]


def test_a_link_is_refused(course, out):
    (course / "coursekit" / "points.py").symlink_to(course / "autograder" / "grade.py")
    assert problems(course, out) == [
        "coursekit/points.py: a link, or in a linked folder; put the file itself there",
        "coursekit/points.py: is autograder/grade.py",
    ]


@pytest.mark.parametrize("name", ["Report_template.md", "coursekit/extractors/lenet.pt", "tests/public/test_vae.py"])
def test_what_students_need_must_be_there(course, out, name):
    (course / name).unlink()
    (problem,) = problems(course, out)
    assert problem.endswith("no such file, and students need it")


# --- where it is written ---


@pytest.mark.parametrize(
    "files", [{"notes.txt": "mine"}, {"codes/VAE/model.py": "mine"}, {"SHA256SUMS": "", "x.py": "mine"}]
)
def test_a_folder_of_other_things_is_refused_and_untouched(course, out, files):
    write(out, files)
    (problem,) = problems(course, out)
    assert problem.startswith(f"{out}: ") and "choose another --out" in problem


@pytest.mark.parametrize(
    "change", ["codes/VAE/model.py", "codes/VAE/results/notes.txt", ".venv/pyvenv.cfg", "Report.docx"]
)
def test_a_handout_that_somebody_has_worked_in_is_refused_and_untouched(course, out, change):
    release(course, out)
    write(out, {change: "mine"})
    assert problems(course, out) == [
        f"{out}: somebody's work is in there ({change}); move it away or choose another --out"
    ]


def test_a_handout_with_a_link_in_it_is_refused(course, out):
    release(course, out)
    (out / "data").symlink_to(course)
    assert len(problems(course, out)) == 1
    assert (course / "README.md").exists()


def test_an_earlier_handout_is_replaced(course, out):
    release(course, out)
    write(out, {"coursekit/__pycache__/data.pyc": b"1", ".pytest_cache/README.md": b"2"})
    (course / "coursekit" / "data.py").unlink()
    append(course, "Report_template.md", "\n10. A new question\n")
    release(course, out)
    assert set(read(out)) == HANDED_OUT - {"coursekit/data.py"}
    assert read(out)["Report_template.md"].endswith(b"A new question\n")
    with zipfile.ZipFile(out.with_suffix(".zip")) as archive:
        assert archive.read("handout/Report_template.md").endswith(b"A new question\n")
    assert sorted(path.name for path in out.parent.iterdir()) == ["handout", "handout.zip"]


def test_an_empty_folder_is_taken(course, out):
    out.mkdir(parents=True)
    release(course, out)
    assert set(read(out)) == HANDED_OUT


@pytest.mark.parametrize("content", [b"not a zip", b""])
def test_a_zip_of_other_things_is_refused_and_untouched(course, out, content):
    write(out.parent, {"handout.zip": content})
    assert problems(course, out) == [f"{out}.zip: there already, and not a handout; choose another --out"]


def test_a_student_s_zip_is_refused_and_untouched(course, out):
    release(course, out)
    with zipfile.ZipFile(f"{out}.zip", "a") as archive:
        archive.writestr("handout/Report.pdf", b"mine")
    assert problems(course, out) == [
        f"{out}.zip: somebody's work is in there (Report.pdf); move it away or choose another --out"
    ]


def test_a_file_in_the_folder_s_place_is_refused(course, out):
    write(out.parent, {"handout": "mine"})
    assert problems(course, out) == [f"{out}: not a folder; choose another --out"]


@pytest.mark.parametrize("name", ["", "..", "reference_solution", "codes/new", "tests/hidden/new", "autograder/new"])
def test_the_repository_s_own_folders_are_refused_and_untouched(course, name):
    before = read(course)
    with pytest.raises(Refused):
        release(course, course / name)
    assert read(course) == before
    assert not (course / name).name.startswith("new") or not (course / name).exists()


@pytest.mark.slow
@pytest.mark.parametrize("exchange", [True, False])
def test_a_run_that_is_stopped_leaves_the_earlier_handout_or_the_new_one(course, out, monkeypatch, exchange):
    """Stopped by Ctrl-C at each of the steps that change what is there."""
    if not exchange:
        monkeypatch.setattr(release_module, "_exchange", lambda one, other: False)
    release(course, out)
    earlier, earlier_zip = read(out), Path(f"{out}.zip").read_bytes()
    append(course, "Report_template.md", "\n10. A new question\n")
    expected = build_handout(course)

    def stopped_at(step, function, counter):
        def call(*arguments, **more):
            counter.append(1)
            if len(counter) == step:
                raise KeyboardInterrupt
            return function(*arguments, **more)

        return call

    for step in range(1, 1000):
        counter = []
        with monkeypatch.context() as patch:
            for name in ("replace", "rename", "fsync"):
                patch.setattr(os, name, stopped_at(step, getattr(os, name), counter))
            try:
                release(course, out)
                break
            except KeyboardInterrupt:
                pass
        assert read(out) in (earlier, expected)
        assert Path(f"{out}.zip").read_bytes() == earlier_zip or read(out) == earlier
        assert sorted(path.name for path in out.parent.iterdir()) == ["handout", "handout.zip"]
    assert step > 40
    assert read(out) == expected


KILLED = """
import os, sys
from autograder import release

course, out, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
taken = 0

def counted(function):
    def call(*arguments, **more):
        global taken
        taken += 1
        if taken > steps:
            os._exit(9)
        return function(*arguments, **more)
    return call

os.replace, os.rename, os.rmdir = counted(os.replace), counted(os.rename), counted(os.rmdir)
release._exchange = counted(release._exchange)
release.release(course, out)
print(taken)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="folders change places in one step on Linux only")
def test_a_run_that_is_killed_leaves_the_earlier_handout_or_the_new_one(course, tmp_path, out):
    newer = make_course(tmp_path / "newer")
    append(newer, "Report_template.md", "\n10. A new question\n")
    earlier, later = build_handout(course), build_handout(newer)

    def run(steps):
        release(course, out)
        code = [sys.executable, "-c", KILLED, newer, out, str(steps)]
        return subprocess.run(code, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    taken = int(run(10**6).stdout)
    seen = set()
    for steps in (0, len(earlier), *range(len(later), taken)):
        assert run(steps).returncode == 9
        assert read(out) in (earlier, later)
        with zipfile.ZipFile(f"{out}.zip") as archive:
            names = {name: archive.read(f"handout/{name}") for name in later}
        assert names in (earlier, later)
        seen.add((read(out) == later, names == later))
    assert seen == {(False, False), (False, True), (True, True)}
    release(newer, out)
    assert read(out) == later
    assert sorted(path.name for path in out.parent.iterdir()) == ["handout", "handout.zip"]


def test_a_folder_that_can_t_be_written_is_one_line(course, tmp_path):
    write(tmp_path, {"file": ""})
    with pytest.raises(CourseError) as error:
        release(course, tmp_path / "file" / "handout")
    assert "could not write" in str(error.value) and "\n" not in str(error.value)


# --- this repository's own handout, as a student has it ---


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return release(REPOSITORY, tmp_path_factory.mktemp("released") / "handout").archive


@pytest.fixture
def handout(archive, tmp_path):
    """The handout's zip, unpacked in an empty folder."""
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path / "student")
    (top,) = (tmp_path / "student").iterdir()
    return top


@pytest.fixture
def solved(handout):
    """A handout whose every block is filled in."""
    for path in sorted((handout / "codes").glob("*/*.py")):
        solution = (REFERENCE / path.parent.name / path.name).read_bytes().decode()
        bodies = [block.body for block in find_blocks(solution, path.name)]
        path.write_bytes(fill_blocks(path.read_bytes().decode(), bodies, path.name).encode())
    return handout


def student(words, cwd, handout):
    """Run a command as a student does, with the handout's kit and not this repository's."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        words,
        cwd=cwd,
        env=user_environment(handout.parent, PYTHONPATH=str(handout), PATH=path),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_the_kit_is_the_handout_s_own(handout):
    code = "import coursekit, code_analyze; print(coursekit.__file__, code_analyze.__file__)"
    places = student([sys.executable, "-c", code], handout / "codes" / "VAE", handout).stdout.split()
    assert places == [str(handout / package / "__init__.py") for package in ("coursekit", "code_analyze")]


@pytest.mark.parametrize("project", ["VAE", "GAN"])
def test_an_untouched_handout_names_the_first_missing_block_in_one_line(handout, project):
    ran = student([sys.executable, "main.py", "--dataset", "digits"], handout / "codes" / project, handout)
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith(f"main.py: TODO: block 1 of {project}/model.py is not filled in yet")
    assert "Traceback" not in ran.stderr


def test_the_handout_s_pyproject_agrees_with_the_repository_s():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no TOML parser")
    theirs = tomllib.loads((REPOSITORY / "autograder" / "handout" / "pyproject.toml").read_text())
    ours = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    pytest_ = [need for need in ours["project"]["optional-dependencies"]["dev"] if re.fullmatch(r"pytest[<>=].*", need)]
    assert theirs["project"]["dependencies"] == ours["project"]["dependencies"] + pytest_
    for key in ("name", "version", "requires-python", "readme"):
        assert theirs["project"][key] == ours["project"][key]
    assert theirs["build-system"] == ours["build-system"]
    packages = [name for name in ours["tool"]["setuptools"]["packages"] if name.split(".")[0] != "autograder"]
    assert theirs["tool"]["setuptools"]["packages"] == packages
    package_data = {n: v for n, v in ours["tool"]["setuptools"]["package-data"].items() if n in packages}
    assert theirs["tool"]["setuptools"]["package-data"] == package_data


# --- every command that the handout's README shows ---

README = (REPOSITORY / "autograder" / "handout" / "README.md").read_text()
COMMANDS = [
    line for block in re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL) for line in block.splitlines()
]
INSTALLING = ["python -m venv .venv", "source .venv/bin/activate", "pip install -e ."]
SHORT = "--num_train_steps 4 --saving_steps 2 --logging_steps 1 --fid_extractor lenet"
TRAINING = {
    "python main.py --do_train": f"{SHORT} --dataset digits",
    "python main.py --do_train --dataset digits --num_train_steps 2000": SHORT,
    "python main.py": f"{SHORT} --dataset digits",
}
HANDING_IN = [
    "python -m pytest tests/public",
    "python code_analyze/analyze.py",
    "python -m coursekit submit STUDENT_NUMBER",
]
SHOWN_ELSEWHERE = "tensorboard --logdir ./runs"  # test_readme.py


def test_every_command_of_the_handout_s_readme_is_run_here():
    assert set(COMMANDS) == {*INSTALLING, *TRAINING, *HANDING_IN, SHOWN_ELSEWHERE}


@pytest.mark.slow
@pytest.mark.parametrize("project", ["VAE", "GAN"])
def test_a_student_who_has_filled_every_block_trains_and_scores(solved, project):
    for command, flags in TRAINING.items():
        ran = student(shlex.split(f"{command} {flags}"), solved / "codes" / project, solved)
        assert ran.returncode == 0, ran.stderr
        assert "generated against" in ran.stdout


@pytest.mark.slow
def test_a_student_who_has_filled_every_block_passes_the_public_tests_and_hands_in(solved):
    (solved / "Report.pdf").write_bytes(b"%PDF-1.4\n%%EOF\n")
    for command in HANDING_IN:
        ran = student(shlex.split(command.replace("STUDENT_NUMBER", "2020012345")), solved, solved)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    with zipfile.ZipFile(solved / "2020012345.zip") as archive:
        names = archive.namelist()
    assert any(name.endswith("codes/VAE/model.py") for name in names)
    assert any(name.endswith("summary.txt") for name in names)


@pytest.mark.slow
def test_the_handout_installs_in_an_environment_of_its_own(handout, tmp_path):
    """As its README says, but with the big dependencies of the environment at hand in place of a download."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("no setuptools here to build with, and no network")
    packages = tmp_path / "packages"
    packages.mkdir()
    for path in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not path.name.startswith(("coursekit", "__editable__")):
            (packages / path.name).symlink_to(path)
    venv, activate, install = INSTALLING
    subprocess.run(f"{sys.executable} {venv.removeprefix('python')}", shell=True, cwd=handout, check=True)
    (site_packages,) = (handout / ".venv").glob("lib/*/site-packages")
    (site_packages / "dependencies.pth").write_text(f"{packages}\n")
    for old in site_packages.glob("setuptools*"):  # older Pythons bring one that is too old
        shutil.rmtree(old)

    def activated(command, cwd):
        environment = user_environment(tmp_path)
        environment.pop("PYTHONPATH", None)
        script = f"{activate.replace('.venv', shlex.quote(str(handout / '.venv')))} && {command}"
        ran = ["bash", "-c", script]
        return subprocess.run(ran, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, check=False)

    installed = activated(f"{install} --no-deps --no-build-isolation --no-index", handout)
    assert installed.returncode == 0, installed.stderr
    code = "import coursekit.flags, code_analyze.blocks; print(coursekit.flags.__file__, code_analyze.blocks.__file__)"
    places = activated(f"python -c '{code}'", tmp_path).stdout.split()
    assert places == [str(handout / "coursekit" / "flags.py"), str(handout / "code_analyze" / "blocks.py")]
    assert activated("python -c 'import autograder'", tmp_path).returncode == 1
    assert activated("python -m coursekit --help", tmp_path).returncode == 0
    ran = activated("python main.py --dataset digits", handout / "codes" / "VAE")
    assert ran.stderr.splitlines()[-1].startswith("main.py: TODO: block 1 of VAE/model.py is not filled in yet")
