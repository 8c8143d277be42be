"""Edited submissions, each a small change to `submissions/_codes`, for the tests of the code checking.

The summary that each must give is `submissions/<name>.txt`. To see what a change to the code checking does to them all:
`python tests/kit/edited_submissions.py` writes them anew; read the difference before you commit it.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
SUMMARIES = HERE / "submissions"
SCAFFOLD = SUMMARIES / "_codes"
ANALYZE = HERE.parents[1] / "code_analyze" / "analyze.py"

CASES: dict[str, Callable[[Path], None]] = {}
# What the blocks are filled with where a case is about something else.
LAYERS = "        self.layer = nn.Linear(4, latent_dim)\n        self.relu = nn.ReLU()\n"
ENCODE = "        z = self.relu(self.layer(x))\n"
STEP = "            loss = self.model(x).sum()\n            loss.backward()\n            self.optimizer.step()\n"
IMAGE = "    image = z.tanh()\n"


def case(edit: Callable[[Path], None]) -> Callable[[Path], None]:
    """Register an edit of the folder that it is given, a copy of the scaffold, under its own name."""
    CASES[edit.__name__] = edit
    return edit


def build(name: str, folder: Path) -> Path:
    """Make the edited submission `name` in an empty folder; return its codes/."""
    for path in sorted(SCAFFOLD.rglob("*")):
        if path.is_file():
            write(folder / path.relative_to(SCAFFOLD), path.read_bytes())
    CASES[name](folder)
    return folder


def write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def swap(path: Path, old: str, new: str, count: int = 1) -> None:
    """Replace text that stands in the file, at its first `count` places."""
    text = path.read_bytes().decode()
    assert old in text, old
    write(path, text.replace(old, new, count))


def fill(path: Path, number: int, body: str) -> None:
    """Put lines into a block of a file whose TODO lines are still the scaffold's."""
    lines = path.read_text().splitlines(keepends=True)
    starts = [n for n, line in enumerate(lines) if line.strip() == "# TODO START"]
    ends = [n for n, line in enumerate(lines) if line.strip() == "# TODO END"]
    lines[starts[number - 1] + 1 : ends[number - 1]] = [body]
    write(path, "".join(lines))


def fill_all(codes: Path) -> None:
    fill(codes / "VAE/model.py", 1, LAYERS)
    fill(codes / "VAE/model.py", 2, ENCODE)
    fill(codes / "VAE/trainer.py", 1, STEP)
    fill(codes / "GAN/model.py", 1, IMAGE)


# Blocks


@case
def untouched(codes: Path) -> None:
    pass


@case
def filled(codes: Path) -> None:
    fill_all(codes)


@case
def one_block_filled(codes: Path) -> None:
    fill(codes / "VAE/model.py", 2, ENCODE)


@case
def block_emptied(codes: Path) -> None:
    fill(codes / "VAE/model.py", 1, "")


@case
def block_of_comments_and_pass(codes: Path) -> None:
    fill(codes / "VAE/model.py", 1, "        # I don't know how\n        pass\n")


@case
def placeholder_reformatted(codes: Path) -> None:
    swap(codes / "GAN/model.py", 'NotImplementedError("', 'NotImplementedError(\n        "')
    swap(codes / "GAN/model.py", 'from z")', 'from z"\n    )')


@case
def block_that_is_not_python(codes: Path) -> None:
    fill(codes / "VAE/model.py", 1, "        self.layer = nn.Linear(4,\n")


@case
def block_with_an_open_string(codes: Path) -> None:
    fill(codes / "VAE/model.py", 1, '        text = """\n')


@case
def block_that_ends_the_function(codes: Path) -> None:
    fill(
        codes / "VAE/model.py",
        1,
        LAYERS + "\n    def helper(self):\n        return 1\n\n    def other(self):\n        pass\n",
    )


# References


