"""What a hand-in costs: time in proportion to its size, and at most its own row."""

import os
import re
import signal
import time
import zipfile

import pytest

from autograder import limited
from autograder.similarity import apart, fingerprints, reading
from autograder.similarity.command import report
from autograder.similarity.files import HandedIn
from autograder.similarity.model import REPORT_TEXT, Scaffold
from autograder.similarity.reading import plain_markers, read_scaffold, read_works
from autograder.similarity.traces import find_traces
from code_analyze.references import find_references, names_source, valid_reference
from code_analyze.source import Comment
from code_analyze.tree import MAX_BYTES

SCAFFOLD = "def f(x):\n    # TODO START\n    pass\n    # TODO END\n"
N = 60_000


def traces(name):
    return lambda text: find_traces(HandedIn(other={name: text.encode()}), reading.Path("/nowhere"), EMPTY, ())


def comment(function):
    return lambda text: function(Comment(1, text, True))


EMPTY = Scaffold({}, {}, "")
HOSTILE = {
    "hashes": (find_references, lambda n: "#" * n + "\nref"),
    "hashes and blanks": (find_references, lambda n: "# " * n + "student ref"),
    "refs without a colon": (find_references, lambda n: "# " + "ref " * n),
    "blanks behind ref": (find_references, lambda n: "# ref" + " " * n + "x\n# student" + " " * n),
    "a person that isn't": (comment(valid_reference), lambda n: "# Reference: name: " + "a, " * n + "student id"),
    "a link that isn't": (comment(names_source), lambda n: "#" * n + "http:" * n),
    "a named marker": (plain_markers, lambda n: "# TODO START x" + " " * n + "y"),
    "a marker's signs": (plain_markers, lambda n: "# TODO START " + "-" * n + " " * n + "y -"),
    "many markers": (plain_markers, lambda n: "# TODO START (a)\n" * (n // 8)),
    "blanks before a marker": (plain_markers, lambda n: " " * n + "# todo"),
    "a sentence without an end": (traces("report.md"), lambda n: "a b " * n),
    "short sentences": (traces("report.md"), lambda n: "a b. " * n),
    "digits": (traces("run.log"), lambda n: "1" * n + "." + "1" * n + "x"),
    "tags": (traces("report.pdf"), lambda n: "stream\n" * n + "endstream"),
}


def cpu_s(function, text):
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        function(text)
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.parametrize("function,text", HOSTILE.values(), ids=HOSTILE)
def test_time_grows_with_the_text_and_not_with_its_square(function, text):
    once, eight_times = cpu_s(function, text(N)), cpu_s(function, text(8 * N))
    assert eight_times < 30 * once + 0.05  # a square would be 64


def test_of_a_word_report_one_document_is_read(tmp_path):
    def packed(names):
        with zipfile.ZipFile(tmp_path / "r.docx", "w", zipfile.ZIP_DEFLATED) as zipped:
            for at, name in enumerate(names):
                zipped.writestr(name, f"<w:p>This is the sentence that has the number {at} and no other one</w:p>")
        return find_traces(HandedIn(other={"r.docx": (tmp_path / "r.docx").read_bytes()}), tmp_path, EMPTY, ())

    with pytest.warns(UserWarning, match="Duplicate name"):
        found = packed(["word/document.xml"] * 3)
    assert [re.findall(r"\d", text) for text in found[REPORT_TEXT].values()] == [["0"]]


def test_files_are_compared_up_to_the_size_that_is_graded(tmp_path):
    (tmp_path / "scaffold").mkdir()
    (tmp_path / "scaffold" / "a.py").write_text(SCAFFOLD)
    for name, size in (("large", MAX_BYTES - 200), ("larger", MAX_BYTES + 1)):
        (tmp_path / "subs" / name).mkdir(parents=True)
        (tmp_path / "subs" / name / "a.py").write_text(SCAFFOLD.replace("pass", "return x * 3") + "#" * size)
    large, larger = read_works(tmp_path / "subs", read_scaffold(tmp_path / "scaffold"))
    assert "x * 3" in large.blocks["a.py", 1].text
    assert not larger.blocks and any("too large" in remark for remark in larger.remarks)


def doubled(items, context):
    """What is called in another process."""
    for item in items:
        if item == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        if item == 7:
            while True:
                pass
    return [f"{2 * item}{context.decode()}" for item in items]


def test_what_ends_a_process_costs_one_item(monkeypatch):
    monkeypatch.setattr(apart, "LIMITS", limited.Limits(cpu_s=1, wall_s=60))
    said = []
    found = list(apart.each(doubled, list(range(10)), b"!", lambda item, error: said.append((item, str(error)))))
    assert found == [None if item in (5, 7) else f"{2 * item}!" for item in range(10)]
    assert [item for item, _ in said] == [5, 7]
    assert "signal 9" in said[0][1] and "1 s of computing time" in said[1][1]


def hand_ins(tmp_path):
    (tmp_path / "scaffold").mkdir()
    (tmp_path / "scaffold" / "a.py").write_text(SCAFFOLD)
    for n in range(4):
        (tmp_path / "subs" / f"s{n}").mkdir(parents=True)
        (tmp_path / "subs" / f"s{n}" / "a.py").write_text(SCAFFOLD.replace("pass", f"return x * {n} + 3"))
    return tmp_path / "subs", tmp_path / "scaffold"


def ended(person):
    """`each`, where the work of one comes to no end."""

    def instead_of_one(function, items, context, instead):
        for item, result in zip(items, apart.each(function, items, context, instead), strict=True):
            key = item.key if hasattr(item, "key") else item[1]
            yield instead(item, limited.LimitError("it took long")) if key.person == person else result

    return instead_of_one


@pytest.mark.parametrize("module", [reading, fingerprints], ids=["reading", "looking"])
def test_a_hand_in_that_comes_to_no_end_has_a_remark_and_the_rest_is_compared(tmp_path, monkeypatch, module):
    folder, scaffold = hand_ins(tmp_path)
    monkeypatch.setattr(module, "each", ended("s2"))
    found = report(folder, scaffold, None, tmp_path / "out")
    (remark,) = (remark for remark in found.remarks if "not compared" in remark)
    assert remark.startswith("s2: ")
    assert {person for a, b, *_ in found.table for person in (a.person, b.person)} <= {"s0", "s1", "s3"}
    assert remark.split(": ", 1)[1][:40] in (tmp_path / "out" / "index.html").read_text()
