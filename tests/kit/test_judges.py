"""Judging a class: a submission that ends its judge gets the reason, the others their verdicts."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import REFERENCE, REPOSITORY

from autograder import evidence, judges
from autograder.course import COURSE_FILE, read_course
from autograder.judge import JudgeError, Verdict
from autograder.judges import Judges
from autograder.limited import LimitError, Limits
from autograder.probing import UnsafeProber, inputs_by_probe, read_codes

PROJECTS = ("VAE", "GAN")


def pretend(evidence: Path, name: str, projects: tuple) -> list[Verdict]:
    """In the place of judging: what the name says. The id is the process's number, the message what it was given."""
    if name == "endless":
        while True:
            pass
    if name == "killed":
        os.abort()
    if name == "large":
        return [np.ones(1 << 30, np.uint8)]
    if name == "failed":
        raise JudgeError("pytest ended")
    return [Verdict(str(os.getpid()), str(evidence), True, False, str(projects))]


@pytest.fixture
def pretended(monkeypatch):
    monkeypatch.setattr(judges, "judge", pretend)
    monkeypatch.setattr(judges, "LIMITS", Limits(cpu_s=2, memory_mb=500))


def test_who_ends_a_judge_is_known_and_not_judged_again(pretended):
    names = ["a", "endless", "b", "killed", "c", "large", "d", "failed", "e"]
    with Judges(1) as made:
        futures = {name: made.submit(Path("evidence"), name, ["VAE"]) for name in names}
        errors = {name: futures[name].exception() for name in names}
        found = {name: futures[name].result() for name in "abcde"}
    assert {name: str(error) for name, error in errors.items() if error} == {
        "endless": "it took more than 2 s of computing time",
        "killed": "it was ended by signal 6",
        "large": "it took more than 500 MB of memory",
        "failed": "pytest ended",
    }
    assert isinstance(errors["failed"], JudgeError) and isinstance(errors["killed"], LimitError)
    assert found["a"][0].title == str(Path("evidence").absolute())
    assert found["a"][0].message == "('VAE',)"
    # Two processes were ended, and the others kept.
    assert len({verdicts[0].id for verdicts in found.values()}) == 3


def test_leaving_ends_what_still_runs(pretended, monkeypatch):
    monkeypatch.setattr(judges, "LIMITS", Limits(cpu_s=1000))
    with Judges(1) as made:
        running, waiting = (made.submit(Path("evidence"), "endless", []) for _ in range(2))
        while not running.running():
            pass
    assert isinstance(running.exception(), LimitError)
    assert waiting.cancelled()


# The graders themselves, on forged evidence.


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> Path:
    """Evidence of the reference solution, which is our own code."""
    folder = tmp_path_factory.mktemp("evidence")
    inputs = inputs_by_probe(5)
    evidence.keep_inputs(folder, inputs)
    with UnsafeProber(read_course(REPOSITORY / COURSE_FILE).limits, own_code=True) as prober:
        runs = prober.run(read_codes(REFERENCE), evidence.ALL_PROBES, inputs)
    evidence.keep(folder / evidence.REFERENCE, runs)
    return folder


def forge(folder: Path, name: str, probe: str, change) -> None:
    """Copy the reference's evidence, with other facts in one probe's."""
    shutil.copytree(folder / evidence.REFERENCE, folder / name)
    path = folder / name / probe / f"{probe}.json"
    said = json.loads(path.read_text())
    content = change(said["facts"])
    path.write_bytes(content if content is not None else json.dumps(said).encode())


def without_outputs(facts: dict) -> None:
    facts["0.x"][1]["outputs"] = 0


def with_a_huge_layer(facts: dict) -> None:
    facts["0.x"][1] |= {"kernel": [1000, 1000], "padding": [501, 501]}


def with_other_groups(facts: dict) -> None:
    facts["0.z"][2] |= {"groups": [0], "stride": [0, 0]}


def quotes(facts: dict) -> bytes:
    return b'"' + b'\\"' * 500_000


FORGED = {
    "no outputs": ("vae_layers", without_outputs, {"vae.enc_2"}),
    "a huge layer": ("vae_layers", with_a_huge_layer, {"vae.enc_2"}),
    "no groups": ("gan_generator", with_other_groups, {"gan.gen_2"}),
}


@pytest.mark.slow
def test_forged_evidence_costs_what_was_forged_and_no_time(seen):
    for name, (probe, change, _) in FORGED.items():
        forge(seen, name, probe, change)
    forge(seen, "quotes", "vae_losses", quotes)
    with Judges(1) as made:
        futures = {name: made.submit(seen, name, PROJECTS) for name in ("reference", *FORGED, "quotes")}
        verdicts = {name: future.result() for name, future in futures.items()}
    assert all(one.passed for one in verdicts["reference"])
    for name in (*FORGED, "quotes"):
        assert not [one for one in verdicts[name] if "own fault" in one.message], verdicts[name]
        lost = {one.id for one in verdicts[name] if one.passed is False}
        assert lost == FORGED[name][2] if name in FORGED else lost, (name, lost)
