"""The graders: right solutions pass however they are written, and each mistake fails its own check and no other.

Importing torch takes longer than a probe, so a process of their own, this file run as a script, forks for each of them.
"""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from changed_solutions import GAN_MODEL, GAN_TRAINER, REFERENCE, REPOSITORY, VAE_MODEL, VAE_TRAINER, Change
from conftest import bubblewrap_works, needs_any_way
from filelock import FileLock
from hand_ins import solution, write_codes
from right_solutions import REMARKED, VARIANTS
from wrong_solutions import ALSO, MUTANTS

HIDDEN = REPOSITORY / "tests" / "hidden"
# pytest collects garbage at its end, which takes longer than the checks.
SPARED = ("cacheprovider", "logging", "unraisableexception", "threadexception")
OPTIONS = ("-q", *(f"-pno:{name}" for name in SPARED))
SEEDS = range(20)
ANY_WAY = () if bubblewrap_works() else ("--unsafe-no-sandbox",)
pytestmark = pytest.mark.slow
NUM_WORKERS = 2
GRADED_WITHIN_S = 3600  # all of them; some five minutes on two free cores
# Whose findings a file has a part in; those of the other probes are the reference's.
SEEN_BY = {
    VAE_MODEL: ("vae_layers", "vae_forward", "vae_reparameterize", "vae_step"),
    VAE_TRAINER: ("vae_losses", "vae_step"),
    GAN_MODEL: ("gan_generator",),
    GAN_TRAINER: ("gan_step",),
}


def write_copy(codes: Path, file: str, changes: list[Change]) -> None:
    """Copy the solution of one project, with a change."""
    write_codes(codes, solution({file: changes}, projects=[file.split("/")[0]]))


def run_probes(codes: Path, probes: Sequence[str], inputs: Path, scratch: Path) -> dict:
    """Run probes in forks of this process, which has torch loaded."""
    from autograder.evidence import Ran, results_of
    from autograder.probe.forked import run_in_fork

    runs = {}
    for probe in probes:
        with tempfile.TemporaryDirectory(dir=scratch) as out:
            stopped = run_in_fork(probe, codes, inputs / f"{probe}.npz", Path(out), wall_s=60)
            left = [path for name in results_of(probe) if (path := Path(out, name)).exists()]
            runs[probe] = Ran(stopped, {path.name: path.read_bytes() for path in left})
    return runs


def grade_copies(jobs: list[dict], folder: Path) -> dict[str, list[dict]]:
    """Grade one folder after the other, in this process and its forks: name -> results."""
    from autograder import evidence
    from autograder.probing import inputs_by_probe
    from coursekit.speed import keep_freed_memory

    keep_freed_memory()
    results = {}
    for job in jobs:
        file, seed = job["file"], job["seed"]
        project, probes = file[:3], SEEN_BY[file]
        kept = folder / f"seed {seed}"
        inputs = kept / evidence.INPUTS
        if not kept.exists():
            evidence.keep_inputs(kept, inputs_by_probe(seed))
            evidence.keep(kept / "reference", run_probes(REFERENCE, evidence.ALL_PROBES, inputs, folder))
        evidence.keep(kept / job["name"], run_probes(Path(job["codes"]), probes, inputs, folder))
        for probe in set(evidence.ALL_PROBES) - set(probes):
            (kept / job["name"] / probe).symlink_to(kept / "reference" / probe)
        files = sorted(map(str, HIDDEN.glob(f"test_{project.lower()}_*.py")))
        found = kept / job["name"] / "results.json"
        options = ["--submission", job["codes"], "--evidence", str(kept), "--evidence-of", job["name"]]
        with contextlib.redirect_stdout(io.StringIO()) as output:
            pytest.main([*files, *OPTIONS, *options, "--results", str(found)])
        if not found.exists():
            raise AssertionError(output.getvalue())
        results[job["name"]] = json.loads(found.read_text())
        shutil.rmtree(kept / job["name"])  # megabytes, some hundred times
    return results


@pytest.fixture(scope="session")
def graded(tmp_path_factory) -> dict[str, list[dict]]:
    """The results of every changed copy. The two workers of `make test` share them."""
    alone = os.environ.get("PYTEST_XDIST_WORKER") is None
    shared = tmp_path_factory.getbasetemp() if alone else tmp_path_factory.getbasetemp().parent
    results = [shared / f"graded-{part}.json" for part in range(NUM_WORKERS)]
    with FileLock(shared / "graded.lock"):
        if not all(path.exists() for path in results):
            run_workers(tmp_path_factory.mktemp("copies"), results)
    return {name: found for path in results for name, found in json.loads(path.read_text()).items()}


