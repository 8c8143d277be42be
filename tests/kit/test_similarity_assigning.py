"""Which of a student's files is taken for which of the scaffold's, in whatever layout it is handed in."""

from pathlib import Path

import pytest
from made_up_students import CODES, FILES, LOSSES, PASSES, SAMPLE, Student, honest, write
from made_up_students import files as made

from autograder.similarity.fingerprints import fingerprints
from autograder.similarity.ranking import compare
from autograder.similarity.reading import read_scaffold, read_works

SOLUTION = Path(__file__).parents[2] / "reference_solution"
TEXTS = {name: (SOLUTION / name).read_text() for name in FILES}


def assigned(tmp_path, files):
    """Which of the scaffold's blocks are found, by file, with the first line of each file's first block."""
    for name, text in files.items():
        path = tmp_path / "subs" / "2021012345" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (work,) = read_works(tmp_path / "subs", read_scaffold(CODES))
    found = {}
    for key, block in work.blocks.items():
        if key.file in FILES:
            found.setdefault(key.file, "".join(TEXTS[key.file].split()).count("".join(block.text.split())))
    return found, work


ALL = dict.fromkeys(FILES, 1)
VAE_ONLY = {name: 1 for name in FILES if name.startswith("VAE")}
GAN_ONLY = {name: 1 for name in FILES if name.startswith("GAN")}


def under(folder, project, files=("model.py", "trainer.py")):
    return {f"{folder}{file}": TEXTS[f"{project}/{file}"] for file in files}


@pytest.mark.parametrize(
    "files,expected",
    [
        (under("codes/VAE/", "VAE"), VAE_ONLY),
        (under("codes/GAN/", "GAN"), GAN_ONLY),
        (under("codes/VAE/", "VAE") | under("codes/GAN/", "GAN"), ALL),
        (under("codes/vae/", "VAE"), VAE_ONLY),
        (under("codes/VAE_final/", "VAE"), VAE_ONLY),
        (under("VAE (1)/", "VAE"), VAE_ONLY),
        (under("homework4/vae-model/", "VAE") | under("homework4/gan2/", "GAN"), ALL),
        (under("", "VAE"), VAE_ONLY),
        (under("", "GAN"), GAN_ONLY),
        (under("VAE and GAN/", "GAN"), GAN_ONLY),
        (under("first/", "VAE") | under("second/", "GAN"), ALL),
        (under("first/", "GAN") | under("second/", "VAE"), ALL),
        (under("one/", "VAE") | under("two/", "VAE"), VAE_ONLY),
        (
            {"vae_model.py": TEXTS["VAE/model.py"], "gan_model.py": TEXTS["GAN/model.py"]},
            {"GAN/model.py": 1, "VAE/model.py": 1},
        ),
        ({"codes/VAE/model_v2.py": TEXTS["VAE/model.py"]}, {"VAE/model.py": 1}),
        ({"codes/VAE/net.py": TEXTS["VAE/model.py"], "codes/VAE/trainer.py": TEXTS["VAE/trainer.py"]}, VAE_ONLY),
        (under("a/b/c/d/VAE/", "VAE"), VAE_ONLY),
        ({"codes/VAE/model.py": TEXTS["VAE/model.py"]}, {"VAE/model.py": 1}),
        ({"codes/VAE/trainer.py": TEXTS["VAE/trainer.py"]}, {"VAE/trainer.py": 1}),
    ],
)
def test_every_layout_gives_each_file_its_own_project(tmp_path, files, expected):
    found, _ = assigned(tmp_path, files)
    assert found == expected


def test_of_two_copies_the_one_that_is_graded_is_compared(tmp_path):
    decoy = {name: text.replace("return", "return  # mine") for name, text in under("a/VAE/", "VAE").items()}
    found, _ = assigned(tmp_path, decoy | under("codes/VAE/", "VAE") | under("codes/VAE_old/", "VAE"))
    assert found == VAE_ONLY


def compared(folder):
    scaffold = read_scaffold(CODES)
    works = read_works(folder, scaffold)
    return compare(fingerprints(works, scaffold), (), {work.key: work for work in works})


@pytest.mark.parametrize("leaves_out", [{"source"}, {"copy"}, {"source", "copy"}])
@pytest.mark.parametrize("others", [("VAE",), ("VAE", "GAN")])
def test_a_copy_of_the_vae_is_listed_whoever_leaves_the_gan_out(tmp_path, leaves_out, others):
    students = dict(honest(12, 1, others))
    for name, seed in (("source", 4242), ("copy", 2424)):
        blocks = Student(seed).blocks() | {file: copied(4242)[file] for file in FILES if file.startswith("VAE")}
        students[name] = made(blocks, ("VAE",) if name in leaves_out else ("VAE", "GAN"))
    found = compared(write(tmp_path / "subs", students))
    assert [{pair.a.person, pair.b.person} for pair in found.listed] == [{"source", "copy"}]


def copied(seed):
    """Blocks of somebody who does as nobody else does."""
    own = Student(seed).blocks()
    layers, _, _, images = own["VAE/model.py"]
    return own | {"VAE/model.py": [layers, SAMPLE, PASSES, images], "VAE/trainer.py": [LOSSES]}
