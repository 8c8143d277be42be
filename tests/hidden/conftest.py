"""The graders: `python -m pytest tests/hidden --submission FOLDER_OR_ZIP`.

They judge evidence and import nothing of the student's. A check that fails says in one sentence what is wrong. One that
can't be made is skipped and gives no points: it says which check has told why, or what could not be looked at.

Options: `--submission` is a hand-in's zip, or a folder that holds VAE and GAN, or one that holds `codes` with them
(default: the reference solution, which alone is run without a sandbox); `--seed N` of the inputs; `--evidence FOLDER`
keeps the evidence and, where it is there already, runs no student code; `--evidence-of NAME` in it is the submission's;
`--projects` are those that were handed in; `--points FILE` (.toml or .json) has the points of the checks by their ids;
`--results FILE` is written as JSON; `--unsafe-no-sandbox` runs a submission with your own rights.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from autograder import evidence
from autograder.checks import Check, Missing, NotLookedAt, Waits, Wrong
from autograder.course import COURSE_FILE, read_course
from autograder.credible import load_both
from autograder.evidence import Evidence, Failure, NotSeen
from autograder.intake import take_in_one
from autograder.scaffold import build_scaffold
from coursekit.errors import CourseError
from coursekit.requirements import PROJECTS, REQUIRED_PROJECT

REPOSITORY = Path(__file__).resolve().parents[2]
REFERENCE = REPOSITORY / "reference_solution"
KEPT_HERE = "submission"  # what this gathers itself, in the folder that --evidence names
NOT_HANDED_IN = "not handed in, and optional"
NOT_LOOKED_AT = "not looked at"
# The smallest pieces of code first, so that what stops one of them is told where it belongs.
ORDER = ("vae_reparameterize", "vae_losses", "vae_layers", "vae_forward", "vae_step", "gan_generator", "gan_step")

POINTS = pytest.StashKey[dict[str, float]]()
RESULTS = pytest.StashKey[dict[str, dict]]()
TOLD = pytest.StashKey[dict[tuple[str, str], str]]()
TITLES = pytest.StashKey[dict[str, str]]()
CODES = pytest.StashKey[Path]()
HANDED_IN = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("grading")
    group.addoption("--submission", type=Path, default=REFERENCE, metavar="FOLDER_OR_ZIP")
    group.addoption("--seed", type=int, default=0, metavar="N")
    group.addoption("--evidence", type=Path, metavar="FOLDER")
    group.addoption("--evidence-of", default=KEPT_HERE, metavar="NAME")
    group.addoption("--projects", metavar="VAE,GAN")
    group.addoption("--unsafe-no-sandbox", action="store_true")
    group.addoption("--points", type=Path, metavar="FILE")
    group.addoption("--results", type=Path, metavar="FILE")


def pytest_configure(config: pytest.Config) -> None:
    given, scratch = config.getoption("submission").resolve(), TemporaryDirectory()
    config.add_cleanup(scratch.cleanup)
    kept = config.getoption("evidence")
    is_kept = kept is not None and (kept / config.getoption("evidence_of")).is_dir()
    try:
        if given == REFERENCE or (is_kept and given.is_dir()):  # nothing of a student's is read
            codes = given / "codes" if (given / "codes").is_dir() else given
            there = [project for project in PROJECTS if (codes / project).is_dir()]
        else:
            codes, there = taken_in(given, Path(scratch.name, "taken"))
        config.stash[CODES] = codes
        config.stash[POINTS] = read_points(config.getoption("points"))
    except (CourseError, OSError, ValueError) as error:
        raise pytest.UsageError(str(error)) from error
    named = config.getoption("projects")
    config.stash[HANDED_IN] = there if named is None else named.split(",")
    if not there and named is None:
        raise pytest.UsageError(f"--submission {given}: no {' or '.join(PROJECTS)} in it, nor in a folder codes there")
    config.stash[RESULTS] = {}
    config.stash[TOLD] = {}


def taken_in(given: Path, scratch: Path) -> tuple[Path, list[str]]:
    """Take a zip or a folder in as `grade` would: the student's files laid over the scaffold, and what is graded."""
    # Of a folder with codes in it, such as a clone, only these; a link there is taken for what it is, and refused.
    codes = given / "codes"
    hand_in = codes if codes.is_dir() and not codes.is_symlink() else given
    limits = read_course(REPOSITORY / COURSE_FILE).intake
    taken = take_in_one(hand_in, build_scaffold(REFERENCE), limits, scratch)
    if taken.codes is None:
        raise CourseError(f"--submission {given}: {taken.reason}")
    return taken.codes, [project for project in PROJECTS if project in (REQUIRED_PROJECT, *taken.projects)]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort the checks by their probes; within a file they stay as they are written."""
    items.sort(key=lambda item: ORDER.index(item.function.check.probe))
    config.stash[TITLES] = dict(map(named, items))


@pytest.fixture(scope="session")
def graded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Evidence, Evidence]:
    """The evidence of the submission and that of the reference."""
    config = request.config
    probes = list(dict.fromkeys(item.function.check.probe for item in request.session.items))
    probes = [probe for probe in probes if project_of(probe) in config.stash[HANDED_IN]]
    folder = (config.getoption("evidence") or tmp_path_factory.mktemp("evidence")).resolve()
    sides = {config.getoption("evidence_of"): config.stash[CODES], evidence.REFERENCE: REFERENCE}
    missing = {side: [probe for probe in probes if not (folder / side / probe).is_dir()] for side in sides}
    if any(missing.values()):
        if config.getoption("evidence_of") != KEPT_HERE:
            pytest.exit(f"--evidence {folder}: no {', '.join(missing[config.getoption('evidence_of')])} in it", 3)
        collect(config, folder, {side: (sides[side], missing[side]) for side in sides})
    return load_both(folder, config.getoption("evidence_of"), probes)


def collect(config: pytest.Config, folder: Path, wanted: Mapping[str, tuple[Path, list[str]]]) -> None:
    """Run the probes that are wanted of each side, and keep what they saw."""
    from autograder.probing import inputs_by_probe, open_prober, read_codes

    inputs = inputs_by_probe(config.getoption("seed"))
    evidence.keep_inputs(folder, inputs)
    # The reference solution is our own code.
    unsafe, is_ours = config.getoption("unsafe_no_sandbox"), config.stash[CODES] == REFERENCE
    with open_prober(read_course(REPOSITORY / COURSE_FILE).limits, unsafe, is_ours) as prober:
        for side, (codes, probes) in wanted.items():
            evidence.keep(folder / side, prober.run(read_codes(codes), probes, inputs))


@pytest.fixture
def submission(request: pytest.FixtureRequest, graded):
    """What the check's probe saw of the submission."""
    return graded[0][request.function.check.probe]


