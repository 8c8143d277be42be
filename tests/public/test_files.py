"""Every file can be imported, and every block is filled in.

Passing these checks is not the grade: the graders check more than this.
"""

import pytest

from .mistakes import complain
from .student_code import PROJECT_FILES, Project

FILES = [(project, file) for project, files in PROJECT_FILES.items() for file in files]
FILE_CASES = [pytest.param(project, file.name, id=f"{project}/{file.name}") for project, file in FILES]
BLOCK_CASES = [
    pytest.param(project, file.name, block, id=f"block {block} of {project}/{file.name}")
    for project, file in FILES
    for block in file.blocks
]


@pytest.fixture
def student(request, project) -> Project:
    """The student's project, where there is something to check."""
    student = request.getfixturevalue(project.lower())
    if student.left_out:
        pytest.skip(student.left_out)
    return student


@pytest.mark.parametrize(("project", "file_name"), FILE_CASES)
def test_file_can_be_imported(student, file_name):
    """The file is there, Python can read it, and it has the classes that main.py uses."""
    problem = student.problem(file_name)
    if problem:
        complain(problem)


@pytest.mark.parametrize(("project", "file_name", "block"), BLOCK_CASES)
def test_block_is_filled_in(student, file_name, block):
    """The block no longer holds the `raise` that says what it is for."""
    unfilled = student.unfilled(file_name)
    if block in unfilled:
        complain(unfilled[block])
