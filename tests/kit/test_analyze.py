"""The code checking: the corpus of edited submissions, nothing that can be hidden, odd input, speed's shape."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import edited_submissions as corpus
import pytest
from conftest import REFERENCE, REPOSITORY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autograder.scaffold import build_scaffold
from code_analyze.analyze import main
from code_analyze.blocks import find_blocks, find_markers
from code_analyze.compare import compare
from code_analyze.references import find_references, names_source, valid_reference
from code_analyze.report import Comparison, FilledBlock
from code_analyze.source import Comment
from code_analyze.summary import to_json, to_text
from code_analyze.tree import File, Tree, decode_python, read_tree, wide_encoding

SECTIONS = [
    "Missing Files",
    "Additional Files",
    "Filled Code",
    "References",
    "Other Modifications",
    "Own Code",
    "Left Out",
]


@pytest.fixture
def analyze(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Run analyze.py in this process on the small scaffold; return the exit status and the summary."""

    def run(codes: Path, *flags: object) -> tuple[int, str]:
        output = tmp_path / "summary.txt"
        status = main(
            ["--target_dir", str(codes), "--origin_dir", str(corpus.SCAFFOLD), "--output_file", str(output)]
            + [str(flag) for flag in flags]
        )
        return status, output.read_bytes().decode()

    return run


# The corpus


def test_the_corpus_is_large_and_complete():
    assert len(corpus.CASES) >= 40
    assert {path.stem for path in corpus.SUMMARIES.glob("*.txt")} == set(corpus.CASES)


@pytest.mark.parametrize("name", corpus.CASES)
def test_edited_submission(name: str, analyze, tmp_path: Path):
    try:
        codes = corpus.build(name, tmp_path / "codes")
    except OSError as error:
        pytest.skip(f"this system can't hold such a file: {error}")
    status, summary = analyze(codes)
    assert summary == (corpus.SUMMARIES / f"{name}.txt").read_bytes().decode()
    assert status == ("\n# Problems\n" in summary.rpartition("\n# Left Out\n")[2])


@pytest.mark.parametrize("name", corpus.CASES)
def test_sections_are_the_spec_s(name: str):
    summary = (corpus.SUMMARIES / f"{name}.txt").read_text()
    if name == "headings_of_a_summary":
        pytest.skip("this one imitates headings")
    border = "#" * 24
    titles = re.findall(rf"^{border}\n# (.+)\n{border}$", summary, re.MULTILINE)
    assert titles[: len(SECTIONS)] == SECTIONS
    assert titles[len(SECTIONS) :] in ([], ["Problems"])
    assert summary.count("# Folders named") == 1


# Nothing can be hidden: from the summary and the scaffold alone, the student's files can be told


def full_codes() -> dict[str, str]:
    """The real scaffold, without what hypothesis would only be slowed down by."""
    built = build_scaffold(REFERENCE)
    return {name: content.decode() for name, content in built.items() if not name.endswith("main.py")}


def filled_codes() -> dict[str, str]:
    return {name: (REFERENCE / name).read_bytes().decode() for name in full_codes()}


SCAFFOLD, SOLUTION = full_codes(), filled_codes()
PIECES = [
    "# TODO START",
    "# TODO END",
    "#todo end",
    "# TODO: END",
    "pass",
    "else:",
    "return",
    '"""',
    "'",
    "(",
    ")",
    "\\",
    "if hidden:",
    "hidden_name",
    "hidden_name = 4711",
    "import hidden_module",
    "# hidden comment",
    "# Reference: https://example.org/hidden",
    "x",
    "0",
    "+ 1",
    ";",
    ",",
    "lambda: hidden_name",
    "async",
]


def tree_of(files: dict[str, str]) -> Tree:
    return Tree({name: File(name, text.encode(), text) for name, text in sorted(files.items())})


LAYOUT = re.compile(r"[\s,;()\\'\"]+")  # what may differ between two spellings of the same code


def is_code(line: str) -> bool:
    return not line.lstrip().startswith("#")


