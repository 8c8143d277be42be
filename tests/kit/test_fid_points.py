"""FID's points: bands, borderline cases, copies of training images; and thresholds from the reference's own spread."""

import json
from dataclasses import asdict, replace
from types import MappingProxyType

import numpy as np
import pytest
import torch
from conftest import REFERENCE, REPOSITORY
from scipy import linalg

from autograder import calibrate as calibration
from autograder.calibrate import calibrate, threshold_of
from autograder.course import COURSE_FILE, Course, FidRule, read_course
from autograder.fid_points import Score, fid_check, is_borderline, score
from autograder.training import Trained, chosen_extractor, real_images
from coursekit.errors import DIVERGED, CourseError

THRESHOLDS = {"lenet": {"VAE": 10.0, "GAN": 40.0}, "inception": {"VAE": 1.0, "GAN": 1.0}}
OWN = read_course(REPOSITORY / COURSE_FILE)
COURSE = replace(
    OWN,
    points={"vae.fid": 3, "gan.fid": 0.5},
    fid=FidRule("if_different", "lenet", 0.1, ((1.0, 1.0), (1.5, 0.5), (2.0, 0.25)), MappingProxyType(THRESHOLDS)),
    training=replace(OWN.training, dataset="digits", steps=25000, seeds=(0, 1, 2)),
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSEKIT_CACHE_DIR", str(tmp_path / "cache"))


def scored(*fids, **more):
    return [Score(seed, fid, images=500, floor=0.3, floor_images=400, **more) for seed, fid in enumerate(fids)]


def stopped(reason, seed=0):
    return Score(seed, None, reason)


# Points.


@pytest.mark.parametrize(
    ("fid", "points"),
    [(0.3, 3), (9.99, 3), (10, 1.5), (14.99, 1.5), (15, 0.75), (19.99, 0.75), (20, 0), (500, 0)],
)
def test_a_band_ends_below_its_edge(fid, points):
    check = fid_check("VAE", scored(fid), COURSE)
    assert (check.points, check.max_points) == (points, 3)
    assert check.passed is (fid < 10)


def test_the_first_band_s_edge_need_not_be_the_threshold():
    course = replace(COURSE, fid=replace(COURSE.fid, bands=((1.2, 0.8),)))
    check = fid_check("GAN", scored(47.9), course)
    assert check.passed and check.points == pytest.approx(0.4)
    assert "below 48" in check.title
    assert fid_check("GAN", scored(48), course).points == 0


def test_the_best_seed_counts_and_all_are_told():
    check = fid_check("VAE", scored(12, 9.5, 31), COURSE)
    assert check.passed and check.points == 3
    assert "best FID 9.50 of 12.00, 9.50, 31.00" in check.message
    assert "seeds 0, 1, 2" in check.message


@pytest.mark.parametrize("fid", [5, 12, 100])
def test_the_message_says_what_the_number_is_worth_nothing_without(fid):
    message = fid_check("VAE", scored(fid), COURSE).message
    said = f"FID {fid}.00 (lenet, 500 generated against 500 real images of digits, floor 0.30 with 400, 25,000 steps,"
    assert said in message
    assert "seed 0; threshold 10)" in message
    assert ("look first at the checks that did not pass" in message) == (fid >= 10)
    assert "\n" not in message


def test_half_the_points_are_explained():
    assert "below 1.5 times the threshold, 50% of the points" in fid_check("VAE", scored(12), COURSE).message


def test_what_equals_the_reference_gets_the_points_untrained():
    check = fid_check("GAN", (), COURSE)
    assert check.passed and check.points == 0.5
    assert "not trained" in check.message and "threshold 40" in check.message


def test_a_course_may_measure_none():
    assert fid_check("VAE", (), replace(COURSE, fid=replace(COURSE.fid, when="never"))) is None


def test_a_check_that_has_no_points_in_the_course():
    assert fid_check("VAE", scored(1), replace(COURSE, points={})).max_points == 0


def test_what_was_stopped_gives_no_points_and_says_why():
    check = fid_check("VAE", [stopped("it ran for more than 9 s")], COURSE)
    assert not check.passed and check.points == 0
    assert "seed 0 gave no FID: it ran for more than 9 s" in check.message
    assert fid_check("VAE", [stopped("it ended"), *scored(1, 9)[1:]], COURSE).points == 3


@pytest.mark.parametrize(("copied", "points"), [(0, 3), (5, 3), (6, 0)])
def test_too_many_copies_give_no_points(copied, points):
    check = fid_check("VAE", scored(1, copied=copied, looked_at=500, most_copied=5), COURSE)
    assert check.points == points
    assert ("6 of 500 samples looked at are training images" in check.message) == (points == 0)
    assert ("a TA has to look" in check.message) == (points == 0)


def test_copies_of_one_seed_are_not_outdone_by_another():
    assert fid_check("VAE", [*scored(1, copied=400, looked_at=500), *scored(0, 2)[1:]], COURSE).points == 0


@pytest.mark.parametrize(("fid", "points"), [(0, 0), (0.29, 0), (0.3 - 1e-12, 3), (0.3, 3)])
def test_below_the_floor_there_are_no_points(fid, points):
    check = fid_check("VAE", scored(fid), COURSE)
    assert (check.points, check.passed) == (points, points == 3)
    assert ("below the floor" in check.message) == ("a TA has to look" in check.message) == (points == 0)


def test_no_other_seed_makes_up_for_one_below_the_floor():
    assert fid_check("GAN", scored(50, 0.1), COURSE).points == 0
    assert not is_borderline(scored(0.1), "GAN", COURSE)


# Borderline cases: bands' edges at 10, 15 and 20 (VAE), within a tenth.


@pytest.mark.parametrize(
    ("fid", "expected"),
    [
        *[(8.9, False), (9.9, False), (10, True), (11, True), (11.1, False), (13.4, False), (13.6, True)],
        *[(16.4, True), (16.6, False), (17.9, False), (18.1, True), (21.9, True), (22.1, False), (500, False)],
    ],
)
def test_near_an_edge_the_other_seeds_are_trained(fid, expected):
    assert is_borderline(scored(fid), "VAE", COURSE) is expected


@pytest.mark.parametrize(("fid", "expected"), [(39.9, False), (52, True), (500, True)])
def test_one_run_is_no_verdict_on_a_gan(fid, expected):
    assert is_borderline(scored(fid), "GAN", COURSE) is expected


@pytest.mark.parametrize("project", ["VAE", "GAN"])
def test_what_diverged_may_not_with_another_seed(project):
    assert is_borderline([replace(stopped("loss is nan at step 10"), diverged=True)], project, COURSE)
    assert not is_borderline([stopped("it ran for more than 9 s")], project, COURSE)


@pytest.mark.parametrize("project", ["VAE", "GAN"])
def test_a_student_s_own_words_start_no_other_seed(project):
    assert not is_borderline([stopped(f"loss is nan at step 10: {DIVERGED}")], project, COURSE)


def test_nothing_is_borderline_with_no_seed_left_or_with_copies():
    assert not is_borderline(scored(11, 11, 11), "GAN", COURSE)
    assert not is_borderline(scored(11, copied=6, looked_at=500, most_copied=5), "VAE", COURSE)


# Scores. The digits' validation images stand for what a good model draws.


def drawn(count=597):
    return real_images(COURSE).validation[:count].numpy().copy()


def test_fid_is_that_of_an_independent_formula():
    found = score(Trained(4, "", drawn()), "VAE", COURSE)
    features = chosen_extractor(COURSE).features
    real, fake = (features(images).numpy() for images in (real_images(COURSE).train[:597], torch.from_numpy(drawn())))
    root = linalg.sqrtm(np.cov(real.T) @ np.cov(fake.T)).real
    expected = ((real.mean(0) - fake.mean(0)) ** 2).sum() + np.trace(np.cov(real.T) + np.cov(fake.T) - 2 * root)
    assert found.fid == pytest.approx(expected, rel=1e-4)
    assert found == Score(4, found.fid, "", found.copied, 597, found.most_copied, 597, found.floor, 597)
    assert found.floor == pytest.approx(found.fid, rel=1e-9)  # here the samples are the floor's own images
    assert Score(**json.loads(json.dumps(asdict(found)))) == found


def test_real_images_that_it_was_not_trained_on_are_no_copies():
    found = score(Trained(0, "", drawn()), "VAE", COURSE)
    assert not found.is_of_copies and not found.is_too_good


def test_training_images_are_told_whatever_was_done_to_them():
    found = score(Trained(0, "", np.roll(real_images(COURSE).train[:597].numpy(), 1, axis=3)), "VAE", COURSE)
    assert found.is_of_copies and found.copied > 500


def test_samples_that_all_look_the_same_have_no_fid():
    found = score(Trained(0, "", np.full_like(drawn(), 7)), "GAN", COURSE)
    assert found.fid is None and "look the same" in found.stopped
    assert "look the same" in fid_check("GAN", [found], COURSE).message


def test_what_was_stopped_has_no_fid():
    assert score(Trained(1, "it ended", None), "VAE", COURSE) == Score(1, None, "it ended")


# Thresholds.


@pytest.mark.parametrize(
    ("fids", "expected"),
    [
        ([100, 100], 140),  # no spread: 40 % above
        ([10, 20, 30], 54),  # 20 + 3 x 10 / 0.8862
        ([10, 12], 16),  # 11 + 3 x 1.4142 / 0.7979 = 16.3, and 40 % more is 15.4
        ([11.75, 10.95, 10.37], 15),
        ([0.123, 0.123, 0.123], 0.17),
        ([800, 900, 1000, 1100, 1200], 1500),  # 1000 + 3 x 158.1 / 0.9400 = 1505
    ],
)
def test_the_threshold_lies_above_the_reference_s_spread(fids, expected):
    assert threshold_of(fids) == pytest.approx(expected)


FIDS = {"VAE": [11.75, 10.95, 10.37], "GAN": [33.94, 29.35, 30.4]}


@pytest.fixture
def reference(tmp_path, monkeypatch):
    """Calibrate a copy of course.toml, with FIDS in the place of training."""
    path, runs = tmp_path / COURSE_FILE, []
    path.write_text((REPOSITORY / COURSE_FILE).read_text("utf-8"), "utf-8")

    def train(codes, project: str, seed: int, course: Course, unsafe: bool) -> Trained:
        runs.append((project, seed))
        return Trained(seed, "", None)

    def scored_as_known(trained: Trained, project: str, course: Course) -> Score:
        return Score(trained.seed, FIDS[project][trained.seed], trained.stopped, images=10000)

    monkeypatch.setattr(calibration, "train", train)
    monkeypatch.setattr(calibration, "score", scored_as_known)
    return path, runs, lambda write=False: calibrate(path, REFERENCE, tmp_path / "out", write, True)


ALL_RUNS = [(project, seed) for project in ("VAE", "GAN") for seed in (0, 1, 2)]


def test_calibrating_prints_every_run(reference, capsys):
    path, runs, again = reference
    text = path.read_text("utf-8")
    again()
    assert runs == ALL_RUNS
    assert path.read_text("utf-8") == text
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "FID of the reference solution, mnist, 25,000 steps"
    assert [" ".join(line.split()) for line in printed[1:]] == [
        "project extractor N seed 0 seed 1 seed 2 mean sd now proposed",
        f"VAE lenet 10,000 11.75 10.95 10.37 11.02 0.69 {OWN.fid.threshold('VAE'):g} 15",
        f"GAN lenet 10,000 33.94 29.35 30.40 31.23 2.40 {OWN.fid.threshold('GAN'):g} 44",
    ]


def test_calibrating_goes_on_where_it_was_stopped(reference, monkeypatch, tmp_path):
    path, runs, again = reference
    whole = calibration.train

    def interrupted(codes, project, seed, course, unsafe):
        if len(runs) == 4:
            raise KeyboardInterrupt
        return whole(codes, project, seed, course, unsafe)

    monkeypatch.setattr(calibration, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        again()
    monkeypatch.setattr(calibration, "train", whole)
    again()
    assert runs == ALL_RUNS
    next((tmp_path / "out").glob("GAN-*-seed1.json")).write_text("{")
    again()
    assert runs == [*ALL_RUNS, ("GAN", 1)]
    path.write_text(path.read_text("utf-8").replace("steps = 25000", "steps = 20000"))
    again()
    assert runs == [*ALL_RUNS, ("GAN", 1), *ALL_RUNS]


def test_other_code_is_trained_anew(reference, monkeypatch):
    _, runs, again = reference
    again()
    codes = calibration.read_codes(REFERENCE)
    monkeypatch.setattr(calibration, "read_codes", lambda _: {**codes, "GAN/model.py": b"another"})
    again()
    assert runs == [*ALL_RUNS, *ALL_RUNS[3:]]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_thresholds_are_written_and_comments_stay(reference, newline):
    path, _, again = reference
    before = path.read_text("utf-8").splitlines()
    path.write_bytes(newline.join([*before, ""]).encode())
    again(write=True)
    content = path.read_bytes().decode()
    assert content.count("\r\n") == (len(before) if newline == "\r\n" else 0)
    after = content.splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert [old[:6] for old, _ in changed] == ["VAE = ", "GAN = "]
    assert changed[0][1] == "VAE = 15 # calibrated: 11.02 ± 0.69 of seeds 0, 1, 2"
    assert read_course(path).fid.thresholds == {**OWN.fid.thresholds, "lenet": {"VAE": 15, "GAN": 44}}
    again(write=True)
    assert path.read_bytes().decode() == content


def test_one_seed_tells_nothing_of_a_spread(reference):
    path, runs, again = reference
    path.write_text(path.read_text("utf-8").replace("seeds = [0, 1, 2]", "seeds = [0]"), "utf-8")
    with pytest.raises(CourseError, match=r"training\.seeds has one seed"):
        again()
    assert not runs


def test_a_reference_that_gives_no_fid(reference, monkeypatch, tmp_path):
    _, _, again = reference
    monkeypatch.setattr(calibration, "score", lambda *_: Score(0, None, "it ended"))
    with pytest.raises(CourseError, match="the reference's VAE gave no FID with seed 0: it ended"):
        again()
    with pytest.raises(CourseError, match="no VAE/"):
        calibrate(REPOSITORY / COURSE_FILE, tmp_path, tmp_path / "out", False, True)
