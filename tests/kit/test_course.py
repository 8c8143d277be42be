"""course.toml: the repository's own, and every way of getting one wrong, in one line that says what is right."""

import re
from datetime import datetime, timedelta, timezone

import pytest
from conftest import REPOSITORY

from autograder.course import COURSE_FILE, Course, read_course
from coursekit.errors import CourseError

# The repository's own settings, with no points yet.
OWN = re.sub(r"(?ms)^\[points\..*?(?=^# When)", "[points]\n\n", (REPOSITORY / COURSE_FILE).read_text("utf-8"))


@pytest.fixture
def read(tmp_path):
    """Read the repository's own settings with one piece replaced."""

    def read_changed(old: str = "", new: str = "") -> Course:
        assert old in OWN
        path = tmp_path / COURSE_FILE
        path.write_text(OWN.replace(old, new, 1), "utf-8")
        return read_course(path)

    return read_changed


def test_the_repository_s_own():
    course = read_course(REPOSITORY / COURSE_FILE)
    assert course.fid.when == "if_different"
    assert course.fid.thresholds["inception"] == {"VAE": 40, "GAN": 80}
    assert set(course.fid.thresholds["lenet"]) == {"VAE", "GAN"}
    assert course.fid.extractor == "lenet"
    assert course.fid.threshold("GAN") == course.fid.thresholds["lenet"]["GAN"]
    assert course.fid.bands == ((1, 1), (1.5, 0.5), (2, 0.25))
    assert course.fid.borderline == 0.25
    assert course.training.dataset == "mnist"
    assert course.training.data_dir == REPOSITORY / "data"
    assert course.training.steps == 25000
    assert course.training.seeds == (0, 1, 2)
    assert course.limits.wall_s <= course.limits.submission_wall_s
    assert course.intake.max_zip_mb == 50
    assert course.intake.deadline is None
    assert all(points >= 0 for points in course.points.values())


def test_points_are_a_flat_table_however_their_ids_are_quoted(read):
    course = read("[points]", '[points]\n"zzz.a" = 4\nzzz.b = 2.5\nzzz.c.d = 0')
    assert {id_: course.points[id_] for id_ in ("zzz.a", "zzz.b", "zzz.c.d")} == {
        "zzz.a": 4,
        "zzz.b": 2.5,
        "zzz.c.d": 0,
    }


