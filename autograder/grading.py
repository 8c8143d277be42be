"""A folder of hand-ins → a gradebook: taking in, running what was handed in, judging, training where that is needed."""

import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from autograder import environment, evidence, workers
from autograder.cluster import Scheduler
from autograder.course import Course
from autograder.evidence import ALL_PROBES, GAN_PROBES, REFERENCE, VAE_PROBES
from autograder.given_code import has_unseen_changes
from autograder.gradebook import write_gradebook
from autograder.grades import GRADED, TA_HAS_TO_LOOK, CheckResult, Grade, Made, total
from autograder.intake import Submission, take_in
from autograder.judge import GRADERS, JudgeError, Verdict
from autograder.judges import Judges
from autograder.limited import LimitError
from autograder.pace import Took
from autograder.probing import KIT, KIT_SEEN, Probed, inputs_by_probe, read_codes
from autograder.progress import Tracker, as_completed, bar
from autograder.scaffold import build_scaffold
from autograder.scratch import scratch_folder
from autograder.sources import HandIn, find_hand_ins
from autograder.store import STUDENTS, Store, digest
from autograder.workers import Work
from code_analyze.report import OWN_SHARE
from code_analyze.summary import visible
from coursekit.analysis import SUMMARY
from coursekit.errors import NO_PROCESSES, CourseError, Interrupted, is_about_processes
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
        scheduler: a Dask cluster's, or None.
        unsafe: whether to do without a sandbox.
        seed: of the probes' inputs; None for a new one, or the one of the run that is gone on with.
        train: whether to train what computes something else than the reference; else its FID waits.
        rerun: students whose code is run again although it was seen already; none of them for all, None for nobody.
    """

    jobs: int = 1
    scheduler: Scheduler | None = None
    unsafe: bool = False
    seed: int | None = None
    train: bool = True
    rerun: Sequence[str] | None = None


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

    What can be refused is refused before any student's code is run.

    Args:
        hand_ins: zips and folders, as a learning platform exports them.
        out: the folder for the gradebook and the evidence.
        reference: the reference solution.
        course: points, thresholds, limits.
    Returns:
        a row for every student.
    Raises:
        Interrupted: the user stopped it; the same command goes on.
        CourseError: no sandbox or cluster, no hand-ins, no place to write, no data to train on, points for checks that
            there aren't, or no room for another process.
    """
    store = Store(out)
    goes_on = f"what was seen is kept in {out}: the same command goes on from there"
    if options.rerun is not None:
        goes_on += ", without --rerun"
    try:
        with store.locked(), scratch_folder() as scratch:
            return _grade_class(store, scratch, hand_ins, reference, course, options)
    except KeyboardInterrupt as stop:
        raise Interrupted(f"stopped; {goes_on}", getattr(stop, "number", signal.SIGINT)) from stop
    except (OSError, RuntimeError) as error:
        if not is_about_processes(error):
            raise
        raise CourseError(NO_PROCESSES) from error


def _grade_class(
    store: Store, scratch: Path, hand_ins: Path, reference: Path, course: Course, options: Options
) -> list[Grade]:
    find_hand_ins(hand_ins, course.intake)  # which says at once where there is no such folder
    with (
        workers.workers(options.jobs, options.scheduler, course.limits, options.unsafe) as executor,
        Judges(options.jobs) as judges,
    ):
        if options.train and course.fid.when != NEVER:
            _check_training(course)
        seed = store.seed(options.seed)
        changed = store.enter(_installed(executor))
        if changed:
            print(f"what is installed here has changed since the last run ({changed}): code is run again")
        probing = _Probing(store, inputs_by_probe(seed), course, options, executor)
        probing.run_reference(reference)
        _judge_reference(store, course, judges)
        given = build_scaffold(reference)
        rows = [_row(one) for one in take_in(hand_ins, given, course.intake, scratch / "taken", _taking_in)]
        _forget(store, rows, options.rerun)
        late = probing.run(rows)
        _judge(store, [row for row in rows if row not in late.values()], judges)
        probing.run_late(late)
        _judge(store, late.values(), judges)
        _train(store, rows, given, course, options, executor)
    grades = [_grade(row, course) for row in rows]
    for row in rows:
        if row.submission.analysis:
            summary = store.folder / STUDENTS / row.name / SUMMARY
            write_atomically(summary, row.submission.analysis.summary, private=True)
    made = Made(course.path.name, course.digest, str(seed), _kit(), store.last_date())
    write_gradebook(store.folder, grades, {row.submission.student: row.name for row in rows}, made)
    return grades