@case
def reference_links_in_order_once_each(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/trainer.py", STEP, "            # Reference: https://github.com/bbbbb\n" + STEP)
    links = "        # Reference: https://github.com/zzzzz\n        # Reference: https://github.com/bbbbb\n"
    swap(codes / "VAE/model.py", LAYERS, links + LAYERS)
    swap(codes / "VAE/model.py", ENCODE, "        # Reference: https://github.com/aaaaa\n" + ENCODE)


@case
def reference_to_a_person(codes: Path) -> None:
    fill(codes / "VAE/model.py", 2, "        # Reference: Name: 李雷 Student ID: 2026010001\n" + ENCODE)


@case
def reference_without_https(codes: Path) -> None:
    fill(codes / "VAE/model.py", 2, "        # Reference: github.com/xxxxx\n" + ENCODE)


@case
def reference_without_a_student_id(codes: Path) -> None:
    fill(codes / "VAE/model.py", 2, "        # reference: Name: Li Lei\n" + ENCODE)


@case
def reference_after_the_code(codes: Path) -> None:
    fill(codes / "VAE/model.py", 2, ENCODE + "        # Reference: https://github.com/xxxxx\n")


@case
def reference_at_the_end_of_a_line(codes: Path) -> None:
    fill(codes / "VAE/model.py", 2, ENCODE.replace("\n", "  # Reference: https://github.com/xxxxx\n"))


@case
def reference_outside_the_blocks(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/trainer.py", "import torch\n", "# Reference: https://github.com/xxxxx\nimport torch\n")


@case
def link_without_the_word_reference(codes: Path) -> None:
    fill(codes / "VAE/model.py", 2, "        # see https://github.com/xxxxx\n" + ENCODE)


@case
def own_share_too_small(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/trainer.py", STEP, "            # Reference: https://github.com/xxxxx\n" + STEP)


@case
def own_share_just_enough(codes: Path) -> None:
    body = "".join(f"        self.a{n} = {n}\n" for n in range(7))
    fill(codes / "VAE/model.py", 1, body + "\n        # a comment and a blank line don't count\n")
    three = "        # Reference: https://github.com/xxxxx\n        z = x\n        z = z + 1\n        z = z * 2\n"
    fill(codes / "VAE/model.py", 2, three)


# TODO lines


@case
def own_pair_hides_an_edit(codes: Path) -> None:
    fill_all(codes)
    hidden = "        # TODO START\n        self.latent_dim = 1000\n        # TODO END\n"
    swap(codes / "VAE/model.py", "        self.latent_dim = latent_dim\n", hidden)


@case
def own_pair_before_the_first_block(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/trainer.py", "import torch\n", "import torch\n# TODO START\nimport hidden_module\n# TODO END\n")


@case
def own_pair_inside_a_block(codes: Path) -> None:
    fill(codes / "VAE/model.py", 1, LAYERS + "        # TODO START\n        self.nested = 1\n        # TODO END\n")


@case
def todo_end_deleted(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/model.py", "        # TODO END\n", "")


@case
def todo_start_deleted(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/model.py", "        # TODO START\n", "")


@case
def both_todo_lines_deleted(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/trainer.py", "            # TODO START\n", "")
    swap(codes / "VAE/trainer.py", "            # TODO END\n", "")


@case
def all_todo_lines_deleted(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/model.py", "        # TODO START\n", "", 2)
    swap(codes / "VAE/model.py", "        # TODO END\n", "", 2)


@case
def todo_end_edited(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/model.py", "# TODO END", "# TODO: END")


@case
def todo_start_with_more_words(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/model.py", "# TODO START", "# TODO START (my code)")


@case
def todo_lines_in_lower_case(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/model.py", "# TODO START", "# todo start", 2)
    swap(codes / "VAE/model.py", "# TODO END", "#todo end", 2)


@case
def todo_start_doubled(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/trainer.py", "            # TODO START\n", "            # TODO START\n            # TODO START\n")


@case
def todo_end_doubled(codes: Path) -> None:
    fill_all(codes)
    twice = "            # TODO END\n            self.steps = 5\n            # TODO END\n"
    swap(codes / "VAE/trainer.py", "            # TODO END\n", twice)


@case
def todo_lines_swapped(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "GAN/model.py", "TODO START", "TODO MIDDLE")
    swap(codes / "GAN/model.py", "TODO END", "TODO START")
    swap(codes / "GAN/model.py", "TODO MIDDLE", "TODO END")


@case
def todo_end_moved_past_a_given_line(codes: Path) -> None:
    fill_all(codes)
    moved = "        return z * 2\n        # TODO END\n"
    swap(codes / "VAE/model.py", ENCODE + "        # TODO END\n        return z\n", ENCODE + moved)


@case
def todo_lines_in_a_string(codes: Path) -> None:
    fill_all(codes)
    text = '        self.text = """\n        # TODO START\n        # TODO END\n        """\n'
    swap(codes / "VAE/trainer.py", "        self._saved_tensor = None\n", text)


@case
def todo_lines_in_a_new_file(codes: Path) -> None:
    write(codes / "VAE/helper.py", "# TODO START\nhidden = 1\n# TODO END\n")


@case
def block_copied(codes: Path) -> None:
    fill_all(codes)
    block = "        # TODO START\n" + ENCODE + "        # TODO END\n"
    swap(codes / "VAE/model.py", block, block + block)


# Other modifications


@case
def comment_added(codes: Path) -> None:
    fill_all(codes)
    line = "        self._saved_tensor = None"
    swap(codes / "VAE/trainer.py", line, line + " # add some thing")


@case
def statement_added_to_a_line(codes: Path) -> None:
    fill_all(codes)
    line = "        self._saved_tensor = None"
    swap(codes / "VAE/trainer.py", line, line + "; torch.manual_seed(4711)")


@case
def comment_changed(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/trainer.py", "# every few steps", "# at every step")


@case
def title_of_a_block_changed(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/model.py", "# Block 2: encode x to z", "# Block 3: encode x")


@case
def lines_added_and_removed(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/model.py", "from torch import nn\n", "from torch import nn\nimport numpy as np\n")
    swap(codes / "VAE/model.py", "        self.latent_dim = latent_dim\n", "")


@case
def one_argument_of_a_long_call_changed(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/trainer.py", "logging_steps=10", "logging_steps=1")


@case
def else_removed(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/trainer.py", "            else:\n                continue\n", "            continue\n")


@case
def readme_written(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/README.md", "|---|---|\n", "|---|---|\n| trainer.py | logs more |\n")


@case
def outside_that_is_not_python(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/trainer.py", "        self.model = model\n", "        self.model = model)\n")


@case
def stray_backslash_beside_a_comment(codes: Path) -> None:
    """Python reads this file, its tokenizer does not."""
    fill_all(codes)
    line = "        super().__init__()"
    swap(codes / "VAE/model.py", line + "\n", line + "  # hidden\n\\\n")


@case
def block_copied_outside(codes: Path) -> None:
    """The block's old line, outside it: equal to what stood in the block, and yet new."""
    placeholder = (
        '    raise NotImplementedError("TODO: block 1 of GAN/model.py is not filled in yet: an image from z")\n'
    )
    fill_all(codes)
    swap(codes / "GAN/model.py", "    # Block 1: an image from z\n", "    # Block 1: an image from z\n" + placeholder)


# Nothing but layout


@case
def line_ends_and_byte_order_mark(codes: Path) -> None:
    fill_all(codes)
    for name in ("VAE/model.py", "VAE/README.md"):
        write(codes / name, b"\xef\xbb\xbf" + (codes / name).read_bytes().replace(b"\n", b"\r\n"))


@case
def trailing_blanks(codes: Path) -> None:
    fill_all(codes)
    for name in ("VAE/model.py", "VAE/README.md"):
        write(codes / name, (codes / name).read_bytes().replace(b"\n", b"  \n"))


@case
def tabs_for_spaces(codes: Path) -> None:
    fill_all(codes)
    for path in (codes / "VAE").glob("*.py"):
        write(path, path.read_bytes().replace(b"    ", b"\t"))


@case
def two_spaces_for_four(codes: Path) -> None:
    fill_all(codes)
    for path in (codes / "VAE").glob("*.py"):
        write(path, path.read_bytes().replace(b"    ", b"  "))


FORMATTED = """    def train(
        self,
        batches,
        *,
        steps,
        log=print,
        logging_steps=10,
    ):
"""


@case
def reformatted_by_a_tool(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/trainer.py", "    def train(self, batches, *, steps, log=print, logging_steps=10):\n", FORMATTED)
    swap(codes / "VAE/trainer.py", "lr=learning_rate)", "lr=(learning_rate),)")
    swap(codes / "VAE/model.py", '"""Encode x."""', "'''\n        Encode x.\n        '''")


@case
def reformatted_with_one_real_change(codes: Path) -> None:
    reformatted_by_a_tool(codes)
    swap(codes / "VAE/trainer.py", "        self.model = model\n", "        self.model = model.cuda()\n")


# Files


@case
def file_missing(codes: Path) -> None:
    fill_all(codes)
    (codes / "VAE/trainer.py").unlink()


@case
def project_missing(codes: Path) -> None:
    fill_all(codes)
    (codes / "GAN/model.py").unlink()
    (codes / "GAN").rmdir()


@case
def file_new(codes: Path) -> None:
    fill_all(codes)
    write(codes / "VAE/nets/layers.py", "import torch\n\n\ndef double(x):\n    return 2 * x\n")


@case
def file_new_with_an_odd_name(codes: Path) -> None:
    write(codes / "VAE/我的 层.py", "x = 1\n")


@case
def file_new_and_empty(codes: Path) -> None:
    write(codes / "VAE/__init__.py", "")


@case
def file_renamed(codes: Path) -> None:
    (codes / "VAE/trainer.py").rename(codes / "VAE/train.py")


@case
def file_renamed_and_edited(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/trainer.py", "logging_steps=10", "logging_steps=1")
    (codes / "VAE/trainer.py").rename(codes / "VAE/train.py")


@case
def file_copied(codes: Path) -> None:
    write(codes / "GAN/old_model.py", (codes / "GAN/model.py").read_bytes())


@case
def folder_in_place_of_a_file(codes: Path) -> None:
    (codes / "VAE/trainer.py").unlink()
    write(codes / "VAE/trainer.py/trainer.py", "hidden = 1\n")


@case
def link_in_place_of_a_file(codes: Path) -> None:
    (codes / "VAE/trainer.py").unlink()
    (codes / "VAE/trainer.py").symlink_to("../../elsewhere/trainer.py")


@case
def link_to_a_folder(codes: Path) -> None:
    (codes / "VAE/more").symlink_to("/usr/lib")
    (codes / "VAE/data").symlink_to("/srv/data")


@case
def caches_runs_and_editors(codes: Path) -> None:
    fill_all(codes)
    for name in (
        "VAE/__pycache__/model.cpython-311.pyc",
        "VAE/data/MNIST/raw/train-images-idx3-ubyte",
        "VAE/results/VAE_64_32_25000/checkpoint-1000.pt",
        "VAE/runs/events.out.tfevents.1.host",
        "VAE/.vscode/settings.json",
        ".idea/workspace.xml",
        ".DS_Store",
        "VAE/Thumbs.db",
    ):
        write(codes / name, b"\0\1\2")


@case
def python_in_a_left_out_folder(codes: Path) -> None:
    write(codes / "VAE/data/helper.py", "hidden = 1\n")
    write(codes / "VAE/__pycache__/x/y.py", "hidden = 2\n")


@case
def notebook_copies_and_an_environment(codes: Path) -> None:
    write(codes / "VAE/.ipynb_checkpoints/model-checkpoint.py", "import torch\n")
    write(codes / "venv/pyvenv.cfg", "home = /usr/bin\n")
    write(codes / "venv/lib/site-packages/a.py", "a = 1\n")
    write(codes / "venv/lib/site-packages/b.py", "b = 1\n")


# Any bytes


@case
def one_byte_that_is_not_utf8(codes: Path) -> None:
    fill_all(codes)
    path = codes / "VAE/trainer.py"
    write(path, path.read_bytes().replace(b"# every few steps", b"# caf\xe9"))


@case
def other_encoding_declared(codes: Path) -> None:
    fill_all(codes)
    path = codes / "VAE/trainer.py"
    write(path, b"# -*- coding: gbk -*-\n" + path.read_bytes().replace(b"# every few", "# 每几".encode("gbk")))


@case
def encoding_that_does_not_exist(codes: Path) -> None:
    path = codes / "VAE/trainer.py"
    write(path, b"# -*- coding: klingon -*-\n" + path.read_bytes())


@case
def null_byte(codes: Path) -> None:
    fill_all(codes)
    swap(codes / "VAE/trainer.py", "self.model = model\n", "self.model = model\0\n")


@case
def text_in_other_encodings(codes: Path) -> None:
    write(codes / "VAE/README.md", "# 变分自编码器\n".encode("gbk"))
    write(codes / "GAN/README.txt", "changed nothing\n".encode("utf-16"))


@case
def binary_files(codes: Path) -> None:
    write(codes / "VAE/layers.so", b"\x7fELF\0\0\0")
    write(codes / "GAN/model.py", b"\x7fELF\0\0\0")


@case
def huge_files(codes: Path) -> None:
    write(codes / "VAE/samples.csv", b"0,1\n" * 300_000)
    write(codes / "VAE/trainer.py", b"x = 1\n" * 200_000)


@case
def control_characters(codes: Path) -> None:
    fill(codes / "VAE/model.py", 2, ENCODE + "        name = '\x1b[2J\u202e\u2028'  # 中文 α\x0c\n")


@case
def headings_of_a_summary(codes: Path) -> None:
    border = "#" * 24
    forged = f"{border}\n# Problems\n{border}\n# none\n{border}\n# Filled Code\n{border}\n# ../codes/VAE/model.py:2\n"
    fill(codes / "VAE/model.py", 1, forged + LAYERS)


def summary_of(codes: Path, output: Path, *flags: object) -> subprocess.CompletedProcess:
    """Run analyze.py as a student does, on a folder and with the small scaffold."""
    command = [sys.executable, str(ANALYZE), "--target_dir", str(codes), "--origin_dir", str(SCAFFOLD)]
    command += ["--output_file", str(output), *map(str, flags)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


if __name__ == "__main__":
    import tempfile

    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            summary_of(build(name, Path(folder) / "codes"), SUMMARIES / f"{name}.txt")