@pytest.fixture
def reference(request: pytest.FixtureRequest, graded):
    """What the check's probe saw of the reference."""
    found = graded[1][request.function.check.probe]
    if found.failures:
        pytest.fail(f"the reference stops in {found.probe}: {found.failures}", pytrace=False)
    return found


@pytest.fixture(scope="session")
def inputs(graded):
    """What the probes were given."""
    return evidence.load_inputs(graded[1].folder.parent)


@pytest.fixture
def remark(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say something that is worth knowing and no fault."""
    return lambda text: request.node.user_properties.append(("remark", text))


@pytest.fixture
def failed_before(request: pytest.FixtureRequest) -> list[str]:
    """The checks of this project that were made before this one and did not pass."""
    own = f"{project_of(request.function.check.probe).lower()}."
    results = request.config.stash[RESULTS]
    return [name for name, one in results.items() if name.startswith(own) and one["passed"] is not True]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if project_of(item.function.check.probe) not in item.config.stash[HANDED_IN]:
        pytest.skip(NOT_HANDED_IN)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Turn what a check found into one sentence, and tell each failure of the student's code once."""
    told, points_id = pyfuncitem.config.stash[TOLD], named(pyfuncitem)[0]
    try:
        return (yield)
    except Wrong as wrong:
        failed, skipped = str(wrong), ""
        if isinstance(wrong, Missing):
            pyfuncitem.user_properties.append(("missing", True))
    except Waits as waits:
        failed, skipped = "", waiting_for(str(waits), pyfuncitem.config)
    except NotLookedAt as unseen:
        failed, skipped = "", f"{NOT_LOOKED_AT}: {unseen}"
    except NotSeen as unseen:
        failure = unseen.failure or Failure("NotSeen", f"nothing was seen of {unseen}")
        failed, earlier = failure.sentence(), told.setdefault(failure.cause, points_id)
        skipped = "" if earlier == points_id else waiting_for(earlier, pyfuncitem.config)
    except Exception as error:  # such as numbers that nobody has thought of
        failed, skipped = "", f"{NOT_LOOKED_AT}, and a TA has to look: {type(error).__name__}: {error}"
    # Out of the except clauses: pytest would show both exceptions, one after the other.
    if skipped:
        pytest.skip(skipped)
    pytest.fail(failed, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    """Note the result of each check; one that was not made has neither passed nor failed, and gives nothing."""
    report = yield
    points_id, title = named(item)
    if report.when == "call" or not report.passed:
        properties = item.user_properties
        message = " ".join(text for kind, text in properties if kind == "remark")
        if report.skipped:
            message = report.longrepr[2].removeprefix("Skipped: ")
        elif report.failed and report.when == "call":
            message = report.longreprtext
        elif report.failed:
            message = f"{NOT_LOOKED_AT}, and a TA has to look: {call.excinfo.typename}: {call.excinfo.value}"
        passed = None if report.skipped or message.startswith(NOT_LOOKED_AT) else report.passed
        most = item.config.stash[POINTS].get(points_id, 1)
        is_needed = item.function.check.needed_for_fid or ("missing", True) in properties
        # What could not be compared is trained: its FID tells.
        is_told = passed is not True and not message.startswith(NOT_LOOKED_AT)
        item.config.stash[RESULTS].setdefault(
            points_id,
            {
                "id": points_id,
                "title": title,
                "passed": passed,
                "blocks_fid": is_needed and is_told,
                "points": most if passed else 0,
                "max_points": most,
                "message": message,
            },
        )
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("results")
    if path:
        results = list(session.config.stash[RESULTS].values())
        path.write_text(json.dumps(results, indent=1), encoding="utf-8")


def named(item: pytest.Function) -> tuple[str, str]:
    """The id and the title of a check, with its parameters put in."""
    check: Check = item.function.check
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return check.points.format(**parameters), check.title.format(**parameters)


def waiting_for(points_id: str, config: pytest.Config) -> str:
    """Say that a check waits for another one, by the title that a student reads."""
    return f'waits for the check "{config.stash[TITLES].get(points_id, points_id)}"'


def project_of(probe: str) -> str:
    """VAE or GAN."""
    return "VAE" if probe in evidence.VAE_PROBES else "GAN"


def read_points(path: Path | None) -> dict[str, float]:
    """Read course.toml's points, or JSON: {"points": {"vae": {"kl_average": 2}}} gives "vae.kl_average" 2."""
    if path is None:
        return {}
    if path.suffix == ".toml":
        return dict(read_course(path).points)
    content = json.loads(path.read_text(encoding="utf-8"))
    return dict(flat(content.get("points", content)))


def flat(table: Mapping, above: str = "") -> Iterator[tuple[str, float]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{name}.")
        elif isinstance(value, (int, float)):
            yield f"{above}{name}", value
