"""`python -m autograder archive`: from folders of hand-ins to the archive, and what is said about it."""

import contextlib
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from autograder.__main__ import main
from autograder.similarity import archive, archiving
from autograder.similarity.archive import Added, load
from autograder.similarity.model import EXTRACTOR_VERSION, BlockKey, WorkKey
from autograder.similarity.volume import Volume

SECRET = b"a secret of 24 bytes, no more"
SCAFFOLD = """class Model:
    def sum(self, x, y):
        # Block 1: the sum
        # TODO START
        pass
        # TODO END

    def product(self, x, y):
        # Block 2: the product
        # TODO START
        pass
        # TODO END
"""


def content(path: Path) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(path)) as opened:
        return [*opened.execute("SELECT * FROM years ORDER BY year"), *opened.execute("SELECT * FROM sources")]


def hand_in(folder: Path, person: str, first: str, second: str) -> None:
    (folder / person).mkdir(parents=True, exist_ok=True)
    code = SCAFFOLD.replace("pass", first, 1).replace("pass", second, 1)
    (folder / person / "model.py").write_text(code, encoding="utf-8")


@pytest.fixture
def course(tmp_path, monkeypatch):
    monkeypatch.delenv(archive.SECRET_VARIABLE, raising=False)
    (tmp_path / "scaffold").mkdir()
    (tmp_path / "scaffold" / "model.py").write_text(SCAFFOLD)
    (tmp_path / "nothing").mkdir()
    for number in range(4):
        hand_in(
            tmp_path / "2024",
            f"202401000{number}",
            f"return x + y + {number}00",
            f"z = x * y - {number}\n        return z",
        )
    return tmp_path


def command(course: Path, *arguments: object) -> None:
    main(["archive", *map(str, arguments), "--archive", str(course / "a.db")])


def test_a_folder_is_archived_listed_and_forgotten(course, capsys):
    add_2024 = ("add", "2024", course / "2024", "--scaffold", course / "scaffold")
    command(course, *add_2024)
    assert "2024: 4 new, 0 replaced, 0 there already" in capsys.readouterr().out
    before = content(course / "a.db")
    hand_in(course / "2024", "2024010001", "return y", "return x")
    hand_in(course / "2024", "2024010009", "return y", "return x")
    (course / "2024" / "2024010002" / "model.py").write_text("")  # can't take the place of what there was
    command(course, *add_2024)
    said = capsys.readouterr().out
    assert "2024: 1 new, 1 replaced, 2 there already" in said
    assert said.startswith("2024010002: left out: ")
    after = load(course / "a.db")
    assert [key.label for key in after.keys] == [f"2024/202401000{number}" for number in (0, 1, 2, 3, 9)]
    assert np.array_equal(after[1].hashes, after[4].hashes)
    command(course, "list")
    head, row, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["year", "works", "scaffold", "extractor", "persons", "source", "bytes"]
    assert row.split()[:2] == ["2024", "5"] and row.split()[3:6] == [str(EXTRACTOR_VERSION), "names", "none"]
    assert "5 works of 1 years" in last
    command(course, "forget", "2024")
    assert "2024 is forgotten, 5 works" in capsys.readouterr().out
    command(course, "list")
    assert "0 works of 0 years" in capsys.readouterr().out
    assert content(course / "a.db") == [] != before


def test_what_is_there_is_not_read_again(course, monkeypatch):
    asked = []
    monkeypatch.setattr(archiving, "fingerprints", lambda works, *_: asked.append(len(works)) or [])
    whole = (course / "a.db", "2024", course / "2024", course / "scaffold")
    assert archiving.archive_folder(*whole)[0] == Added(0, 0, 0)
    monkeypatch.undo()
    assert archiving.archive_folder(*whole)[0] == Added(4, 0, 0)
    monkeypatch.setattr(archiving, "fingerprints", lambda works, *_: asked.append(len(works)) or [])
    assert archiving.archive_folder(*whole) == (Added(0, 0, 4), [])
    assert asked == [4, 0]


def test_source_is_kept_on_request_even_of_what_is_there_already(course, capsys):
    add_2024 = ("add", "2024", course / "2024", "--scaffold", course / "scaffold")
    command(course, *add_2024)
    assert archiving.archived_work(course / "a.db", WorkKey("2024", "2024010002")) is None
    command(course, *add_2024, "--keep-source")
    assert "0 new, 0 replaced, 4 there already" in capsys.readouterr().out
    work = archiving.archived_work(course / "a.db", WorkKey("2024", "2024010002"))
    first, second = work.blocks.values()
    assert (first.key, first.title, first.text.strip()) == (BlockKey("model.py", 1), "the sum", "return x + y + 200")
    assert (second.first_line, second.given.strip()) == (11, "pass")
    command(course, "list")
    assert " of 4 " in capsys.readouterr().out


def test_a_folder_is_archived_under_pseudonyms(course, capsys, monkeypatch):
    secret = course / "secret.txt"
    secret.write_bytes(SECRET)
    add_2024 = ("add", "2024", course / "2024", "--scaffold", course / "scaffold")
    command(course, *add_2024, "--pseudonyms", secret)
    monkeypatch.setenv(archive.SECRET_VARIABLE, SECRET.decode())
    command(course, *add_2024)
    assert "0 new, 0 replaced, 4 there already" in capsys.readouterr().out
    volume = Volume.from_bytes(content(course / "a.db")[0][3])
    assert "20240100" not in repr(volume.works)
    assert load(course / "a.db", SECRET, ["2024010003"]).keys.count(WorkKey("2024", "2024010003")) == 1


@pytest.mark.parametrize(
    "arguments,says",
    [
        (("add", "20/24", "2024", "--scaffold", "scaffold"), "'20/24' is no year's name"),
        (("add", "2024", "nowhere", "--scaffold", "scaffold"), "nowhere: no such folder"),
        (("add", "2024", "2024", "--scaffold", "nothing"), "nothing: no '# TODO START' and"),
        (("add", "2024", "2024", "--scaffold", "scaffold", "--pseudonyms", "none"), "none: No such file"),
        (("forget", "2024"), "a.db: no such archive"),
        (("list",), "a.db: no such archive"),
    ],
)
def test_mistakes_are_one_line(course, capsys, monkeypatch, arguments, says):
    monkeypatch.chdir(course)
    with pytest.raises(SystemExit) as ended:
        command(course, *arguments)
    error = capsys.readouterr().err
    assert ended.value.code == 1
    assert error.startswith("python -m autograder: ") and error.count("\n") == 1
    assert says in error
    assert not (course / "a.db").exists()