def without_layout(lines: Iterable[str]) -> str:
    return LAYOUT.sub("", "".join(lines))


def words(lines: list[str]) -> Counter:
    return Counter(word for line in lines for word in re.findall(r"\w+|[^\w\s,;()\\'\"]", line))


def marker_kinds(text: str) -> list[str]:
    return [marker.kind for marker in find_markers(text)]


def check_that_nothing_is_hidden(name: str, pristine: str, edited: str) -> None:
    """What the report doesn't name must be as in the scaffold: so the edited file can be told from it."""
    comparison = compare(tree_of({name: pristine}), tree_of({name: edited}))
    report, summary = json.loads(to_json(comparison)), to_text(comparison).split("\n")
    changes = [change for entry in report["modifications"] for change in entry["changes"]]
    removed = {change["line"]: change["text"] for change in changes if change["sign"] == "-"}
    added = {change["line"]: change["text"] for change in changes if change["sign"] == "+"}
    for change in changes:
        assert f"# {change['line']} {change['sign']} {change['text']}".rstrip() in summary
    outside = {n: line for n, line in enumerate(pristine.split("\n"), 1) if line.strip()}
    given = dict(outside)  # the lines that the edited file still has, if the report says all
    for found, block in zip(report["blocks"], find_blocks(pristine, name), strict=True):
        body = range(block.start + 1, block.end)
        for n in body:
            outside.pop(n, None)
        if found["line"] is not None and found["is_touched"]:
            for n in body:
                given.pop(n, None)
            added |= dict(enumerate(found["lines"], found["line"]))
            assert all(line in summary for line in found["lines"])
    rest = [line for n, line in enumerate(edited.split("\n"), 1) if line.strip() and n not in added]
    kept = [line for n, line in given.items() if n not in removed]
    assert Counter(map(without_layout, rest)) == Counter(map(without_layout, kept)) or len(rest) != len(kept)
    # Which of two equal comments inside one statement is the new one can't be told, so they are left aside here.
    assert without_layout(filter(is_code, rest)) == without_layout(filter(is_code, kept))

    appeared = words(edited.split("\n")) - words(pristine.split("\n"))
    vanished = words(list(outside.values())) - words(edited.split("\n"))
    assert appeared <= words(list(added.values()))
    assert vanished <= words(list(removed.values()))
    if name.endswith(".py") and marker_kinds(edited) != marker_kinds(pristine):
        assert report["problems"]
    if edited != pristine:
        assert report["modifications"] or any(block["is_touched"] for block in report["blocks"])


@st.composite
def edits(draw) -> tuple[str, str]:
    """A file's name, and its text after a few random edits of the scaffold or of the solution."""
    base = draw(st.sampled_from([SCAFFOLD, SOLUTION]))
    name = draw(st.sampled_from(sorted(n for n in base if n.endswith((".py", ".md")))))
    lines = base[name].split("\n")
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(["insert", "insert", "append", "replace", "delete", "move", "swap", "dedent"]))
        piece = draw(st.sampled_from(PIECES))
        indent = draw(st.sampled_from(["", "    ", "        ", "            "]))
        if kind == "insert":
            lines.insert(at, indent + piece)
        elif kind == "append":
            lines[at] += " " + piece
        elif kind == "replace":
            lines[at] = re.sub(r"\w+", piece.replace("\\", r"\\"), lines[at], count=1)
        elif kind == "delete" and len(lines) > 1:
            del lines[at]
        elif kind == "move":
            lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(at))
        elif kind == "swap":
            other = draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == "dedent":
            lines[at] = indent + lines[at].strip()
    return name, "\n".join(lines)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(edits())
def test_no_edit_can_be_hidden(edit: tuple[str, str]):
    name, edited = edit
    check_that_nothing_is_hidden(name, SCAFFOLD[name], edited)