def _taking_in(hand_ins: Sequence[HandIn]) -> Iterable[HandIn]:
    return bar("taking in", "hand-in")(hand_ins)


def _row(submission: Submission) -> _Row:
    projects = tuple(p for p in PROJECTS if p == REQUIRED_PROJECT or p in submission.projects)
    if submission.codes is None:
        return _Row(submission, {}, projects, fault=f"refused: {submission.reason}")
    return _Row(submission, read_codes(submission.codes), projects)


def _installed(executor: Executor) -> dict[str, str]:
    """What the code will see of the Python that runs it, here or on a cluster."""
    try:
        return executor.submit(environment.seen).result()
    except Exception as error:
        if is_about_processes(error):
            raise
        raise CourseError(f"no code can be run there: {_said(error)}; do the workers have this repository?") from error


def _check_training(course: Course) -> None:
    """See that FIDs can be measured.

    Raises:
        CourseError: there is no data set, or no extractor.
    """
    from autograder.training import chosen_extractor, real_images  # with torch

    try:
        real_images(course)
        chosen_extractor(course)
    except CourseError as error:
        raise CourseError(f'{error}; or measure no FIDs: fid.when = "{NEVER}" in {course.path}') from error


def _forget(store: Store, rows: Sequence[_Row], students: Sequence[str] | None) -> None:
    """Have some students' code run again: that of all where none is named, of nobody where that is not asked for."""
    if students is None:
        return
    names = {row.submission.student: row.name for row in rows}
    for student in students:
        if student not in names:
            raise CourseError(f"--rerun {visible(student)}: no such student{_meant(student, names)}")
    for student in students or names:
        store.forget(names[student])


class _Probing:
    """Runs the probes that there is no evidence of yet.

    Args:
        inputs: probe -> the .npz file that it is given.
    """

    def __init__(self, store: Store, inputs: Mapping[str, bytes], course: Course, options: Options, executor: Executor):
        self.store, self.inputs, self.course, self.options, self.executor = store, inputs, course, options, executor
        self.beside = digest(_kit_seen(), inputs, course.limits, options.unsafe)
        self.took: dict[str, Took] = {}
        evidence.keep_inputs(store.evidence, inputs)

    def run_reference(self, reference: Path) -> None:
        """Run the reference solution, whose times are the others' measure.

        Raises:
            CourseError: that can't be done.
        """
        codes = read_codes(reference)
        key = self._key(codes, ALL_PROBES)
        if not self.store.has(REFERENCE, key):
            try:
                probed = self.executor.submit(workers.probe, self._work(codes, ALL_PROBES)).result()
            except Exception as error:
                if is_about_processes(error):
                    raise
                raise CourseError(f"the reference solution could not be run: {_said(error)}") from error
            self.store.keep(
                REFERENCE, key, probed.runs, took={name: asdict(took) for name, took in probed.took.items()}
            )
        self.took = {name: Took(**took) for name, took in self.store.facts(REFERENCE)["took"].items()}

    def run(self, rows: Sequence[_Row]) -> dict[Future, _Row]:
        """Run the students' code.

        Returns:
            what was stopped for its time, and is being run in smaller pieces behind all others.
        """
        pending, late, wanted = {}, {}, [row for row in rows if not row.fault]
        for row in wanted:
            if not self.store.has(_folder(row), self._key_of(row)):
                pending[self._start(row, _probes(row))] = row
        for future in _as_completed(pending, "running", total=len(wanted)):
            row = pending.pop(future)
            probed = self._result(future, row)
            if probed is not None and probed.late:
                late[self._start(row, probed.late, probed)] = row
            elif probed is not None:
                self._keep(row, probed)
        return late

    def run_late(self, late: Mapping[Future, _Row]) -> None:
        """Wait for what was late."""
        pending = dict(late)
        for future in _as_completed(pending, "running what was stopped", total=len(late)):
            row = pending.pop(future)
            probed = self._result(future, row)
            if probed is not None:
                self._keep(row, probed)

    def _start(self, row: _Row, probes: Sequence[str], before: Probed | None = None) -> Future:
        return self.executor.submit(workers.probe, self._work(row.codes, probes, before))

    def _work(self, codes: Mapping[str, bytes], probes: Sequence[str], before: Probed | None = None) -> Work:
        given = {probe: self.inputs[probe] for probe in probes}
        return Work(codes, probes, given, self.course.limits, self.options.unsafe, self.took, before)

    def _result(self, future: Future, row: _Row) -> Probed | None:
        """What came out; None where that is nothing, by whatever fault."""
        try:
            return future.result()
        except Exception as error:  # whatever it is, such as a worker lost again and again: it is one student's row
            if is_about_processes(error):
                raise
            row.fault = f"not graded: {_said(error)}"
            return None

    def _keep(self, row: _Row, probed: Probed) -> None:
        self.store.keep(_folder(row), self._key_of(row), probed.runs)

    def _key_of(self, row: _Row) -> str:
        return self._key(row.codes, _probes(row))

    def _key(self, codes: Mapping[str, bytes], probes: Sequence[str]) -> str:
        return digest(codes, tuple(probes), self.beside)


