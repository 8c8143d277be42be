"""The similarity report of whole classes: what is found, what is not, and what befalls odd hand-ins."""

import csv
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from autograder.__main__ import main
from autograder.similarity.command import report
from autograder.similarity.fingerprints import fingerprints
from autograder.similarity.model import DECLARED, DECLARED_BOTH, IMAGES, REPORT_TEXT, SAME_PERSON, THIS_YEAR
from autograder.similarity.ranking import compare
from autograder.similarity.reading import read_scaffold, read_works
from coursekit.errors import CourseError

ROOT = Path(__file__).resolve().parents[2]

SCAFFOLD = '''"""The given code."""
import torch
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self, latent_dim):
        super().__init__()
        # Block 1: the layers
        # TODO START
        pass
        # TODO END

    def forward(self, x):
        """One pass."""
        z = None
        # Block 2: one call
        # TODO START
        pass
        # TODO END
        return z


def loss_of(z, x, beta):
    loss = None
    # TODO START (the loss)
    pass
    # TODO END
    return loss


def epoch(model, loader, optimizer):
    mean = None
    # TODO START: one epoch
    pass
    # TODO END
    return mean
'''


def solution(random_):
    """One student's four blocks, of many ways to write them."""
    pick = random_.choice
    a, b, h, n, t, s, o = (
        pick(names.split())
        for names in (
            "fc lin dense layer",
            "out head last top",
            "h y act feat",
            "n count num k",
            "total acc s_ summed",
            "loss_ l err cost",
            "batch item imgs data",
        )
    )
    size = pick((64, 100, 128, 200, 256, 300, 512))
    act = pick(
        [
            "F.relu({})",
            "torch.relu({})",
            "torch.tanh({})",
            "F.leaky_relu({}, 0.2)",
            "F.elu({})",
            "F.gelu({})",
        ]
    )
    flat = pick(
        [
            "x.flatten(1)",
            "x.view(x.size(0), -1)",
            "x",
            "x * 2 - 1",
            "x - x.mean()",
            "torch.flatten(x, 1) / 255",
        ]
    )
    loss = pick(
        (
            "loss = F.mse_loss(z, x) * beta",
            "d = z - x\nloss = beta * (d ** 2).mean()",
            "loss = (z - x).abs().sum() / len(x) + beta",
            "loss = F.binary_cross_entropy_with_logits(z, x, reduction='sum') / x.size(0)\nloss = loss * beta",
            "p = torch.sigmoid(z)\nloss = -(x * torch.log(p + 1e-6) + (1 - x) * torch.log(1 - p)).mean() + beta",
            "loss = F.smooth_l1_loss(z, x, reduction='none').sum(1).mean() * beta",
        )
    )
    loop = pick(
        (
            "{t} = 0\nfor {o}, _ in loader:\n    optimizer.zero_grad()\n    {s} = loss_of(model({o}), {o}, 1.0)\n"
            "    {s}.backward()\n    optimizer.step()\n    {t} += {s}.item()\nmean = {t} / len(loader)",
            "{t} = []\nfor {n}, ({o}, _) in enumerate(loader):\n    {s} = loss_of(model({o}), {o}, 0.5)\n"
            "    optimizer.zero_grad()\n    {s}.backward()\n    optimizer.step()\n    {t}.append({s}.item())\n"
            "mean = sum({t}) / len({t})",
            "{t}, {n} = 0.0, 0\nfor {o} in loader:\n    {s} = loss_of(model({o}[0]), {o}[0], beta=2)\n"
            "    {s}.backward()\n"
            "    optimizer.step()\n    optimizer.zero_grad()\n    {t} += {s}.item() * len({o}[0])\n"
            "    {n} += len({o}[0])\n"
            "mean = {t} / {n}",
        )
    ).format(t=t, s=s, o=o, n=n)
    first = [f"self.{a} = nn.Linear(784, {size})", f"self.{b} = nn.Linear({size}, latent_dim)"]
    if random_.random() < 0.5:
        first.insert(1, f"self.drop = nn.Dropout({pick((0.1, 0.2, 0.25, 0.5))})")
    inner = act.format(f"self.{a}({h})")
    return ["\n".join(first), f"{h} = {flat}\n{h} = {inner}\nz = self.{b}({h})", loss, loop]


def filled(blocks, scaffold=SCAFFOLD):
    parts, rest = [], scaffold
    for block in blocks:
        head, _, tail = rest.partition("pass\n")
        indent = head[head.rindex("\n") + 1 :]
        parts.append(head + f"\n{indent}".join(block.split("\n")) + "\n")
        rest = tail
    return "".join(parts) + rest


