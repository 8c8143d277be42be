"""A folder of hand-ins → a gradebook: taking in, running what was handed in, judging, training where that is needed."""

import multiprocessing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tqdm import tqdm

from autograder import evidence, workers
from autograder.course import Course
from autograder.evidence import ALL_PROBES, GAN_PROBES, REFERENCE, VAE_PROBES
from autograder.given_code import has_unseen_changes
from autograder.gradebook import write_gradebook
from autograder.grades import GRADED, TA_HAS_TO_LOOK, CheckResult, Grade
from autograder.intake import Submission, take_in
from autograder.judge import JudgeError, Verdict, judge
from autograder.probing import KIT_SEEN, inputs_by_probe, read_codes
from autograder.scaffold import build_scaffold
from autograder.sources import HandIn
from autograder.store import STUDENTS, Store, digest
from autograder.workers import Work
from code_analyze.report import OWN_SHARE
from code_analyze.summary import visible
from coursekit.analysis import SUMMARY
from coursekit.errors import CourseError, Interrupted
from coursekit.files import write_atomically
from coursekit.requirements import PROJECTS, REQUIRED_PROJECT

if TYPE_CHECKING:
    from autograder.fid_points import Score

PROBES = {"VAE": VAE_PROBES, "GAN": GAN_PROBES}
NEVER = "never"
UNMEASURED = "not measured: "  # how the message of a FID starts that could not be
MOST_NAMED = 3  # checks that stand in the way of a FID


@dataclass(frozen=True)
class Options:
    """How to grade; none of it changes a grade but the seed.

    Attributes:
        jobs: how many submissions at one time.
        scheduler: the address of a Dask cluster's, or None.
        unsafe: whether to do without a sandbox.
        seed: of the probes' inputs; None for a new one, or the one of the run that is gone on with.
        train: whether to train what computes something else than the reference; else its FID waits.
    """

    jobs: int = 1
    scheduler: str | None = None
    unsafe: bool = False
    seed: int | None = None
    train: bool = True


@dataclass
class _Row:
    """What is known of one student so far.

    Attributes:
        codes: what is run, by its path; empty where refused.
        projects: those that are graded: the required ones, and the optional ones that were handed in.
        verdicts: what the graders said.
        fault: why there is nothing to grade, "" where there is.
        scores: project -> the FIDs of what was trained; no entry where the project is not to be trained.
        untrained: project -> why there is no FID of it.
    """

    submission: Submission
    codes: Mapping[str, bytes]
    projects: tuple[str, ...]
    verdicts: Sequence[Verdict] = ()
    fault: str = ""

    def __post_init__(self):
        self.scores: dict[str, list[Score]] = {}
        self.untrained: dict[str, str] = {}

    @property
    def name(self) -> str:
        return self.submission.folder.name

    def codes_of(self, project: str) -> dict[str, bytes]:
        """The code of one project."""
        return {name: content for name, content in self.codes.items() if name.startswith(f"{project}/")}

    def verdicts_of(self, project: str) -> list[Verdict]:
        """What the graders said of one project."""
        return [verdict for verdict in self.verdicts if _project_of(verdict.id) == project]

    def agrees(self, project: str, given: Mapping[str, bytes]) -> bool:
        """Whether a project's numbers are the reference's in every check, and nothing was changed that no check sees.

        Args:
            given: the scaffold's files.
        """
        verdicts = self.verdicts_of(project)
        if self.submission.analysis is None or not verdicts or any(verdict.passed is not True for verdict in verdicts):
            return False
        return not has_unseen_changes(given, self.codes_of(project))


def grade_class(hand_ins: Path, out: Path, reference: Path, course: Course, options: Options) -> list[Grade]:
    """Grade a class, going on where an earlier run into the same folder stopped.

    Args:
        hand_ins: zips and folders, as a learning platform exports them.
        out: the folder for the gradebook and the evidence.
        reference: the reference solution.
        course: points, thresholds, limits.
    Returns:
        a row for every student.
    Raises:
        Interrupted: the user stopped it; the same command goes on.
        CourseError: no sandbox, no hand-ins, no place to write, or points for checks that there aren't.
    """
    store = Store(out)
    with store.locked(), TemporaryDirectory(prefix="grading-") as scratch:
        given, taken = build_scaffold(reference), Path(scratch, "taken")
        rows = [_row(one) for one in take_in(hand_ins, given, course.intake, taken, _taking_in)]
        try:
            with workers.workers(options.jobs, options.scheduler, course.limits, options.unsafe) as executor:
                _gather(store, rows, reference, course, options, executor)
                _judge(store, rows, course, options.jobs)
                _train(store, rows, given, course, options, executor)
        except KeyboardInterrupt as stop:
            raise Interrupted(f"stopped; what was seen is kept in {out}: the same command goes on from there") from stop
        grades = [_grade(row, course) for row in rows]
        for row in rows:
            if row.submission.analysis:
                write_atomically(out / STUDENTS / row.name / SUMMARY, row.submission.analysis.summary)
        write_gradebook(out, grades, {row.submission.student: row.name for row in rows})
    return grades