def _folder(row: _Row) -> str:
    return f"{STUDENTS}/{row.name}"


def _probes(row: _Row) -> tuple[str, ...]:
    return tuple(probe for project in row.projects for probe in PROBES[project])


def _judge_reference(store: Store, course: Course, judges: Judges) -> None:
    """Judge the reference's evidence, which must be right, and see that each check has points."""
    try:
        _check_points(judges.submit(store.evidence, REFERENCE, PROJECTS).result(), course)
    except (JudgeError, LimitError) as error:
        raise CourseError(f"the graders fail on the reference solution: {error}") from error


def _judge(store: Store, rows: Iterable[_Row], judges: Judges) -> None:
    """Judge all evidence of some students."""
    wanted = [row for row in rows if not row.fault]
    pending = {judges.submit(store.evidence, f"{STUDENTS}/{row.name}", row.projects): row for row in wanted}
    for future in _as_completed(pending, "judging", total=len(pending)):
        row = pending.pop(future)
        try:
            row.verdicts = future.result()
        except JudgeError as error:
            row.fault = f"not graded, a fault of the graders: {error}"
        except LimitError as error:
            row.fault = f"not graded: what its code left could not be judged: {error}"


def _check_points(verdicts: Sequence[Verdict], course: Course) -> None:
    for verdict in verdicts:
        if verdict.passed is not True:
            raise CourseError(
                f"the reference solution itself does not pass {verdict.id}: {visible(verdict.message)}; mend that first"
            )
    checks, fids = [verdict.id for verdict in verdicts], [f"{project.lower()}.fid" for project in PROJECTS]
    known = [*checks, *fids]
    missing = [check for check in (checks if course.fid.when == NEVER else known) if check not in course.points]
    problems = [
        f"{check} is no check{_meant(check, missing or known)}" for check in course.points if check not in known
    ]
    problems += [f"{check} is missing; give it points, 0 for none" for check in missing]
    if problems:
        raise CourseError(f"{course.path}: [points]: {'; '.join(problems)}")


def _meant(given: str, known: Iterable[str]) -> str:
    """What somebody may have meant, as the end of a sentence; "" where nothing is like it."""
    alike = get_close_matches(given, list(known), n=1)
    return f" (is {alike[0]} meant?)" if alike else ""


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

    print(
        f"to train where no result is kept: {len(to_do)} models, each with 1 to {len(course.training.seeds)} runs of "
        f"{course.training.steps:,} steps and {course.training.cpu_s / 60:,.0f} minutes of CPU at most"
    )
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
    """Give futures as they are done, also those that are added meanwhile; the caller takes each one out.

    Args:
        pending: future -> a row, or a tuple that begins with one.
    """
    if not pending:
        return
    with Tracker(what, "submission", total, total - len(pending)) as tracker:
        yield from as_completed(pending, tracker, _student)


def _student(of: object) -> str:
    row = of[0] if isinstance(of, tuple) else of
    return row.submission.student


def _grade(row: _Row, course: Course) -> Grade:
    required = [check for check in course.points if _project_of(check) == REQUIRED_PROJECT]
    if course.fid.when == NEVER:
        required = [check for check in required if not check.endswith(".fid")]
    max_score = total(course.points[check] for check in required)
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


def _kit() -> str:
    """The version of this kit, and a digest of all of it that a grade depends on."""
    try:
        version = metadata.version("coursekit")
    except metadata.PackageNotFoundError:
        version = "of no version"
    folders = (KIT / "autograder", KIT / "coursekit", GRADERS)
    files = {path.relative_to(KIT).as_posix(): path.read_bytes() for folder in folders for path in folder.rglob("*.py")}
    return f"{version} {digest(files)[:8]}"
