"""What is trained for its FID: not what the checks rule out, nor what agrees in every number; everything else is."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import MappingProxyType, SimpleNamespace

import pytest
from changed_solutions import REFERENCE, REPOSITORY, VAE_MODEL, swap
from hand_ins import solution

from autograder import fid_points, grading, training
from autograder.course import COURSE_FILE, read_course
from autograder.fid_points import Score
from autograder.grading import Options, what_blocks_fid
from autograder.judge import Verdict
from autograder.scaffold import build_scaffold
from autograder.store import Store
from autograder.training import Trained

GIVEN = build_scaffold(REFERENCE)
OWN = read_course(REPOSITORY / COURSE_FILE)
RIGHT = solution(projects=["VAE"])
HELPER = solution({VAE_MODEL: [swap("class VAE(", "def width():\n    return 16\n\n\nclass VAE(")]}, ["VAE"])
OTHER_LOOP = solution(
    {"VAE/trainer.py": [swap("loss = recon_loss + kl_loss", "loss = recon_loss + 2 * kl_loss")]}, ["VAE"]
)


def verdict(name="vae.kl_sum", passed=True, blocks=False, message=""):
    return Verdict(name, f"The title of {name}", passed, blocks, message)


MISSING = verdict("vae.dec_3", False, True, "Row Dec-3 asks for a transposed convolution; there is none of its size")
UNSEEN = verdict("vae.training_step", None, True, "waits for vae.enc_1")
WRONG_KERNEL = verdict("vae.enc_1", False, False, "Row Enc-1 asks for kernel 3; yours has kernel 5")
NOT_LOOKED_AT = verdict("vae.training_step", None, False, "not looked at: the reference's weights don't fit")


def outcome(tmp_path, monkeypatch, verdicts, codes=RIGHT, when="if_different", fid=5.0, **scored):
    """The FID's check, whether the model was trained, and the row's remarks."""
    runs = []

    def train(codes, project, seed, course, unsafe):
        runs.append((project, seed))
        return Trained(seed, "", None)

    monkeypatch.setattr(training, "train", train)
    seen = {"images": 10_000, "floor": 0.24, "looked_at": 1000, "most_copied": 10, **scored}
    monkeypatch.setattr(fid_points, "score", lambda trained, *_: Score(trained.seed, fid, **seen))
    submission = SimpleNamespace(
        folder=tmp_path / "2021000001",
        student="2021000001",
        remarks=(),
        superseded=(),
        summary="same",
        analysis=SimpleNamespace(problems=lambda: (), content={"own_code": {"is_enough": True}}),
    )
    python = {name: content for name, content in codes.items() if name.endswith(".py")}
    row = grading._Row(submission, python, ("VAE",), verdicts)
    course = replace(
        OWN,
        fid=replace(OWN.fid, when=when),
        points=MappingProxyType({**OWN.points, **{one.id: 0.1 for one in verdicts}}),
    )
    with ThreadPoolExecutor(1) as executor:
        grading._train(Store(tmp_path / "grades"), [row], GIVEN, course, Options(), executor)
    grade = grading._grade(row, course)
    return next(check for check in grade.checks if check.id == "vae.fid"), bool(runs), grade.remarks


@pytest.mark.parametrize("codes", [RIGHT, HELPER])
def test_what_agrees_in_every_number_is_not_trained(tmp_path, monkeypatch, codes):
    check, trained, remarks = outcome(tmp_path, monkeypatch, [verdict(), verdict("vae.kl_average")], codes)
    assert not trained and check.points == 2 and not remarks


@pytest.mark.parametrize(
    ("verdicts", "codes"),
    [
        ([verdict(), WRONG_KERNEL], RIGHT),
        ([verdict(), NOT_LOOKED_AT], RIGHT),
        ([verdict()], OTHER_LOOP),
        ([], RIGHT),
    ],
)
def test_all_else_is(tmp_path, monkeypatch, verdicts, codes):
    check, trained, _ = outcome(tmp_path, monkeypatch, verdicts, codes)
    assert trained and check.points == 2


@pytest.mark.parametrize("when", ["if_different", "always"])
@pytest.mark.parametrize("blocking", [MISSING, UNSEEN])
def test_no_points_without_what_makes_it_a_vae(tmp_path, monkeypatch, when, blocking):
    check, trained, _ = outcome(tmp_path, monkeypatch, [verdict(), blocking], when=when)
    assert not trained
    assert (check.passed, check.points, check.max_points) == (None, 0, 2)
    assert check.message.startswith("no FID points, and nothing was trained: ")


def test_what_is_in_the_way_is_named():
    assert what_blocks_fid([verdict(), WRONG_KERNEL, NOT_LOOKED_AT]) == ""
    assert "nothing was trained: Row Dec-3 asks for a transposed convolution" in what_blocks_fid([verdict(), MISSING])
    assert what_blocks_fid([UNSEEN]).endswith("this could not be seen: The title of vae.training_step")
    assert what_blocks_fid([MISSING] * 5).endswith("(and 2 more)")


@pytest.mark.parametrize(
    ("scored", "reason"),
    [({"copied": 11}, "copies, so that there are no points"), ({"fid": 0.12}, "below the floor")],
)
def test_where_a_person_has_to_look_the_row_says_so(tmp_path, monkeypatch, scored, reason):
    check, trained, remarks = outcome(tmp_path, monkeypatch, [WRONG_KERNEL], **scored)
    assert trained and check.points == 0 and check.passed is False
    assert reason in check.message
    assert remarks == ("a TA has to look: vae.fid",)