def test_a_deadline_has_a_time_zone(read):
    course = read("max_ratio", "deadline = 2026-06-14T23:59:00+08:00\nmax_ratio")
    assert course.intake.deadline == datetime(2026, 6, 14, 23, 59, tzinfo=timezone(timedelta(hours=8)))


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("[points]", '[points]\n"zzz.a" = -1', "points.zzz.a is -1: points must be a number, 0 or more"),
        ("[points]", '[points]\nzzz.a = "4"', "points.zzz.a is '4': points must be a number"),
        ("[points]", "[points]\nzzz.a = true", "points.zzz.a is true: points must be a number"),
        ("[points]", "[points]\nzzz.a = nan", "points.zzz.a is nan: points must be a number"),
        ("[points]", '[points]\nzzz.a = 1\n"zzz.a" = 1', "points.zzz.a is there twice"),
        ("[points]", "[point]", "points is missing"),
        ("[training]", "[extra]\nx = 1\n[training]", "extra is not known; at the top there are points, fid, training"),
        ("[points]", "x = 1\n[points]", "x is not known; at the top"),
        ("wall_s = 180", "wall_s = 180\nwall = 1", "limits.wall is not known; in [limits] there are cpu_s, wall_s"),
        (
            "[training]",
            "[training]\nlr = 1",
            "training.lr is not known; in [training] there are dataset, data_dir, steps",
        ),
        ("[fid]", "[fid]\nx = 1", "fid.x is not known; in [fid] there are when, extractor, borderline, bands, "),
        ("[fid.lenet]", "[fid.lenet2]", "fid.lenet is missing"),
        ("GAN = 80", "GAN = 80\nFlow = 1", "fid.inception.Flow is not known; in [fid.inception] there are VAE, GAN"),
        ("GAN = 80", "GAN = 0", "fid.inception.GAN is 0: a threshold must be a number above 0"),
        ("[points]", '[points]\n"vae.x" = 0.333', "points.vae.x is 0.333: points are counted in hundredths"),
        ("GAN = 80", "", "fid.inception.GAN is missing"),
        (
            'when = "if_different"',
            'when = "maybe"',
            "fid.when is 'maybe': it must be one of if_different, always, never",
        ),
        ('when = "if_different"', "when = []", "fid.when is []: it must be one of"),
        ("cpu_s = 120", "cpu_s = 0", "limits.cpu_s is 0: it must be a whole number, 1 or more"),
        ("cpu_s = 120", "cpu_s = 1.5", "limits.cpu_s is 1.5: it must be a whole number"),
        ("cpu_s = 120", "", "limits.cpu_s is missing"),
        ("submission_wall_s = 1800", "submission_wall_s = 1", "limits.submission_wall_s must not be less than"),
        ("seeds = [0, 1, 2]", "seeds = [0]\ncpu = 1", "training.cpu is not known; in [training] there are dataset"),
        ("cpu_s = 2400", "", "training.cpu_s is missing"),
        ("wall_s = 4800", "wall_s = 0", "training.wall_s is 0: it must be a whole number"),
        ('"mnist"', '"cifar"', "training.dataset is 'cifar': it must be one of mnist, fashion_mnist, digits"),
        ('data_dir = "data"', "data_dir = 1", "training.data_dir is 1: it must be the path of a folder"),
        ('extractor = "lenet"', 'extractor = "auto"', "fid.extractor is 'auto': it must be one of inception, lenet"),
        ("borderline = 0.25", "borderline = 1", "fid.borderline is 1: it must be a share"),
        ("borderline = 0.25", "borderline = true", "fid.borderline is true: it must be a share"),
        ("[1.0, 1.0]", "[1.0]", "fid.bands is [[1.0], [1.5, 0.5], [2.0, 0.25]]: it must be a list of [factor"),
        ("[1.0, 1.0]", "[1.0, 1.1]", "fid.bands is [[1.0, 1.1], [1.5, 0.5], [2.0, 0.25]]: it must be a list of"),
        ("[1.0, 1.0]", "[0.0, 1.0]", "fid.bands is [[0.0, 1.0], [1.5, 0.5], [2.0, 0.25]]: it must be a list of"),
        ("[1.0, 1.0]", "[1.5, 1.0]", "fid.bands is [[1.5, 1.0], [1.5, 0.5], [2.0, 0.25]]: from one band to the"),
        ("[1.0, 1.0]", "[1.0, 0.5]", "fid.bands is [[1.0, 0.5], [1.5, 0.5], [2.0, 0.25]]: from one band to the"),
        ("bands = [[1.0, 1.0], [1.5, 0.5], [2.0, 0.25]]", "bands = []", "fid.bands is []: it must be a list of"),
        ("seeds = [0, 1, 2]", "seeds = []", "training.seeds is []: it must be a list of whole numbers"),
        ("seeds = [0, 1, 2]", "seeds = [1, 1]", "training.seeds is [1, 1]: every seed must be another one"),
        ("seeds = [0, 1, 2]", "seeds = 3", "training.seeds is 3: it must be a list"),
        ("max_ratio", "deadline = 2026-06-14T23:59:00\nmax_ratio", "intake.deadline is 2026-06-14T23:59:00: it must"),
        ("max_ratio", "deadline = 2026-06-14\nmax_ratio", "intake.deadline is datetime.date(2026, 6, 14): it must"),
        (
            "max_ratio",
            'deadline = "June"\nmax_ratio',
            "intake.deadline is 'June': it must be a time with its time zone",
        ),
        ("[points]", "points = 3\n[points2]", "points is 3: it must be a table, [points]"),
        ("[points]", "[points", "not TOML: "),
    ],
)
def test_what_is_wrong_is_one_line_with_file_key_and_what_is_right(read, tmp_path, old, new, line):
    with pytest.raises(CourseError) as refused:
        read(old, new)
    assert str(refused.value).startswith(f"{tmp_path / COURSE_FILE}: {line}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("content", "line"), [(None, "can't be read: No such file"), (b"\xff", "not UTF-8")])
def test_a_file_that_cannot_be_read(tmp_path, content, line):
    path = tmp_path / COURSE_FILE
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CourseError, match=line):
        read_course(path)
