"""The bar for what may take minutes."""

import io

from autograder.progress import bar


def test_a_bar_gives_everything_and_says_nothing_where_nobody_looks(capsys):
    assert list(bar("reading", "hand-in")(range(3))) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_it_says_how_far_it_is(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    assert list(bar("reading", "hand-in")([1, 2])) == [1, 2]
    assert "reading" in terminal.getvalue() and "/2" in terminal.getvalue()