NAMES = ["VAE/model.py", "VAE/README.md", "VAE/new.py", "VAE/new.txt", "VAE/data/new.py", "GAN/new.bin"]


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=60), min_size=1))
def test_any_bytes_are_named_and_never_a_traceback(contents: dict[str, bytes]):
    with tempfile.TemporaryDirectory() as folder:
        codes = corpus.build("untouched", Path(folder) / "codes")
        for name, content in contents.items():
            corpus.write(codes / name, content)
        status = main(
            ["--target_dir", str(codes), "--origin_dir", str(corpus.SCAFFOLD), "--output_file", f"{folder}/s.txt"]
        )
        summary = Path(folder, "s.txt").read_bytes().decode("utf-8")
    assert status in (0, 1)
    assert "\0" not in summary and "\r" not in summary and "\x1b" not in summary
    for name in contents:
        assert f"-> ../codes/{name}\n" in summary


def test_every_line_of_a_new_file_is_shown(analyze, tmp_path: Path):
    codes = corpus.build("untouched", tmp_path / "codes")
    text = "".join(f"line_{n} = {n}\n" for n in range(1000))
    corpus.write(codes / "VAE/new.py", text)
    summary = analyze(codes)[1]
    assert all(f"# {n + 1} + line_{n} = {n}\n" in summary for n in range(1000))


# The command


def test_the_real_scaffold_is_untouched_and_the_solution_fills_it(tmp_path: Path, capsys):
    assert main(["--output_file", str(tmp_path / "a.txt"), "--json", str(tmp_path / "a.json")]) == 0
    report = json.loads((tmp_path / "a.json").read_text())
    assert len(report["blocks"]) == 9 and not any(block["is_touched"] for block in report["blocks"])
    assert not (report["missing"] or report["additional"] or report["modifications"] or report["problems"])
    assert "0 of 9 blocks filled" in capsys.readouterr().out

    arguments = ["--target_dir", str(REFERENCE), "--output_file", str(tmp_path / "b.txt")]
    assert main([*arguments, "--json"]) == 0
    streams = capsys.readouterr()
    report = json.loads(streams.out)
    assert all(block["is_filled"] for block in report["blocks"]) and not report["modifications"]
    assert report["own_code"]["own"] == report["own_code"]["counted"] > 30 and report["own_code"]["is_enough"]
    assert "9 of 9 blocks filled" in streams.err
    filled = (tmp_path / "b.txt").read_text()
    for name in SOLUTION:
        if name.endswith(".py"):
            for block in find_blocks(SOLUTION[name], name):
                assert f"# ../codes/{name}:{block.number}\n{block.body}" in filled


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target_dir", "{tmp}/nowhere"], "no folder {tmp}/nowhere"),
        (["--origin_dir", "{tmp}/nowhere"], "no folder {tmp}/nowhere"),
        (["--target_dir", "{tmp}/file"], "no folder {tmp}/file"),
        (["--output_file", "{tmp}/nowhere/s.txt"], "could not write {tmp}/nowhere/s.txt: No such file or directory"),
        (["--output_file", "{tmp}"], "could not write {tmp}: Is a directory"),
    ],
)
def test_what_it_can_t_do_ends_in_one_line_and_status_2(arguments, message, tmp_path: Path, capsys):
    corpus.write(tmp_path / "file", "")
    defaults = {"--output_file": f"{tmp_path}/s.txt"}
    given = dict(zip(arguments[::2], (value.format(tmp=tmp_path) for value in arguments[1::2]), strict=True))
    status = main([word for pair in {**defaults, **given}.items() for word in pair])
    assert status == 2
    assert capsys.readouterr().err == f"analyze.py: {message.format(tmp=tmp_path)}\n"
    assert not list(tmp_path.glob(".s.txt*")) and not (tmp_path / "s.txt").exists()


