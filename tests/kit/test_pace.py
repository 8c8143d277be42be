"""How long a student's code may take, and what is done with code that takes longer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from conftest import REPOSITORY, needs_bubblewrap

from autograder import pace, probing
from autograder.course import COURSE_FILE, read_course
from autograder.evidence import ALL_PROBES, VAE_PROBES
from autograder.pace import Pace, Took
from autograder.probing import Probed, SandboxProber
from autograder.sandbox.limits import CPU_LIMIT, EXIT, IDLE_LIMIT, OK, WALL_LIMIT, Limits, Outcome
from autograder.sandbox.run import PYTHON, run_in_sandbox

LIMITS = read_course(REPOSITORY / COURSE_FILE).limits
TOOK = {"VAE": Took(0.5, 1), "GAN": Took(0.2, 0.5)}
INPUTS = dict.fromkeys(ALL_PROBES, b"")


def test_code_may_take_many_times_what_the_reference_took():
    assert pace.first(Took(2, 3), LIMITS) == Pace(cpu_s=40, idle_s=10, wall_s=180)
    assert pace.later(Took(2, 3), LIMITS) == Pace(cpu_s=10, idle_s=5, wall_s=90)


def test_code_may_take_some_seconds_however_quick_the_reference_is():
    assert pace.first(Took(0, 0), LIMITS) == Pace(cpu_s=10, idle_s=10, wall_s=60)
    assert pace.later(Took(0, 0), LIMITS) == Pace(cpu_s=5, idle_s=5, wall_s=20)


def test_no_code_may_take_more_than_the_course_allows():
    for of in (pace.first, pace.later):
        assert of(Took(1e6, 1e6), LIMITS).cpu_s == LIMITS.cpu_s == pace.unknown(LIMITS).cpu_s
        assert of(Took(1e6, 1e6), LIMITS).wall_s == LIMITS.wall_s == pace.unknown(LIMITS).wall_s


@dataclass
class FakeServer:
    """Ends each run as it is told, and notes which probes ran within which limits."""

    ends: Mapping[str, str]  # the probe that makes a run end so -> how
    ran: list[tuple[tuple[str, ...], Limits]] = field(default_factory=list)

    def run(self, script: str, arguments: Sequence[str], *, limits: Limits, outputs: Sequence[str], **_) -> Outcome:
        probes = tuple(arguments[3:])
        self.ran.append((probes, limits))
        status = next((self.ends[probe] for probe in probes if probe in self.ends), OK)
        return Outcome(status, exit_code=1, cpu_s=0.1, evidence=dict.fromkeys(outputs, b"") if status == OK else {})


@pytest.fixture
def prober():
    def make(**ends: str) -> SandboxProber:
        made = SandboxProber(LIMITS)
        made._server = FakeServer(ends)
        return made

    return make


def stopped(probed: Probed) -> dict[str, str]:
    return {probe: ran.stopped for probe, ran in probed.runs.items() if ran.stopped}


@pytest.mark.parametrize(
    "status, said",
    [
        (CPU_LIMIT, "it took more than 5 s of computing time"),
        (IDLE_LIMIT, "for 5 s it did nothing, as if it waited for what never comes"),
        (WALL_LIMIT, "it ran for more than 30 s"),
    ],
)
def test_what_hangs_is_run_twice_the_second_time_by_itself_and_behind_the_others(prober, status, said):
    hangs = prober(vae_step=status)
    first = hangs.run_paced({}, ALL_PROBES, INPUTS, TOOK)
    assert first.late == list(VAE_PROBES) and set(first.runs) == {"gan_generator", "gan_step"}
    assert [limits.cpu_s for _, limits in hangs._server.ran] == [10, 10]
    assert [limits.idle_s for _, limits in hangs._server.ran] == [10, 10]
    del hangs._server.ran[:]
    second = hangs.run_paced({}, first.late, INPUTS, TOOK, first)
    assert second.late == [] and stopped(second) == {"vae_step": said}
    assert set(second.runs) == set(ALL_PROBES)  # nothing of the first is lost
    assert [probes for probes, _ in hangs._server.ran] == [(probe,) for probe in VAE_PROBES]
    assert {(limits.cpu_s, limits.idle_s) for _, limits in hangs._server.ran} == {(5, 5)}


def test_a_crash_is_no_hang(prober):
    crashes = prober(vae_step=EXIT)
    probed = crashes.run_paced({}, VAE_PROBES, INPUTS, TOOK)
    assert probed.late == [] and stopped(probed) == {"vae_step": "it ended with exit status 1"}
    assert {limits.cpu_s for _, limits in crashes._server.ran} == {10}


def test_one_by_one_only_the_first_hang_is_waited_for_in_full(prober, monkeypatch):
    both = prober(vae_layers=EXIT, vae_forward=CPU_LIMIT)
    probed = both.run_paced({}, VAE_PROBES, INPUTS, TOOK)
    assert set(stopped(probed)) == {"vae_layers", "vae_forward"}
    assert [limits.cpu_s for _, limits in both._server.ran] == [10, 10, 10, 5, 5, 5]


def test_the_reference_is_measured_within_the_course_s_limits(prober):
    right = prober()
    probed = right.run_paced({}, ALL_PROBES, INPUTS, {})
    assert probed.took["VAE"].cpu_s == 0.1 and set(probed.took) == {"VAE", "GAN"}
    assert {limits.cpu_s for _, limits in right._server.ran} == {LIMITS.cpu_s}
    assert set(right.run({}, ALL_PROBES, INPUTS)) == set(ALL_PROBES)


def test_the_time_for_a_submission_goes_on_where_it_was(prober):
    spent = Probed(spent_s=LIMITS.submission_wall_s + 1)
    probed = prober().run_paced({}, VAE_PROBES, INPUTS, TOOK, spent)
    assert {ran.stopped for ran in probed.runs.values()} == {probing.TIME_IS_UP}


@needs_bubblewrap
@pytest.mark.parametrize(
    "code, status",
    [
        ("import time; time.sleep(1000)", IDLE_LIMIT),
        ("import threading; threading.Event().wait()", IDLE_LIMIT),
        ("import signal; signal.pause()", IDLE_LIMIT),
        ("import os; r, w = os.pipe(); os.read(r, 1)", IDLE_LIMIT),
        ("import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()", IDLE_LIMIT),
        ("import time\nwhile True: time.sleep(0.2)", IDLE_LIMIT),
        ("while True: pass", CPU_LIMIT),
        ("import os, time\nos.fork() or os.fork()\nwhile True: pass", CPU_LIMIT),
        ("import time\nfor _ in range(8): time.sleep(0.4); sum(range(10**6))", OK),
    ],
)
def test_hangs_are_told_from_work_by_their_cpu_time(code, status):
    limits = Limits(cpu_s=2, idle_s=2, wall_s=100)
    assert run_in_sandbox([PYTHON, "-c", code], inputs={}, limits=limits).status == status