def _taking_in(hand_ins: Sequence[HandIn]) -> Iterable[HandIn]:
    return tqdm(hand_ins, desc="taking in", unit="hand-in")


def _row(submission: Submission) -> _Row:
    projects = tuple(p for p in PROJECTS if p == REQUIRED_PROJECT or p in submission.projects)
    if submission.codes is None:
        return _Row(submission, {}, projects, fault=f"refused: {submission.reason}")
    return _Row(submission, read_codes(submission.codes), projects)


def _gather(
    store: Store, rows: Sequence[_Row], reference: Path, course: Course, options: Options, executor: Executor
) -> None:
    """Run the probes that there is no evidence of yet."""
    inputs = inputs_by_probe(store.seed(options.seed))
    evidence.keep_inputs(store.evidence, inputs)
    beside = digest(_kit_seen(), inputs, course.limits, options.unsafe)
    to_do = [(REFERENCE, read_codes(reference), ALL_PROBES, None)]
    to_do += [
        (f"{STUDENTS}/{row.name}", row.codes, tuple(p for project in row.projects for p in PROBES[project]), row)
        for row in rows
        if not row.fault
    ]
    pending: dict[Future, tuple[str, str, _Row | None]] = {}
    for name, codes, probes, row in to_do:
        key = digest(codes, probes, beside)
        if not store.has(name, key):
            given = {probe: inputs[probe] for probe in probes}
            work = Work(codes, probes, given, course.limits, options.unsafe)
            pending[executor.submit(workers.probe, work)] = (name, key, row)
    for future in _as_completed(pending, "running", total=len(to_do)):
        name, key, row = pending.pop(future)
        try:
            runs = future.result()
        except Exception as error:  # whatever it is, such as a worker lost again and again: it is one student's row
            if row is None:
                raise CourseError(f"the reference solution could not be run: {_said(error)}") from error
            row.fault = f"not graded: {_said(error)}"
        else:
            store.keep(name, key, runs)


def _judge(store: Store, rows: Sequence[_Row], course: Course, jobs: int) -> None:
    """Judge all evidence; the reference's first, which must be right."""
    wanted = [row for row in rows if not row.fault]
    judges = _judges(jobs)
    try:
        first = judges.submit(judge, store.evidence, REFERENCE, PROJECTS).result()
        _check_points(first, course)
        pending = {judges.submit(judge, store.evidence, f"{STUDENTS}/{row.name}", row.projects): row for row in wanted}
        for future in _as_completed(pending, "judging", total=len(pending)):
            row = pending.pop(future)
            try:
                row.verdicts = future.result()
            except BrokenProcessPool:
                _judge_alone(store, row)
            except JudgeError as error:
                row.fault = f"not graded, a fault of the graders: {error}"
    except JudgeError as error:
        raise CourseError(f"the graders fail on the reference solution: {error}") from error
    finally:
        judges.shutdown(wait=False, cancel_futures=True)


def _judge_alone(store: Store, row: _Row) -> None:
    """Judge one submission in a process that no other can take along."""
    with _judges(1) as judges:
        try:
            row.verdicts = judges.submit(judge, store.evidence, f"{STUDENTS}/{row.name}", row.projects).result()
        except (BrokenProcessPool, JudgeError) as error:
            row.fault = f"not graded, a fault of the graders: {error}"


def _judges(jobs: int) -> ProcessPoolExecutor:
    # Spawned, not forked: this process has threads.
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))


def _check_points(verdicts: Sequence[Verdict], course: Course) -> None:
    for verdict in verdicts:
        if verdict.passed is not True:
            raise CourseError(
                f"the reference solution itself does not pass {verdict.id}: {visible(verdict.message)}; mend that first"
            )
    fids = [] if course.fid.when == NEVER else [f"{project.lower()}.fid" for project in PROJECTS]
    known = [*(verdict.id for verdict in verdicts), *fids]
    for check in known:
        if check not in course.points:
            raise CourseError(f"course.toml: [points] has no {check}; give it points, 0 for none")
    for check in course.points:
        if check not in known and not check.endswith(".fid"):
            raise CourseError(f"course.toml: points.{check} is not known; the checks are {', '.join(known)}")


