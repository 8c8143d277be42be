"""Code outside the blocks, in files of a student's own or in given ones, is compared and listed as the blocks are."""

import pytest
from made_up_students import CODES, Student, files, honest, write

from autograder.similarity.fingerprints import fingerprints
from autograder.similarity.model import ELSEWHERE
from autograder.similarity.ranking import compare
from autograder.similarity.reading import read_scaffold, read_works
from autograder.similarity.report import write_report

HELPER = '''"""Helpers."""
import torch


def drawz(mean, spread):
    """Draws what the decoder is given."""
    scatter = torch.normal(torch.zeros_like(mean), torch.ones_like(spread))
    widened = spread.clamp(-12, 12).exp() * scatter
    return mean + widened


def split_in_two(packed, where):
    first = packed.narrow(1, 0, where)
    second = packed.narrow(1, where, packed.shape[1] - where)
    return first, second
'''
CALL = "        from {module} import drawz\n        z = drawz(mu, log_sigma)\n"


def a_class(count, **more):
    return {**honest(count, 3, ("VAE",)), **more}


def hand_in(seed, own=None, module=None, inside=None):
    """Somebody's hand-in, whose second block is in a file of the student's own."""
    blocks = Student(seed).blocks()
    if module:
        blocks["VAE/model.py"][1] = CALL.format(module=module)
    made = files(blocks, ("VAE",))
    if inside:
        made["VAE/model.py"] = made["VAE/model.py"].replace("\n\nclass VAE(", f"\n\n{inside}\n\nclass VAE(")
        assert inside in made["VAE/model.py"]
    return made | (own or {})


def compared(folder, students):
    scaffold = read_scaffold(CODES)
    works = read_works(write(folder, students), scaffold)
    return compare(fingerprints(works, scaffold), (), {work.key: work for work in works}), works


def listed(found):
    return [{pair.a.person, pair.b.person} for pair in found.listed]


BODY = HELPER.partition("import torch\n\n\n")[2]
FIRST, SECOND = BODY[: BODY.index("def split")], BODY[BODY.index("def split") :]
COMMENTED = "# mine\n" + HELPER.replace("    return", "\n    # back\n    return")
A_FILE = {"own": {"VAE/layers_a.py": HELPER}, "module": "layers_a"}


@pytest.mark.parametrize(
    "one,other",
    [
        (A_FILE, dict(own={"VAE/parts_b.py": HELPER}, module="parts_b")),
        (A_FILE, dict(inside=BODY)),
        (dict(inside=BODY), dict(inside=BODY)),
        (dict(own={"VAE/tools/deep.py": HELPER}), dict(own={"helper.py": HELPER})),
        (A_FILE, dict(own={"VAE/a.py": FIRST, "VAE/z.py": SECOND})),
        (A_FILE, dict(own={"VAE/b.py": COMMENTED, "VAE/plot.py": "x = 12\n"})),
    ],
)
def test_a_helper_that_two_share_is_listed_whatever_its_file_is_called(tmp_path, one, other):
    found, _ = compared(tmp_path / "subs", a_class(22, one=hand_in(71, **one), other=hand_in(72, **other)))
    assert listed(found) == [{"one", "other"}]
    pair = found.listed[0]
    assert any(match.block == ELSEWHERE for match in pair.matches)
    assert next(score for score in pair.blocks if score.block == ELSEWHERE).score > 0


def test_what_was_moved_into_a_file_of_ones_own_is_followed(tmp_path):
    inside = Student(71).blocks()
    inside["VAE/model.py"][1] = "        z = (log_sigma.exp() * torch.randn_like(mu)).add(mu) / 3\n"
    outside = dict(inside) | {"VAE/model.py": list(inside["VAE/model.py"])}
    outside["VAE/model.py"][1] = "        import tools\n        z = tools.drawz(mu, log_sigma)\n"
    own = {
        "VAE/tools.py": "import torch\n\n\ndef drawz(m, s):\n    return (s.exp() * torch.randn_like(m)).add(m) / 3\n"
    }
    students = a_class(12, one=files(inside, ("VAE",)), other=files(outside, ("VAE",)) | own)
    found, _ = compared(tmp_path / "subs", students)
    (pair,) = (p for p in found.pairs if {p.a.person, p.b.person} == {"one", "other"})
    assert next(block for block in pair.blocks if block.block == ("VAE/model.py", 2)).views["flow"] == 1


def test_what_was_handed_out_or_formatted_anew_is_nobodys_own(tmp_path):
    names = {f"../coursekit/{name}.py": name for name in ("first", "second")}
    kit = {path: f"def {name}(x):\n    return {name}_of(x) * 3\n" * 9 for path, name in names.items()}
    line = 'self.run.log_images(step, "samples", self.model(z=z), VALUE_RANGE)'
    broken = (
        line.replace("(step", "(\n                step")
        .replace(", ", ",\n                ")
        .replace("RANGE)", "RANGE,\n)")
    )
    changed = (CODES / "VAE" / "trainer.py").read_text()
    assert changed.count(line) == 1
    changed = changed.replace(line, broken)
    more = {**kit, "VAE/main.py": (CODES / "VAE" / "main.py").read_text()}
    students = a_class(20)
    for name, seed in (("one", 81), ("other", 82)):
        made = hand_in(seed) | more
        blocks = made["VAE/trainer.py"]
        block = blocks[blocks.index("        # TODO START") : blocks.index("        # TODO END")]
        start, end = changed.index("        # TODO START"), changed.index("        # TODO END")
        students[name] = made | {"VAE/trainer.py": changed[:start] + block + changed[end:]}
    found, works = compared(tmp_path / "subs", students)
    assert {"one", "other"} not in listed(found)
    assert all(not work.own for work in works)
    assert any(work.outside for work in works)


def test_own_files_stand_in_the_report(tmp_path):
    students = a_class(6, one=hand_in(71, own={"VAE/layers_a.py": HELPER, "VAE/<b>.py": "secret_number = 12\n"}))
    found, works = compared(tmp_path / "subs", students)
    write_report(found, {work.key: work for work in works}, tmp_path / "out")
    index = (tmp_path / "out" / "index.html").read_text()
    assert "Files of their own" in index and "codes/VAE/layers_a.py" in index
    assert "codes/VAE/&lt;b&gt;.py" in index and "<b>.py" not in index


def test_more_than_is_compared_is_listed_with_a_remark(tmp_path):
    large = "".join(f"value_{n} = {n} * {n} + {n}\n" for n in range(9_000))
    (work,) = read_works(write(tmp_path, {"one": hand_in(71, own={"VAE/big.py": large})}), read_scaffold(CODES))
    assert list(work.own) == ["codes/VAE/big.py"]
    assert any("big.py" in remark and "not compared" in remark for remark in work.remarks)


def test_honest_helpers_list_nobody(tmp_path):
    students = honest(20, 5, ("VAE",))
    for n, name in enumerate(sorted(students)[:8]):
        own = f"def show_{n}(images):\n    rows = images[: {n + 2} * {n + 3}]\n    print(rows.shape, {n})\n"
        students[name] = students[name] | {"VAE/plots.py": own}
    found, _ = compared(tmp_path / "subs", students)
    assert not any({p.a.person, p.b.person} <= set(sorted(students)[:8]) for p in found.listed)
