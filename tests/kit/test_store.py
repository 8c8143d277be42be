"""What is kept between two runs of `grade`, and when it no longer counts."""

import json

import pytest

from autograder.environment import changes, seen
from autograder.evidence import Ran
from autograder.store import Store
from coursekit.errors import CourseError

HERE = {"Python": "CPython 3.11.4", "numpy": "2.1"}
RUNS = {"vae_step": Ran("", {"vae_step.json": b"{}"})}


@pytest.fixture
def store(tmp_path) -> Store:
    made = Store(tmp_path)
    made.enter(HERE)
    return made


def keep(store: Store, key: str = "key") -> None:
    store.keep("students/a", key, RUNS)
    store.keep_score("a", "VAE-0", key, {"fid": 1})


def is_kept(store: Store) -> tuple[bool, bool]:
    return store.has("students/a", "key"), store.score("a", "VAE-0", "key") is not None


def test_what_is_kept_is_there_in_the_same_environment(store, tmp_path):
    keep(store)
    again = Store(tmp_path)
    assert again.enter(HERE) == ""
    assert (
        is_kept(again) == (True, True) and not again.has("students/a", "other") and not again.has("students/b", "key")
    )


@pytest.mark.parametrize(
    "now, said",
    [
        ({**HERE, "matplotlib": "3.9"}, "matplotlib 3.9 is new"),
        ({"Python": "CPython 3.11.4"}, "numpy is gone"),
        ({**HERE, "Python": "CPython 3.12.0"}, "Python is CPython 3.12.0 and was CPython 3.11.4"),
        ({**HERE, **dict.fromkeys("abcde", "1")}, "a 1 is new, b 1 is new, c 1 is new, 2 more"),
    ],
)
def test_in_another_environment_it_counts_no_more_and_stays_until_there_is_other(store, tmp_path, now, said):
    keep(store)
    again = Store(tmp_path)
    assert again.enter(now) == said
    assert is_kept(again) == (False, False)
    assert (tmp_path / "evidence/students/a/vae_step/vae_step.json").exists()
    assert (tmp_path / "evidence/fid/a/VAE-0.json").exists()
    keep(again)
    assert is_kept(again) == (True, True)


def test_this_environment_is_known_by_its_packages():
    found = seen()
    assert found["Python"].startswith("CPython 3.") and {"torch", "numpy", "pytest"} <= set(found)
    assert changes(found, seen()) == ""


def test_forgotten_it_is_there_and_does_not_count(store, tmp_path):
    keep(store)
    store.forget("a")
    store.forget("nobody")
    assert is_kept(store) == (False, False)
    assert (tmp_path / "evidence/students/a/vae_step/vae_step.json").exists()


def test_facts_and_the_date_are_kept_beside_it(store):
    store.keep("reference", "key", RUNS, took={"VAE": 1})
    assert store.facts("reference") == {"took": {"VAE": 1}} and store.facts("students/b") == {}
    assert store.last_date() == ""
    keep(store)
    assert store.last_date() == json.loads((store.evidence / "students/a/key.json").read_text())["date"]


def test_a_seed_is_drawn_once_and_is_no_number_to_be_tried(store, tmp_path):
    seed = store.seed(None)
    assert seed > 2**64  # a chance of 2**-64 to fail
    assert Store(tmp_path).seed(None) == seed
    assert store.seed(7) == 7 == Store(tmp_path).seed(None)


def test_the_inputs_hang_on_all_of_a_seed():
    import numpy as np

    draws = {int(np.random.default_rng(seed).integers(2**62)) for seed in (5, 5 + 2**32, 5 + 2**64, 5 + 2**127)}
    assert len(draws) == 4


def test_what_says_the_seed_may_be_damaged(store):
    (store.evidence / "run.json").write_text("{")
    with pytest.raises(CourseError, match=r"run\.json: damaged; delete it, or give --seed"):
        store.seed(None)
    assert store.seed(3) == 3 and store.enter(HERE) == ""


def test_a_disk_that_can_not_be_written_is_one_line(store, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("autograder.evidence.keep", full)
    with pytest.raises(CourseError, match=r"could not write under .*: No space left on device"):
        keep(store)