def test_a_scaffold_whose_todo_lines_don_t_add_up_is_an_error(tmp_path: Path, capsys):
    codes = corpus.build("todo_end_deleted", tmp_path / "codes")
    arguments = ["--target_dir", str(corpus.SCAFFOLD), "--origin_dir", str(codes)]
    assert main([*arguments, "--output_file", str(tmp_path / "s.txt")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "VAE/model.py" in error and "TODO" in error


def test_a_wrong_flag_is_one_line(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--no_such_flag"])
    assert stopped.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def run_script(script: Path, cwd: Path) -> subprocess.CompletedProcess:
    # -S -I: nothing but the standard library can be imported, and PYTHONPATH counts for nothing
    command = [sys.executable, "-S", "-I", "-B", str(script)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


def handout(folder: Path) -> Path:
    """A handout's code_analyze/ with its pristine scaffold, and codes/ as the student left it."""
    for path in (REPOSITORY / "code_analyze").glob("*.py"):
        corpus.write(folder / "code_analyze" / path.name, path.read_bytes())
    corpus.build("untouched", folder / "code_analyze" / "_codes")
    corpus.build("comment_added", folder / "codes")
    return folder


def test_in_a_handout_it_needs_nothing_but_python_and_runs_from_any_folder(tmp_path: Path):
    course = handout(tmp_path / "course")
    (tmp_path / "elsewhere").mkdir()
    expected = (corpus.SUMMARIES / "comment_added.txt").read_bytes()
    script = course / "code_analyze" / "analyze.py"
    for cwd, name in ((course, script.relative_to(course)), (tmp_path / "elsewhere", script)):
        result = run_script(name, cwd)
        assert (result.returncode, result.stderr) == (0, "")
        assert (course / "code_analyze" / "summary.txt").read_bytes() == expected
        (course / "code_analyze" / "summary.txt").unlink()
    assert not list(course.rglob("__pycache__"))


def test_the_same_input_gives_the_same_bytes(tmp_path: Path):
    course = handout(tmp_path / "course")
    corpus.CASES["python_in_a_left_out_folder"](course / "codes")
    corpus.CASES["own_pair_inside_a_block"](course / "codes")
    summaries = set()
    environments = [{"PYTHONHASHSEED": "1"}, {"LC_ALL": "C"}, {"PYTHONHASHSEED": "2", "PYTHONUTF8": "0"}]
    for number, environment in enumerate(environments):
        output = tmp_path / f"{number}.txt"
        command = [sys.executable, "-B", str(course / "code_analyze/analyze.py"), "--output_file", str(output)]
        result = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, timeout=60)
        assert result.returncode == 1
        summaries.add(output.read_bytes())
    assert len(summaries) == 1


def test_a_summary_inside_the_checked_folder_is_not_part_of_it(analyze, tmp_path: Path):
    codes = corpus.build("filled", tmp_path / "codes")
    arguments = ["--target_dir", str(codes), "--origin_dir", str(corpus.SCAFFOLD)]
    for _ in range(2):
        main([*arguments, "--output_file", str(codes / "summary.txt")])
    assert (codes / "summary.txt").read_bytes() == (corpus.SUMMARIES / "filled.txt").read_bytes()


def test_an_earlier_summary_survives_a_run_that_fails(tmp_path: Path, monkeypatch, capsys):
    output = tmp_path / "summary.txt"
    output.write_text("earlier")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    assert main(["--output_file", str(output)]) == 2
    assert capsys.readouterr().err == f"analyze.py: could not write {output}: No space left on device\n"
    assert output.read_text() == "earlier" and list(tmp_path.iterdir()) == [output]


def test_a_folder_that_can_t_be_listed_is_named(analyze, tmp_path: Path):
    codes = corpus.build("untouched", tmp_path / "codes")
    closed = codes / "VAE" / "closed"
    closed.mkdir(mode=0)
    try:
        if os.access(closed, os.R_OK):
            pytest.skip("this user may list any folder")
        assert "VAE/closed: a folder that can't be listed" in analyze(codes)[1]
    finally:
        closed.chmod(0o700)


def test_a_folder_deeper_than_the_stack_is_no_traceback(analyze, tmp_path: Path):
    codes = corpus.build("untouched", tmp_path / "codes")
    here, depth = os.getcwd(), 0
    os.chdir(codes)
    try:
        while depth < 1500:  # a step at a time, and back: pytest could not remove so deep a folder
            os.mkdir("d")
            os.chdir("d")
            depth += 1
        status, summary = analyze(codes)
    finally:
        for _ in range(depth):
            os.chdir("..")
            os.rmdir("d")
        os.chdir(here)
    assert status == 0 and "# Left Out" in summary


def test_an_unreadable_file_in_a_sealed_folder_is_counted(analyze, tmp_path: Path, monkeypatch):
    codes = corpus.build("notebook_copies_and_an_environment", tmp_path / "codes")
    read_bytes = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "b.py":
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert "# venv/: 2 Python files, SHA-256 " in analyze(codes)[1]


def test_a_pipe_is_named_and_not_waited_for(analyze, tmp_path: Path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes here")
    codes = corpus.build("untouched", tmp_path / "codes")
    os.mkfifo(codes / "VAE" / "pipe.py")
    status, summary = analyze(codes)
    assert status == 1 and "../codes/VAE/pipe.py: neither a file nor a folder, not read" in summary


def test_a_share_just_below_is_not_rounded_up():
    blocks = [FilledBlock("VAE/model.py", 1, 1, counted=10_000, own=6_999, is_filled=True)]
    comparison = Comparison([], [], {}, [], blocks=blocks)
    assert comparison.is_own_enough is False
    assert "6999 of 10000 lines in blocks are the student's own (69.9 %)" in to_text(comparison)


@pytest.mark.parametrize(
    ("comment", "reference"),
    [
        ("# Reference: https://github.com/a/b", "https://github.com/a/b"),
        ("#reference:http://example.org/?q=1", "http://example.org/?q=1"),
        ("# Reference:  Name: Li Lei   Student ID: 2026-01", "Name: Li Lei Student ID: 2026-01"),
        ("# Reference: Name：李雷，Student ID：2026010001", "Name：李雷，Student ID：2026010001"),
        ("# Reference: https://github.com/a/b and more", None),
        ("# Reference: Name: Student ID: 1", None),
        ("# Reference: Name: Li Lei Student ID:", None),
        ("# Reference:", None),
        ("# References: https://github.com/a/b", None),
    ],
)
def test_form_of_a_reference(comment: str, reference: str | None):
    assert valid_reference(Comment(1, comment, True)) == reference
    assert valid_reference(Comment(1, comment, False)) is None
    assert names_source(Comment(1, comment, True))


@pytest.mark.parametrize("comment", ["# the reference model", "# refine the estimate", "# Eq. 10", "# students learn"])
def test_not_every_comment_is_a_reference(comment: str):
    assert not names_source(Comment(1, comment, True))
    assert find_references(comment) == []


WIDE = {"utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "utf-32": "UTF-32", "utf-32-be": "UTF-32"}


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_file_in_wide_characters_is_one_problem_that_names_the_encoding(encoding, line_end):
    text = build_scaffold(REFERENCE)["VAE/model.py"].decode()
    filled = text.replace("raise NotImplementedError(", "z = str(", 1).replace("\n", line_end)
    decoded, is_readable = decode_python(filled.encode(encoding))
    assert (decoded, is_readable) == (filled, False)
    with tempfile.TemporaryDirectory() as folder:
        for kind, content in (("old", text.encode()), ("new", filled.encode(encoding))):
            (Path(folder) / kind / "VAE").mkdir(parents=True)
            (Path(folder) / kind / "VAE" / "model.py").write_bytes(content)
        result = compare(*(read_tree(Path(folder) / kind) for kind in ("old", "new")))
    said = f"in {WIDE[encoding]}, which Python can't read: save it as UTF-8"
    assert [(problem.file, problem.what) for problem in result.problems] == [("VAE/model.py", said)]
    assert any(block.is_filled for block in result.blocks)


@pytest.mark.parametrize("data", [b"\0" * 10_000, b"\0\0", b"x = 1\n\0", b"\xff\xfe\x00\xd8", b"a\0b\0\0\0"])
def test_null_bytes_alone_are_no_encoding(data):
    assert wide_encoding(data) == ""
