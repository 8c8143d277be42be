"""Who has the archive and a class list, and lacks the secret, learns of nobody which pseudonym is whose."""

import os
import stat
from pathlib import Path

import pytest

from autograder.__main__ import main
from autograder.similarity import archive
from autograder.similarity.archive import load
from autograder.similarity.archiving import archive_folder
from autograder.similarity.command import report
from autograder.similarity.fingerprints import fingerprints
from autograder.similarity.model import SLIPS, TEXT, VIEWS
from autograder.similarity.reading import read_scaffold, read_works
from coursekit.errors import CourseError

SECRET = b"a secret of 24 bytes, no more"
SCAFFOLD = """import torch


class Model:
    def sum(self, x, y):
        # TODO START
        pass
        # TODO END

    def product(self, x, y):
        # TODO START
        pass
        # TODO END
"""
CLASS = {
    "2021055555": "Ada Lovelace",
    "2021055556": "Kurt Goedel",
    "2021055557": "Emmy Noether",
    "2021055558": "王 小明",
}

# What students leave in a hand-in: file -> text, with {number}, {name} and {surname}. The rest is the same for all.
LEFT = {
    "an author line above a class": {"model.py": SCAFFOLD.replace("class", "# Author: {name} {number}\nclass")},
    "an author line in a block": {"first": "# {name}, {number}\n        return x + y"},
    "a partner": {"first": "# Reference: Name: {name}, Student ID: {number}\n        return x + y"},
    "a surname alone": {"first": "# thanks to {surname}\n        return x + y"},
    "one word": {"first": "# {surname}\n        return x + y"},
    "a string": {"first": "label = '{number}'\n        return x + y"},
    "a name in a string": {"first": "label = 'by {name}'\n        return x + y"},
    "a name in an f-string": {"first": "print(f'{{x}} of {surname}')\n        return x + y"},
    "a docstring": {"first": "'''By {name}, {number}.'''\n        return x + y"},
    "a seed": {"first": "torch.manual_seed({number})\n        return x + y"},
    "a variable": {"first": "by_{surname} = x + y\n        return by_{surname}"},
    "a file of one's own": {
        "tools.py": '"""By {name}."""\nOWNER = {number}\n\n\ndef two(x):\n    return x * {number}\n'
    },
    "summary.txt": {"summary.txt": "summary of {number}\n"},
    "a report": {"report.md": "This is the report that {name} wrote, all alone, in the nights of one November week.\n"},
    "an image": {"samples.png": "\x89PNG Author {name} {number}"},
    "a log": {"run.log": "loss 0.{number}123 of {name}\n"},
}


def hand_in(folder: Path, person: str, left: dict[str, str], who: str) -> None:
    words = {"number": who, "name": CLASS[who], "surname": CLASS[who].split()[-1]}
    texts = {name: text.format(**words) for name, text in left.items()}
    code = texts.pop("model.py", SCAFFOLD).replace("pass", texts.pop("first", "return x + y"), 1)
    for name, text in {**texts, "model.py": code.replace("pass", "return x * y", 1)}.items():
        path = folder / person / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def scaffold(tmp_path):
    (tmp_path / "scaffold").mkdir()
    (tmp_path / "scaffold" / "model.py").write_text(SCAFFOLD)
    return tmp_path / "scaffold"


@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
def test_nothing_of_a_hand_in_tells_whose_it_is(tmp_path, scaffold, left):
    for person in CLASS:
        hand_in(tmp_path / "class", person, left, person)
        hand_in(tmp_path / "guesses", f"guess-{person}", left, person)
    path = tmp_path / "a.db"
    archive_folder(path, "2024", tmp_path / "class", scaffold, secret=SECRET)
    given = read_scaffold(scaffold)
    guesses = fingerprints(read_works(tmp_path / "guesses", given), given)
    for archived in load(path):
        kept = set(archived.hashes.tolist()) | {hash_ for found in archived.traces.values() for hash_ in found}
        seen = []
        for guess in guesses:
            hashes = set(guess.hashes.tolist()) | {hash_ for found in guess.traces.values() for hash_ in found}
            seen.append(kept & hashes)
        assert all(one == seen[0] for one in seen)
    content = path.read_bytes()
    assert not [word for pair in CLASS.items() for word in " ".join(pair).split() if word.encode() in content]


