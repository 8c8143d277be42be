"""The expected false alarms hold where blocks are one pattern repeated, and a ring doesn't hide behind its own size."""

import numpy as np
import pytest
from made_up_students import CODES, LOSSES, PASSES, SAMPLE, Student, files, honest, write

from autograder.similarity.alarms import CUTOFF
from autograder.similarity.compare import dependence
from autograder.similarity.fingerprints import fingerprints
from autograder.similarity.ranking import compare
from autograder.similarity.reading import read_scaffold, read_works

RING = [f"ring{n}" for n in range(6)]


def compared(folder, students):
    scaffold = read_scaffold(CODES)
    return compare(fingerprints(read_works(write(folder, students), scaffold), scaffold))


def listed(found):
    return {frozenset((pair.a.person, pair.b.person)) for pair in found.listed}


@pytest.mark.parametrize("size,projects,seeds", [(31, ("GAN",), (1, 4)), (31, ("GAN", "VAE"), (1, 4))])
def test_honest_students_who_repeat_themselves_are_not_listed(tmp_path, size, projects, seeds):
    numbers = [len(listed(compared(tmp_path / str(seed), honest(size, seed, projects)))) for seed in seeds]
    assert sum(numbers) <= 1  # without looking at what repeats itself: 7 and 4


@pytest.mark.slow
@pytest.mark.parametrize("size,projects", [(16, ("GAN",)), (31, ("GAN",)), (31, ("GAN", "VAE"))])
def test_the_cut_gives_as_many_false_alarms_as_it_says(tmp_path, size, projects):
    numbers = [len(listed(compared(tmp_path / str(seed), honest(size, seed, projects)))) for seed in range(1, 31)]
    assert np.mean(numbers) <= CUTOFF + 2 * np.sqrt(CUTOFF / len(numbers))  # chance in so many classes


def with_ring(members, kept=(0, 2), names="members"):
    """A class of 31 with a ring that shares three whole blocks, and has the rest of its own."""
    source = Student(999).blocks()["VAE/model.py"]
    shared = [source[0], SAMPLE, PASSES]
    students = honest(31 - len(members), 11)
    for n, name in enumerate(members):
        blocks = Student(700 + n).blocks()
        for block in kept:
            blocks["VAE/model.py"][block] = laid_out(shared[block], n)
        blocks["VAE/trainer.py"] = [laid_out(LOSSES, n)]
        students[name] = files(blocks)
    return students


def laid_out(block, n):
    """A block as it is, with comments, or with more room."""
    if n % 3 == 1:
        return "".join(
            line + "\n" + " " * 8 + f"# step {n}\n" * (not line.endswith((",", "("))) for line in block.splitlines()
        )
    return block.replace(" = ", "  =  ").replace("\n", "\n\n") if n % 3 == 2 else block


def test_a_ring_that_shares_whole_blocks_is_listed(tmp_path):
    found = compared(tmp_path, with_ring(RING))
    ring = {frozenset((one, other)) for one in RING for other in RING if one < other}
    assert ring <= listed(found)
    assert len(listed(found) - ring) <= 1


def test_two_who_agree_in_as_many_blocks_are_no_ring(tmp_path):
    found = compared(tmp_path, with_ring(RING[:1]))
    assert not any(pair & set(RING) for pair in listed(found))


def test_blocks_in_which_the_same_pairs_are_alike_depend_on_each_other():
    draws = np.random.default_rng(0)
    pattern, other = draws.normal(size=(2, 500))
    blocks = np.stack([pattern, pattern + 0.1 * draws.normal(size=500), other, np.full(500, np.nan)], 1)
    ties = dependence(blocks.astype(np.float32))
    assert ties[0, 1] > 0.9 and ties[0, 2] < 0.1 and ties[0, 3] == 0
    assert np.array_equal(ties, ties.T) and np.array_equal(np.diag(ties), np.ones(4))
