"""The checks that a student can run before handing in: `python -m pytest tests/public` in the top folder.

Passing them is not the grade: the graders check more than this.

`--codes_dir DIR` names another folder than `codes/`. A check that `needs` a block which isn't filled in yet is skipped,
and says what it waits for.
"""

import random
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from .student_code import PROJECT_FILES, CodeStopped, Project
from .trainers import make_run

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
NOT_THE_GRADE = "Passing these checks is not the grade: the graders check more than this."

CODES = pytest.StashKey[Path]()
STUDENT = pytest.StashKey[dict[str, Project]]()
TOLD = pytest.StashKey[dict[Hashable, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--codes_dir", type=Path, metavar="DIR", help="the folder with VAE and GAN (default: codes)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "needs(file, *blocks): the student's file, and the blocks of it, that must be there"
    )
    codes = (config.getoption("codes_dir", default=None) or TOP / "codes").resolve()
    if not codes.is_dir():
        raise pytest.UsageError(f"{codes}: no such folder; --codes_dir names the one that holds VAE and GAN")
    config.stash[CODES] = codes
    config.stash[STUDENT] = {name: Project(codes, name) for name in PROJECT_FILES}
    config.stash[TOLD] = {}
    if "s" not in config.option.reportchars.lower():
        config.option.reportchars += "s"  # a skipped check says what it waits for


def pytest_report_header(config: pytest.Config) -> list[str]:
    return [f"checked: {config.stash[CODES]}", NOT_THE_GRADE]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is required comes before what is optional."""
    items.sort(key=lambda item: item.path.parent == HERE and "gan" in item.path.name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a check that has nothing to check."""
    for name, *blocks in sorted(mark.args for mark in item.iter_markers("needs")):  # the lowest block first
        project_name, file_name = name.split("/")
        project = item.config.stash[STUDENT][project_name]
        if project.left_out:
            pytest.skip(project.left_out)
        if project.problem(file_name):
            pytest.skip(f"waits for {name}, which can't be imported")
        missing = [block for block in blocks if block in project.unfilled(file_name)]
        if missing:
            pytest.skip(f"waits for block {missing[0]} of {name}")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Where the student's code stops a check, say so in one sentence, and for each cause once."""
    try:
        return (yield)
    except CodeStopped as error:
        stopped = error
    # Out of the except clause: pytest would show both exceptions, one after the other.
    told = pyfuncitem.config.stash[TOLD]
    earlier = [told[cause] for cause in stopped.causes if cause in told]
    if earlier:
        told.update({cause: earlier[0] for cause in stopped.causes if cause not in told})
        pytest.skip(f"waits until this is mended: {earlier[0]}")
    told.update(dict.fromkeys(stopped.causes, stopped.sentence))
    pytest.fail(stopped.sentence, pytrace=False)


def pytest_terminal_summary(terminalreporter) -> None:
    remarks = [
        text
        for report in terminalreporter.getreports("passed")
        for kind, text in report.user_properties
        if kind == "remark"
    ]
    for remark in dict.fromkeys(remarks):
        terminalreporter.write_line(f"Remark: {remark}")
    terminalreporter.write_line(NOT_THE_GRADE)


@pytest.fixture(scope="session", autouse=True)
def runs() -> None:
    """Make the runs before any check has seeded its random numbers, which a run does too; it leaves one thread."""
    for name in PROJECT_FILES:
        make_run(name)


@pytest.fixture(autouse=True)
def fresh() -> None:
    """The same random numbers for a check, whichever others run, and gradients, whatever those have switched off."""
    torch.set_grad_enabled(True)
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def vae(pytestconfig: pytest.Config) -> Project:
    return pytestconfig.stash[STUDENT]["VAE"]


@pytest.fixture(scope="session")
def gan(pytestconfig: pytest.Config) -> Project:
    return pytestconfig.stash[STUDENT]["GAN"]


@pytest.fixture
def remark(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say something that is worth knowing and no fault; `python -m coursekit submit` reads it too."""
    # record_property does the same, with a warning about JUnit files.
    return lambda text: request.node.user_properties.append(("remark", text))
