"""What is kept between two runs of `grade`: no more than evidence can need, and for nobody else to read."""

import json
import os

from autograder import evidence
from autograder.evidence import ALL_PROBES, REFERENCE, Ran, results_of
from autograder.gradebook import write_gradebook
from autograder.grades import Grade
from autograder.store import Store


def runs(num_bytes: int, stopped: str = "", **larger: int) -> dict[str, Ran]:
    """What probes have left: so many bytes each, or another number for some."""
    return {
        probe: Ran(
            stopped, {results_of(probe)[0]: os.urandom(larger.get(probe, num_bytes)), results_of(probe)[1]: b"{}"}
        )
        for probe in ALL_PROBES
    }


def stopped(folder) -> dict[str, str]:
    return {probe: json.loads((folder / probe / evidence.ENDED).read_text()) for probe in ALL_PROBES}


def test_evidence_has_a_few_times_the_size_of_the_reference_s_at_most(tmp_path):
    store = Store(tmp_path / "grades")
    store.keep(REFERENCE, "key", runs(1000))
    store.keep("students/large", "key", runs(2000, vae_step=10**6, gan_step=20_000, vae_losses=25_000))
    store.keep("students/honest", "key", runs(3000))
    most = 4 * evidence.size_of(store.evidence / REFERENCE)
    for name in ("large", "honest"):
        folder = store.evidence / "students" / name
        assert store.has(f"students/{name}", "key")
        kept = {probe for probe in ALL_PROBES if (folder / probe / results_of(probe)[0]).exists()}
        gone = {"large": {"vae_step", "vae_losses"}, "honest": set()}[name]
        assert set(ALL_PROBES) - kept == gone
        assert sum(path.stat().st_size for path in folder.rglob("*.np*")) <= most
        assert {probe for probe, why in stopped(folder).items() if why} == gone
    assert "too large to be kept, 1,000,002 bytes" in stopped(store.evidence / "students" / "large")["vae_step"]


def test_what_stopped_a_probe_is_not_forgotten_where_its_results_are(tmp_path):
    store = Store(tmp_path)
    store.keep(REFERENCE, "key", runs(10))
    store.keep("students/s", "key", runs(10**4, "it ran for more than 60 s"))
    assert set(stopped(store.evidence / "students" / "s").values()) == {"it ran for more than 60 s"}
    found = evidence.load(store.evidence / "students" / "s")
    assert not any(found[probe].arrays for probe in ALL_PROBES)


def test_a_class_s_grades_and_evidence_are_for_nobody_else_to_read(tmp_path):
    was = os.umask(0)
    try:
        out = tmp_path / "grades"
        store = Store(out)
        with store.locked():
            store.seed(None)
            evidence.keep_inputs(store.evidence, {"vae_step": b"x"})
            store.keep(REFERENCE, "key", runs(10))
            store.keep("students/s", "key", runs(10))
            store.keep_score("s", "VAE-0", "key", {"fid": 1})
            write_gradebook(out, [Grade("s", "graded", 1)], {"s": "s"})
    finally:
        os.umask(was)
    paths = [out, *(path for path in out.rglob("*") if path.name != ".lock")]
    assert {path.name for path in paths} >= {
        "index.html",
        "grades.csv",
        "run.json",
        "key.json",
        "feedback.md",
        "VAE-0.json",
    }
    assert [path for path in paths if path.stat().st_mode & 0o077] == []


def test_a_gradebook_that_others_were_let_into_stays_so(tmp_path):
    out = tmp_path / "grades"
    write_gradebook(out, [Grade("s", "graded", 1)], {"s": "s"})
    out.chmod(0o750)
    (out / "grades.csv").chmod(0o640)
    write_gradebook(out, [Grade("s", "graded", 2)], {"s": "s"})
    assert (out.stat().st_mode & 0o777, (out / "grades.csv").stat().st_mode & 0o777) == (0o750, 0o640)