def run_workers(folder: Path, results: list[Path]) -> None:
    """Write the copies, and let one process for each file of results grade its share of them."""
    copies = {name: (file, changes, SEEDS[:1]) for name, (file, changes, *_) in MUTANTS.items()}
    copies |= {name: (file, changes, SEEDS) for name, (file, changes) in VARIANTS.items()}
    jobs = []
    for name, (file, changes, seeds) in copies.items():
        codes = folder / str(len(jobs)) / "codes"
        write_copy(codes, file, changes)
        jobs += [
            {"name": f"{name}, seed {s}".replace("/", " "), "codes": str(codes), "file": file, "seed": s} for s in seeds
        ]
    running = []
    for part, path in enumerate(results):
        to_do = path.with_suffix(".jobs")
        to_do.write_text(json.dumps(jobs[part :: len(results)]))
        evidence = folder / f"evidence-{part}"
        evidence.mkdir()
        command = [sys.executable, __file__, str(to_do), str(evidence), str(path)]
        running.append(subprocess.Popen(command, cwd=REPOSITORY, env=plain_environment()))
    for process in running:
        assert process.wait(timeout=GRADED_WITHIN_S) == 0


def plain_environment() -> dict[str, str]:
    """This process's environment, without what its own pytest has in it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return kept | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}


def grade(*options: object) -> list[dict]:
    """Run the graders as a TA does."""
    command = [sys.executable, "-m", "pytest", str(HIDDEN), *OPTIONS, *map(str, options)]
    results = Path(options[options.index("--results") + 1])
    subprocess.run(command, cwd=REPOSITORY, env=plain_environment(), capture_output=True, timeout=240, check=False)
    return json.loads(results.read_text())


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_fails_its_own_check_and_no_other(graded, name):
    results, (_, _, points_id, words) = graded[f"{name}, seed {SEEDS[0]}"], MUTANTS[name]
    failed = {one["id"]: one["message"] for one in results if one["passed"] is False}
    assert set(failed) == {points_id} | ALSO.get(name, set()), failed
    assert words in failed[points_id], failed
    assert all(len(message) < 500 and "Traceback" not in message for message in failed.values()), failed
    for one in results:
        if one["passed"] is None:
            assert one["message"].startswith("waits for ") and one["points"] < one["max_points"], one


# What a step that stops has set before, or would have set behind the backward pass that fails.
SET = {
    "fakes not detached in block 2": {"gan.loss_D", "gan.loss_G", "gan.D_x", "gan.D_G_z1", "gan.D_G_z2"},
    "a block left pass": {"gan.loss_D", "gan.D_x", "gan.D_G_z1"},
}


@pytest.mark.parametrize("name", SET)
def test_a_step_that_stops_costs_none_of_what_it_has_set(graded, name):
    passed = {one["id"] for one in graded[f"{name}, seed {SEEDS[0]}"] if one["passed"]}
    assert passed >= SET[name], SET[name] - passed


@pytest.mark.parametrize("name", VARIANTS)
def test_right_solution_has_full_marks_however_it_is_written(graded, name):
    for seed in SEEDS:
        results = graded[f"{name}, seed {seed}"]
        lost = {one["id"]: one["message"] for one in results if one["points"] != one["max_points"]}
        assert lost == {} and all(one["passed"] is True for one in results), (seed, lost)
        remarks = [one["message"] for one in results if one["message"]]
        assert len(remarks) == (name in REMARKED), (seed, remarks)


def test_reference_passes_everything_and_regrading_runs_no_student_code(tmp_path):
    evidence, points = tmp_path / "evidence", tmp_path / "points.json"
    points.write_text(json.dumps({"points": {"vae": {"kl_average": 2.5}}}))
    options = ("--evidence", evidence, "--points", points, "--seed", 7)
    results = grade(*options, "--results", tmp_path / "results.json")
    assert len(results) == len({one["id"] for one in results}) > 50
    assert all(one["passed"] is True and one["points"] == one["max_points"] for one in results), results
    assert {one["max_points"] for one in results if one["id"] == "vae.kl_average"} == {2.5}
    assert {one["max_points"] for one in results if one["id"] != "vae.kl_average"} == {1}
    # The evidence is all that is asked a second time: a folder with no code in it will do.
    for project in ("VAE", "GAN"):
        (tmp_path / "nothing" / project).mkdir(parents=True)
    again = grade(*options, "--submission", tmp_path / "nothing", "--results", tmp_path / "again.json")
    assert again == results


@needs_any_way
def test_scaffold_scores_nothing(tmp_path):
    results = grade("--submission", REPOSITORY, *ANY_WAY, "--results", tmp_path / "results.json")
    assert sum(one["points"] for one in results) == 0, [one for one in results if one["points"]]
    said = " ".join(one["message"] for one in results if one["passed"] is False)
    for number in (1, 2):
        assert f"block {number} of VAE/model.py is not filled in yet" in said or number == 2
    assert "block 1 of VAE/trainer.py is not filled in yet" in said


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(grade_copies(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))))
