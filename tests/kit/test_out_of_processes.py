"""What the person at the keyboard can mend is one line, an exit status, and no traceback."""

import errno

import pytest
from conftest import REPOSITORY, needs_bubblewrap
from hand_ins import solution, write_class

from autograder import __main__ as autograder
from autograder import grading
from coursekit.errors import NO_PROCESSES, one_line_errors

NO_MORE = {
    "fork": lambda: BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
    "thread": lambda: RuntimeError("can't start new thread"),
    "thread of a library's": lambda: RuntimeError("std::system_error: Resource temporarily unavailable"),
}


@pytest.mark.parametrize("kind", NO_MORE)
def test_a_machine_that_starts_no_more_processes_is_one_line(kind, capsys):
    with pytest.raises(SystemExit) as end, one_line_errors("program"):
        raise NO_MORE[kind]()
    assert end.value.code == 1
    assert capsys.readouterr().err == f"program: {NO_PROCESSES}\n"


@pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2 shapes"), OSError(errno.ENOENT, "no such file")])
def test_other_errors_keep_their_traceback(error):
    with pytest.raises(type(error)), one_line_errors("program"):
        raise error


@pytest.mark.parametrize("command", ["scaffold --check", "similarity . --scaffold . --out {}", "grade . --out {}"])
def test_every_command_of_the_autograder_says_it_so(command, tmp_path, monkeypatch, capsys):
    def start(*_):
        raise NO_MORE["thread"]()

    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(autograder, "stale_files", start)
    monkeypatch.setattr("autograder.similarity.command.report", start)
    monkeypatch.setattr(grading, "grade_class", start)
    with pytest.raises(SystemExit) as end:
        autograder.main(command.format(tmp_path / "out").split())
    assert end.value.code == 1
    assert capsys.readouterr().err == f"{autograder.PROGRAM}: {NO_PROCESSES}\n"


@pytest.mark.slow
@needs_bubblewrap
def test_evidence_is_kept_and_the_same_command_goes_on(tmp_path, monkeypatch, capsys):
    course = tmp_path / "course.toml"
    course.write_text((REPOSITORY / "course.toml").read_text().replace('when = "if_different"', 'when = "never"'))
    folder = write_class(tmp_path / "hand-ins", {"2021000001": solution(projects=["VAE"])})
    command = ["grade", str(folder), "--out", str(tmp_path / "grades"), "--course", str(course), "--jobs", "1"]
    monkeypatch.chdir(REPOSITORY)

    def fails(*_):
        raise NO_MORE["fork"]()

    with monkeypatch.context() as no_more:
        no_more.setattr(grading, "_judge", fails)
        with pytest.raises(SystemExit):
            autograder.main(command)
    assert capsys.readouterr().err.endswith(f"{autograder.PROGRAM}: {NO_PROCESSES}\n")
    monkeypatch.setattr(grading.workers, "probe", fails)  # nothing is to be run again
    autograder.main(command)
    assert "\n1 of 1 graded" in capsys.readouterr().out