def write_class(folder, students):
    """students: name -> text of net.py, or a mapping of files."""
    (folder / "scaffold").mkdir(parents=True, exist_ok=True)
    (folder / "scaffold" / "net.py").write_text(SCAFFOLD)
    for name, content in students.items():
        files = content if isinstance(content, dict) else {"net.py": content}
        for path, data in files.items():
            target = folder / "subs" / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder


def honest(count, seed=0):
    random_ = random.Random(seed)
    return {f"s{number:03}": filled(solution(random_)) for number in range(count)}


def compared(folder, archived=()):
    scaffold = read_scaffold(folder / "scaffold")
    works = read_works(folder / "subs", scaffold)
    return compare(fingerprints(works, scaffold), archived, {work.key: work for work in works})


def people(pair):
    return {pair.a.person, pair.b.person}


COPIED = [
    "self.alpha = nn.Linear(in_features=784, out_features=333)\nself.beta_ = nn.Linear(333, latent_dim)",
    "q = torch.flatten(x, 1)\nq = self.alpha(q).clamp(min=0)\nz = self.beta_(q) / 3",
    "gap = z - x\nloss = beta * torch.sum(gap * gap) / x.size(0) + 1e-7",
    "w = 0\nfor pair in loader:\n    i, _ = pair\n    optimizer.zero_grad()\n    e = loss_of(model(i), i, 0.125)\n"
    "    e.backward()\n    optimizer.step()\n    w = w + e.item()\nmean = w / len(loader)",
]
ORIGINAL = [
    "self.first = nn.Linear(784, 333)\nself.second = nn.Linear(333, latent_dim)",
    "h = F.relu(self.first(x.view(x.shape[0], -1)))\n# down to the code\nz = self.second(h) / 3",
    "loss = ((z - x) ** 2).sum() / len(x) * beta + 1e-7",
    "total = 0.\nfor x, _ in loader:\n    optimizer.zero_grad()\n    step_loss = loss_of(model(x), x, 0.125)\n"
    "    step_loss.backward()\n    optimizer.step()\n    total += step_loss.item()\nmean = total / len(loader)",
]


def test_a_disguised_copy_is_first_and_everything_of_it_is_explained(tmp_path):
    folder = write_class(tmp_path, {**honest(30), "orig": filled(ORIGINAL), "copy": filled(COPIED)})
    found = compared(folder)
    assert people(found.pairs[0]) == {"orig", "copy"}
    assert found.pairs[0].expected < found.pairs[1].expected
    assert all(match.lines_a[0] >= 11 for match in found.pairs[0].matches)


def test_lines_of_matches_are_those_of_the_files(tmp_path):
    folder = write_class(tmp_path, {**honest(12), "one": filled(ORIGINAL), "two": filled(ORIGINAL)})
    pair = compared(folder).pairs[0]
    text = (folder / "subs" / "one" / "net.py").read_text().split("\n")
    whys = [m for m in pair.matches if m.view == "text" and m.lines_a == m.lines_b]
    assert any("down to the code" in text[m.lines_a[0] - 1] for m in whys)
    assert all("TODO" not in text[m.lines_a[0] - 1] for m in whys)


def test_a_class_of_honest_works_gives_no_alarm(tmp_path):
    alarms = [len(compared(write_class(tmp_path / str(seed), honest(25, seed))).listed) for seed in range(4)]
    assert sum(alarms) == 0


