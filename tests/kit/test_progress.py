"""The bar for what may take minutes."""

import io
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from autograder import progress
from autograder.progress import Tracker, as_completed, bar, still_running


def test_a_bar_gives_everything_and_says_nothing_where_nobody_looks(capsys):
    assert list(bar("reading", "hand-in")(range(3))) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_it_says_how_far_it_is(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    assert list(bar("reading", "hand-in")([1, 2])) == [1, 2]
    assert "reading" in terminal.getvalue() and "/2" in terminal.getvalue()


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def test_a_log_gets_a_plain_line_every_half_a_minute(capsys, clock):
    with Tracker("judging", "submission", 100) as tracker:
        for n in range(100):
            clock.now = n
            tracker.update()
    assert capsys.readouterr().err.splitlines() == [
        "judging: 31 of 100 submissions after 00:30",
        "judging: 61 of 100 submissions after 01:00",
        "judging: 91 of 100 submissions after 01:30",
    ]


def test_a_log_names_what_is_running_though_nothing_is_done(capsys, clock):
    with Tracker("running", "submission", 3, done=2) as tracker:
        clock.now = 31
        tracker.say("running: 2021000001 (31 s)")
    assert capsys.readouterr().err == "running: 2 of 3 submissions after 00:31; running: 2021000001 (31 s)\n"


def test_a_terminal_has_it_beside_the_bar(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    with Tracker("running", "submission", 3) as tracker:
        tracker.say("running: 2021000001 (31 s)")
    assert "running: 2021000001 (31 s)" in terminal.getvalue()


def test_the_longest_are_named():
    assert still_running({"a": 3.0}) == ""
    assert still_running({"a": 12.4, "b": 43.0, "c": 1.0}) == "running: b (43 s), a (12 s)"
    assert still_running({f"s{n}": 20.0 + n for n in range(7)}).endswith("s3 (23 s), 3 more")


def test_what_hangs_is_named_while_others_come_through(monkeypatch):
    monkeypatch.setattr(progress, "LOOK_S", 0.01)
    monkeypatch.setattr(progress, "LONG_S", 0)
    over, said = Event(), []

    class Heard(Tracker):
        def say(self, note):
            said.append(note)
            if "hangs (" in note and len(pending) == 1:
                over.set()

    with ThreadPoolExecutor(2) as executor, Heard("running", "submission", 4) as tracker:
        pending = {executor.submit(over.wait, 30): "hangs"}
        pending |= {executor.submit(int): f"s{n}" for n in range(3)}
        order = [pending.pop(future) for future in as_completed(pending, tracker, str)]
    assert order[-1] == "hangs" and set(order) == {"hangs", "s0", "s1", "s2"}
    assert tracker.done == 4 and any(note.startswith("running: hangs (") for note in said)