def test_with_the_secret_all_of_it_is_compared(tmp_path, scaffold):
    left = {
        "first": "# a remarkable idea of mine, which came at night\n        return x + y * 1.2345",
        "report.md": "It was a dark and stormy night when the posterior collapsed once more before all of our eyes.\n",
    }
    hand_in(tmp_path / "old", "2020000001", left, "2021055555")
    for person in CLASS:
        hand_in(tmp_path / "new", person, left if person == "2021055556" else {}, person)
    for year, secret in (("2023", None), ("2024", SECRET)):
        archive_folder(tmp_path / "a.db", year, tmp_path / "old", scaffold, secret=secret)

    def found(secret):
        comparison = report(tmp_path / "new", scaffold, tmp_path / "a.db", tmp_path / "out", secret)
        pairs = {(pair.a.person, pair.b.year): pair for pair in comparison.pairs}
        return {year: pairs["2021055556", year] for year in ("2023", "2024") if ("2021055556", year) in pairs}

    with_it, without = found(SECRET), found(None)
    for year in ("2023", "2024"):
        assert {SLIPS, TEXT} <= {match.view for match in with_it[year].matches}
        assert "dark and stormy" in with_it[year].traces[0].shown[0]
    assert {SLIPS, TEXT} <= {match.view for match in without["2023"].matches}
    assert "2024" not in without or not {SLIPS, TEXT} & {match.view for match in without["2024"].matches}


def test_text_and_slips_are_keyed_and_their_kinds_stay(tmp_path, scaffold):
    for person in CLASS:
        hand_in(tmp_path / "class", person, {"first": "rare_name = x + 1.2345\n        return rare_name"}, person)
    archive_folder(tmp_path / "plain.db", "2024", tmp_path / "class", scaffold)
    archive_folder(tmp_path / "keyed.db", "2024", tmp_path / "class", scaffold, secret=SECRET)
    plain, keyed = load(tmp_path / "plain.db")[0], load(tmp_path / "keyed.db")[0]
    for view, name in enumerate(VIEWS):
        one, other = (set(work.hashes[work.view == view].tolist()) for work in (plain, keyed))
        assert len(one) == len(other) > 0
        assert (one.isdisjoint(other)) == (name in (TEXT, SLIPS))
        if name in (TEXT, SLIPS):
            assert sorted(hash_ & 7 for hash_ in one) == sorted(hash_ & 7 for hash_ in other)


def test_source_and_pseudonyms_are_refused_in_one_line(tmp_path, scaffold, capsys):
    hand_in(tmp_path / "class", "2021055555", {}, "2021055555")
    (tmp_path / "secret").write_bytes(SECRET)
    command = ["archive", "add", "2024", str(tmp_path / "class"), "--scaffold", str(scaffold), "--keep-source"]
    with pytest.raises(SystemExit):
        main([*command, "--archive", str(tmp_path / "a.db"), "--pseudonyms", str(tmp_path / "secret")])
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "--keep-source" in said
    assert not (tmp_path / "a.db").exists()
    with pytest.raises(CourseError, match="either --keep-source"):
        archive_folder(tmp_path / "a.db", "2024", tmp_path / "class", scaffold, True, SECRET)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_new_archive_is_its_owners_alone_and_an_old_ones_mode_is_kept(tmp_path, scaffold, monkeypatch):
    hand_in(tmp_path / "class", "2021055555", {}, "2021055555")
    (tmp_path / "shared").mkdir(mode=0o755)
    path = tmp_path / "shared" / "a.db"
    old = os.umask(0)
    try:
        archive_folder(path, "2024", tmp_path / "class", scaffold)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
    path.chmod(0o640)
    archive.forget(path, "2024")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