def test_any_order_process_and_machine_gives_the_same_bytes(tmp_path):
    students = {**honest(14), "orig": filled(ORIGINAL), "copy": filled(COPIED)}
    folder = write_class(tmp_path / "a", students)
    scaffold = read_scaffold(folder / "scaffold")
    prints = fingerprints(read_works(folder / "subs", scaffold), scaffold)
    shuffled = random.Random(1).sample(prints, len(prints))
    assert compare(prints) == compare(shuffled)
    outputs = []
    # The second machine has none of the newer instructions, whose logarithms end in other bits.
    older = {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX2 FMA3", "OPENBLAS_CORETYPE": "Nehalem"}
    for seed, machine in (("1", {}), ("2", older)):
        out = tmp_path / f"out{seed}"
        command = [sys.executable, "-m", "autograder", "similarity", str(folder / "subs")]
        command += ["--scaffold", str(folder / "scaffold"), "--out", str(out)]
        environment = {**os.environ, "PYTHONHASHSEED": seed, **machine}
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        outputs.append({p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()})
    assert outputs[0] == outputs[1]
    assert {"index.html", "pairs.csv", "pairs.json"} <= set(outputs[0])
    rows = list(csv.reader((tmp_path / "out1" / "pairs.csv").read_text().splitlines()))
    assert rows[0][:3] == ["a", "b", "similarity"] and {rows[1][0], rows[1][1]} == {"orig", "copy"}


def test_partners_who_declare_each_other_are_listed_apart(tmp_path):
    def naming(blocks, partner):
        return filled([f"# Reference: Name: Ada Student ID: {partner}\n{blocks[0]}", *blocks[1:]])

    students = {**honest(15), "p1": naming(ORIGINAL, "p2"), "p2": naming(COPIED, "p1"), "q": naming(ORIGINAL, "p1")}
    found = compared(write_class(tmp_path, students))
    assert [people(pair) for pair in found.declared] == [{"p1", "p2"}]
    assert DECLARED_BOTH in found.declared[0].marks
    assert not any(people(pair) == {"p1", "p2"} for pair in found.pairs)
    one_way = next(pair for pair in found.pairs if people(pair) == {"p1", "q"})
    assert one_way.marks == (DECLARED,)


def test_one_person_in_two_years_is_one_person(tmp_path):
    folder = write_class(tmp_path / "new", {**honest(15), "again": filled(ORIGINAL), "fresh": filled(COPIED)})
    old = write_class(tmp_path / "old", {**honest(15, 9), "again": filled(ORIGINAL)})
    scaffold = read_scaffold(old / "scaffold")
    archived = fingerprints(read_works(old / "subs", scaffold, "2024"), scaffold)
    found = compared(folder, archived)
    repeated = next(p for p in found.pairs if people(p) == {"again"})
    assert repeated.marks == (SAME_PERSON,) and not repeated.is_listed
    assert all(pair.a.year == THIS_YEAR for pair in found.pairs)
    assert any(pair.b.label == "2024/again" and pair.a.person == "fresh" for pair in found.pairs)
    assert not any(a.year and b.year for a, b, *_ in found.table)


def test_of_two_hand_ins_of_one_person_the_newest_counts(tmp_path):
    folder = write_class(tmp_path, honest(3))
    for name, blocks, year in (("2021012345.zip", ORIGINAL, 2024), ("2021012345_v2.zip", COPIED, 2025)):
        with zipfile.ZipFile(folder / "subs" / name, "w") as zipped:
            zipped.writestr(zipfile.ZipInfo("work/net.py", (year, 1, 1, 0, 0, 0)), filled(blocks))
    works = read_works(folder / "subs", read_scaffold(folder / "scaffold"))
    mine = [work for work in works if work.key.person == "2021012345"]
    assert len(mine) == 1 and "gap" in mine[0].blocks["net.py", 3].text
    assert any("older" in remark for remark in mine[0].remarks)


def test_scaffold_only_submissions_have_nothing_in_common(tmp_path):
    found = compared(write_class(tmp_path, {**honest(8), "empty1": SCAFFOLD, "empty2": SCAFFOLD}))
    assert not any(people(pair) == {"empty1", "empty2"} for pair in found.listed)
    assert not any({a.person, b.person} == {"empty1", "empty2"} for a, b, *_ in found.table)
    assert all(own.share == 1 for own in found.own if own.key.person.startswith("empty"))


def test_blocks_are_found_whatever_was_done_around_them(tmp_path):
    text = filled(ORIGINAL)
    lost = text.replace("        # TODO START\n        h = F", "        h = F", 1)
    moved = "import os\n\n" + text.replace("def loss_of", "def mine():\n    return 1\n\n\ndef loss_of")
    students = {
        "lost": lost,
        "moved": moved,
        "windows": text.replace("\n", "\r\n"),
        "renamed": {"final version.py": text},
        "deep": {"a/b/c/net.py": text},
        "latin": b"# -*- coding: latin-1 -*-\n" + text.replace("down to", "d\u00e9j\u00e0").encode("latin-1"),
        "unmarked": "\n".join(line for line in text.split("\n") if "TODO" not in line),
    }
    folder = write_class(tmp_path, students)
    works = {w.key.person: w for w in read_works(folder / "subs", read_scaffold(folder / "scaffold"))}
    for name, work in works.items():
        assert len(work.blocks) == 4, name
        assert "333" in work.blocks["net.py", 1].text, name
        assert "loss = ((z" in work.blocks["net.py", 3].text, name
    assert works["moved"].outside[0].added == ("import os",)
    assert any("block 2" in remark for remark in works["lost"].remarks)
    assert works["windows"].outside == ()
    assert [block.title for block in works["deep"].blocks.values()] == [
        "the layers",
        "one call",
        "the loss",
        "one epoch",
    ]


def test_a_helper_moved_out_of_the_blocks_is_followed(tmp_path):
    inside = filled(ORIGINAL)
    helper = "def helper(a, b):\n    return ((a - b) ** 2).sum() / len(b)\n\n\ndef loss_of"
    outside = filled([*ORIGINAL[:2], "loss = helper(z, x) * beta + 1e-7", ORIGINAL[3]]).replace("def loss_of", helper)
    found = compared(write_class(tmp_path, {**honest(15), "in": inside, "out": outside}))
    block = next(b for b in found.pairs[0].blocks if b.block.number == 3)
    assert people(found.pairs[0]) == {"in", "out"} and block.views["flow"] == 1


def test_damaged_hand_ins_are_lines_and_stop_nothing(tmp_path):
    folder = write_class(
        tmp_path, {**honest(6), "broken": "def f(:\n# TODO START\n\0\xff", "bytes": {"net.py": b"\xff\xfe\0"}}
    )
    (folder / "subs" / "bad.zip").write_bytes(b"PK\x03\x04 nothing more")
    (folder / "subs" / "notes.txt").write_text("no hand-in")
    (folder / "subs" / "linked").mkdir()
    (folder / "subs" / "linked" / "net.py").symlink_to("/etc/passwd")
    (folder / "subs" / "void").mkdir()
    found = report(folder / "subs", folder / "scaffold", None, tmp_path / "out")
    for name in ("broken", "bytes", "bad", "notes.txt", "linked", "void"):
        assert any(remark.startswith(name) for remark in found.remarks), name
    assert len(found.works) >= 6


def test_traces_beyond_code_have_their_own_columns(tmp_path):
    students = {name: {"net.py": text} for name, text in honest(8).items()}
    sentence = "The reconstructions are blurry because the pixels are taken as independent given the code."
    for name in ("s001", "s005"):
        students[name] |= {"Report.md": f"# Report of {name}\n{sentence}\n", "fig/loss.png": b"\x89PNG same picture"}
    found = compared(write_class(tmp_path, students))
    pair = next(pair for pair in found.pairs if pair.traces)
    assert people(pair) == {"s001", "s005"}
    assert {trace.kind for trace in pair.traces} == {REPORT_TEXT, IMAGES}
    assert any("blurry" in shown for trace in pair.traces for shown in trace.shown)


@pytest.mark.parametrize(
    ("students", "says"),
    [
        ({}, "no hand-in"),
        ({"only": filled(ORIGINAL)}, "one submission"),
        ({"a": {"other.txt": "x"}, "b": {"other.txt": "y"}}, "none of the 2"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, capsys, students, says):
    folder = write_class(tmp_path, students)
    (folder / "subs").mkdir(exist_ok=True)
    arguments = [
        "similarity",
        str(folder / "subs"),
        "--scaffold",
        str(folder / "scaffold"),
        "--out",
        str(tmp_path / "o"),
    ]
    with pytest.raises(SystemExit):
        main(arguments)
    line = capsys.readouterr().err
    assert says in line and line.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_a_scaffold_without_blocks_is_one_clear_line(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "a.py").write_text("x = 1\n")
    with pytest.raises(CourseError, match="TODO START"):
        read_scaffold(tmp_path / "s")
    with pytest.raises(CourseError, match="no folder"):
        read_scaffold(tmp_path / "nowhere")


def test_two_identical_ids_are_one_clear_line(tmp_path):
    folder = write_class(tmp_path, honest(2))
    scaffold = read_scaffold(folder / "scaffold")
    prints = fingerprints(read_works(folder / "subs", scaffold), scaffold)
    with pytest.raises(CourseError, match="two submissions have this id"):
        compare([prints[0], *prints])


def generator():
    """The generator of synthetic classes, which is no part of the repository."""
    folder = Path(os.environ.get("SIMILARITY_GENERATOR", ROOT.parent / "shared" / "similarity"))
    if not (folder / "classgen.py").exists():
        pytest.skip("no generator here: set SIMILARITY_GENERATOR to the folder that holds classgen.py")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 3])
def test_a_synthetic_class_is_ranked_as_it_should_be(tmp_path, seed):
    folder = generator()
    make = [sys.executable, str(folder / "classgen.py"), str(tmp_path / "c"), "--seed", str(seed)]
    subprocess.run([*make, "--honest", "30", "--plag", "10"], check=True)
    found = compared(tmp_path / "c")
    truth = {
        frozenset((row["a"], row["b"])): row["level"]
        for row in csv.DictReader((tmp_path / "c" / "truth.csv").read_text().splitlines())
    }
    first = [truth.get(frozenset(people(pair))) for pair in found.pairs[:12]]
    assert {f"L{level}" for level in range(9)} <= set(first)
    assert sum(level is None for level in first[:9]) <= 1