def _train(
    store: Store,
    rows: Sequence[_Row],
    given: Mapping[str, bytes],
    course: Course,
    options: Options,
    executor: Executor,
) -> None:
    """Train what computes something else than the reference, once, and where that decides too little, again."""
    if course.fid.when == NEVER:
        return
    to_do = []
    for row in rows:
        for project in row.projects if not row.fault else ():
            if reason := what_blocks_fid(row.verdicts_of(project)):
                row.untrained[project] = reason
            elif course.fid.when == "if_different" and row.agrees(project, given):
                row.scores[project] = []
            elif not options.train:
                row.untrained[project] = f"{UNMEASURED}nothing is trained here"
            else:
                to_do.append((row, project, course.training.seeds[0]))
    if not to_do:
        return
    # Only here: torch takes seconds to load.
    from autograder.fid_points import Score, is_borderline, score
    from autograder.training import train

    pending: dict[Future, tuple[_Row, str, int]] = {}

    def start(row: _Row, project: str, seed: int) -> None:
        """Take a result that is kept, or train."""
        kept = store.score(row.name, f"{project}-{seed}", _training_key(row, project, course))
        if kept is not None:
            note(row, project, seed, Score(**kept))
        else:
            future = executor.submit(train, row.codes_of(project), project, seed, course, options.unsafe)
            pending[future] = (row, project, seed)

    def note(row: _Row, project: str, seed: int, found: Score) -> None:
        """Add a result, and start more where the first one is borderline."""
        scores = row.scores.setdefault(project, [])
        scores.append(found)
        if seed == course.training.seeds[0] and is_borderline(scores, project, course):
            for other in course.training.seeds[1:]:
                start(row, project, other)

    for item in to_do:
        start(*item)
    for future in _as_completed(pending, "training", total=len(pending)):
        row, project, seed = pending.pop(future)
        try:
            found = score(future.result(), project, course)
        except Exception as error:  # likewise
            row.untrained[project] = UNMEASURED + visible(_said(error))
        else:
            store.keep_score(row.name, f"{project}-{seed}", _training_key(row, project, course), asdict(found))
            note(row, project, seed, found)


def what_blocks_fid(verdicts: Sequence[Verdict]) -> str:
    """Say why nothing is trained, as points for an FID follow from the checks; "" where nothing is in the way."""
    blocking = [verdict for verdict in verdicts if verdict.blocks_fid]
    if not blocking:
        return ""
    named = [
        visible_lines(verdict.message)
        if verdict.passed is False and verdict.message
        else f"this could not be seen: {verdict.title}"
        for verdict in blocking[:MOST_NAMED]
    ]
    more = f" (and {len(blocking) - MOST_NAMED} more)" if len(blocking) > MOST_NAMED else ""
    return f"no FID points, and nothing was trained: {'; '.join(named)}{more}"


def _training_key(row: _Row, project: str, course: Course) -> str:
    from autograder.fid_points import SCORING  # with torch

    return digest(row.codes_of(project), course.training, course.fid.extractor, course.limits, SCORING)


def _as_completed(pending: Mapping[Future, object], what: str, total: int) -> Iterator[Future]:
    """Give futures as they are done, also those that are added meanwhile; the caller takes each one out."""
    with tqdm(total=total, initial=total - len(pending), desc=what, unit="submission", disable=not pending) as bar:
        while pending:
            bar.total = max(bar.total, bar.n + len(pending))
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future
                bar.update()


def _grade(row: _Row, course: Course) -> Grade:
    required = [check for check in course.points if _project_of(check) == REQUIRED_PROJECT]
    if course.fid.when == NEVER:
        required = [check for check in required if not check.endswith(".fid")]
    max_score = round(sum(course.points[check] for check in required), 6)
    remarks = tuple(_remarks(row))
    if row.fault:
        return Grade(row.submission.student, visible(row.fault), max_score, remarks=remarks)
    checks = []
    for project in row.projects:
        checks += [_result(v, course) for v in row.verdicts if _project_of(v.id) == project]
        checks += _fid_results(row, project, course)
    remarks += tuple(f"{TA_HAS_TO_LOOK}: {check.id}" for check in checks if TA_HAS_TO_LOOK in check.message)
    return Grade(row.submission.student, GRADED, max_score, tuple(checks), remarks)


def _result(verdict: Verdict, course: Course) -> CheckResult:
    most = course.points[verdict.id]
    given = most if verdict.passed else 0
    return CheckResult(verdict.id, verdict.title, verdict.passed, given, most, visible_lines(verdict.message))


def _fid_results(row: _Row, project: str, course: Course) -> list[CheckResult]:
    if project in row.untrained:
        check = f"{project.lower()}.fid"
        title = f"The FID of the {project}'s samples is low enough"
        return [CheckResult(check, title, None, 0, course.points[check], row.untrained[project])]
    if project not in row.scores:
        return []
    from autograder.fid_points import fid_check  # with torch

    return [fid_check(project, row.scores[project], course)]


def _remarks(row: _Row) -> Iterator[str]:
    submission = row.submission
    yield from submission.remarks
    if submission.superseded:
        yield f"older hand-ins that don't count: {', '.join(map(visible, submission.superseded))}"
    analysis = submission.analysis
    if analysis is None:
        return
    if submission.summary == "missing":
        yield f"{SUMMARY} is missing"
    yield from (f"code checking: {visible(problem)}" for problem in analysis.problems())
    if analysis.content["own_code"]["is_enough"] is False:
        yield f"less than {100 * OWN_SHARE[0] // OWN_SHARE[1]} % of the code is the student's own, by its references"


def visible_lines(text: str) -> str:
    """Text of several lines with nothing in it that a terminal or a page would take for more than text."""
    return "\n".join(map(visible, text.split("\n")))


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, CourseError) else f"{type(error).__name__}: {error}"


def _project_of(check: str) -> str:
    return check.partition(".")[0].upper()


def _kit_seen() -> dict[str, bytes]:
    """What evidence depends on besides a student's code: what runs beside it in the sandbox."""
    return {
        f"{name}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for name, folder in KIT_SEEN.items()
        for path in folder.rglob("*.py")
    }
