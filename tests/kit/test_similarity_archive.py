"""The archive of earlier years: what is put in comes out, whatever happens meanwhile; what is removed is gone."""

import contextlib
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.similarity import archive
from autograder.similarity.archive import Added, add, describe, forget, load, pseudonym, read_secret, source
from autograder.similarity.keyed import keyed
from autograder.similarity.model import EXTRACTOR_VERSION, SLIPS, VIEWS, BlockKey, Fingerprint, WorkKey, stable_hash
from autograder.similarity.volume import TRACES_OF_A_KIND, Entry, Volume, pack_numbers, thin, unpack_numbers
from coursekit.errors import CourseError

BLOCKS = tuple(BlockKey(file, number) for file in ("GAN/model.py", "VAE/model.py") for number in (1, 2, 3))
SECRET = b"a secret of 24 bytes, no more"
OTHER_SECRET = b"another secret of many bytes"
ROOT = Path(__file__).parents[2]


def fingerprint(person: str, seed: int = 0, own: int = 12, shared: int = 40, **changes: object) -> Fingerprint:
    """A work with hashes of its own and some that its class shares."""
    mine = np.random.default_rng([seed, *person.encode()])
    blocks = mine.integers(0, len(BLOCKS), own)
    rows = {
        (int(block), int(view), int(value))
        for block, view, value in zip(
            blocks, mine.integers(0, len(VIEWS), own), mine.integers(0, 2**64, own, np.uint64), strict=True
        )
    }
    common = np.random.default_rng(99)
    known = common.integers(0, 2**64, 2 * shared, np.uint64)
    rows |= {(n % len(BLOCKS), n % len(VIEWS), int(known[n])) for n in map(int, mine.choice(2 * shared, shared, False))}
    block, view, hashes = zip(*sorted(rows), strict=True)
    lines = np.ones(len(rows), np.uint16)
    columns = (np.array(hashes, np.uint64), np.array(block, np.uint16), np.array(view, np.uint8), lines, lines)
    work = Fingerprint(WorkKey("", person), "5ca1ab1e5ca1ab1e", BLOCKS, (1,) * len(BLOCKS), *columns)
    return replace(work, **changes)


def a_class(count: int, seed: int = 0) -> list[Fingerprint]:
    return [fingerprint(f"2021{number:06}", seed) for number in range(count)]


def same(one: Fingerprint, other: Fingerprint) -> bool:
    """Whether the two are the same as far as an archive keeps them."""
    columns = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("hashes", "block", "view"))
    rest = all(getattr(one, name) == getattr(other, name) for name in ("scaffold", "blocks", "partners", "traces"))
    return columns and rest and one.key.person == other.key.person


def content(path: Path) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(path)) as opened:
        return [*opened.execute("SELECT * FROM years ORDER BY year"), *opened.execute("SELECT * FROM sources")]


def test_what_is_put_in_comes_out(tmp_path):
    works = a_class(30)
    works[3] = replace(works[3], partners=("2021000004",), traces={"images": (5, 2**64 - 1), "report text": (7,)})
    works[4] = fingerprint("2021000004", blocks=BLOCKS[::-1])  # a scaffold's order need not be that of the names
    path = tmp_path / "new" / "archive.db"
    assert add(path, "2024", works) == Added(30, 0, 0)
    archived = load(path)
    assert len(archived) == 30
    assert archived.keys == tuple(WorkKey("2024", work.key.person) for work in works)
    assert all(same(one, other) for one, other in zip(works, archived, strict=True))
    assert archived[-1].key == archived.keys[29]
    assert [one.key for one in archived[3:5]] == list(archived.keys[3:5])
    assert archived[0].version == EXTRACTOR_VERSION
    assert (archived[0].first == 0).all() and archived[0].tokens == ()
    with pytest.raises(IndexError):
        archived[30]


def test_of_many_traces_the_lowest_are_kept(tmp_path):
    path = tmp_path / "archive.db"
    add(path, "2024", [fingerprint("a", traces={"log digits": tuple(range(100, 400)), "images": ()})])
    assert load(path)[0].traces == {"log digits": tuple(range(100, 100 + TRACES_OF_A_KIND))}


def test_a_work_without_anything_has_its_place_too(tmp_path):
    none = np.empty(0, np.uint16)
    columns = (none.astype(np.uint64), none, none.astype(np.uint8), none, none)
    path = tmp_path / "archive.db"
    add(path, "2024", [Fingerprint(WorkKey("", "Ünïcode\udcff"), "", (), (), *columns)])
    assert load(path)[0].key == WorkKey("2024", "Ünïcode\udcff")
    assert len(load(path).holders(BLOCKS, none.astype(np.uint64), none, none).works) == 0
    assert add(path, "2025", []) == Added(0, 0, 0)
    assert [year.year for year in describe(path)] == ["2024"]


def test_years_are_told_apart_and_whoever_holds_a_hash_is_found(tmp_path):
    path = tmp_path / "archive.db"
    add(path, "2024", a_class(20, seed=1))
    add(path, "2023", a_class(25, seed=2))
    archived = load(path)
    assert [key.year for key in archived.keys] == ["2023"] * 25 + ["2024"] * 20
    asked = fingerprint("new", seed=3, shared=70)
    # As another year's work would ask that has its blocks in another order, and one that nobody else has.
    blocks = (BlockKey("new.py", 1), *BLOCKS[::-1])
    found = archived.holders(blocks, asked.hashes, len(BLOCKS) - asked.block, asked.view)
    features = [{(one.blocks[b], v, h) for h, b, v in zip(one.hashes, one.block, one.view)} for one in archived]  # noqa: B905
    for at, (value, block, view) in enumerate(zip(asked.hashes, asked.block, asked.view, strict=True)):
        holders = [n for n, one in enumerate(features) if (BLOCKS[block], view, value) in one]
        assert sorted(found.works[found.starts[at] : found.starts[at + 1]]) == holders
        assert found.counts[at] == len(holders)
    few = archived.holders(blocks, asked.hashes, len(BLOCKS) - asked.block, asked.view, most=20)
    assert (few.counts == found.counts).all() and few.counts.max() > 20
    assert (np.diff(few.starts) == np.where(few.counts <= 20, few.counts, 0)).all()


def test_what_is_there_is_not_done_again_and_what_changed_is_replaced(tmp_path):
    path = tmp_path / "archive.db"
    works = a_class(10)
    add(path, "2024", works)
    before = path.read_bytes()
    assert add(path, "2024", works[2:5]) == Added(0, 0, 3)
    assert path.read_bytes()[100:] == before[100:]  # in the first 100, SQLite counts
    changed = replace(fingerprint("other", seed=5), key=works[4].key)
    assert add(path, "2024", [*works[:4], changed, fingerprint("2021000099")]) == Added(1, 1, 4)
    assert [key.person for key in load(path).keys] == [*(work.key.person for work in works), "2021000099"]
    assert same(load(path)[4], changed)
    assert same(load(path)[5], works[5])


def test_what_need_not_be_read_again_is_known_by_what_it_was_made_from(tmp_path):
    path = tmp_path / "archive.db"
    works = a_class(3)
    digests = {work.key: hashlib.sha256(work.key.person.encode()).hexdigest() for work in works}
    assert archive.unchanged(path, "2024", digests) == frozenset()
    for secret, year in ((None, "2024"), (SECRET, "2025")):
        add(path, year, works, digests=digests, secret=secret)
        changed = {**digests, works[0].key: "0"}
        assert archive.unchanged(path, year, changed, secret) == {works[1].key, works[2].key}
        assert archive.unchanged(path, "2020", changed, secret) == frozenset()
    assert archive.unchanged(path, "2025", digests) == frozenset()  # nobody is recognised without the secret


def test_works_that_were_there_are_looked_for_again_when_it_is_written(tmp_path):
    path = tmp_path / "archive.db"
    works = a_class(3)
    digests = {work.key: "0" for work in works}
    add(path, "2024", works, digests=digests)
    assert add(path, "2024", [], {works[0].key: b"x"}, digests=digests, known=list(digests)) == Added(0, 0, 3)
    assert source(path, WorkKey("2024", works[0].key.person)) == b"x"
    forget(path, "2024")
    with pytest.raises(CourseError, match="another program has changed 2024 meanwhile: run this again"):
        add(path, "2024", a_class(4)[3:], digests=digests | {a_class(4)[3].key: "0"}, known=list(digests))
    assert describe(path) == []


def test_the_same_works_give_the_same_bytes_in_any_order(tmp_path):
    works = a_class(40)
    add(tmp_path / "one", "2023", works)
    add(tmp_path / "one", "2024", works[:20])
    add(tmp_path / "other", "2024", works[10:20][::-1])
    add(tmp_path / "other", "2023", [replace(fingerprint("x", seed=8), key=works[7].key)])
    for work in reversed(works):
        add(tmp_path / "other", "2023", [work])
    add(tmp_path / "other", "2024", works[:20])
    assert content(tmp_path / "one") == content(tmp_path / "other")


def test_what_is_packed_is_the_same_on_every_machine():
    works = []
    for person in range(5):
        hashes = sorted(stable_hash(f"{person // n} {n}") for n in (1, 2, 3, 4, 9))
        columns = np.array(hashes, np.uint64), np.zeros(5, np.uint16), np.ones(5, np.uint8)
        works.append(Fingerprint(WorkKey("", str(person)), "", BLOCKS, (0,) * 6, *columns, columns[1], columns[1]))
    volume = Volume.empty().with_works([Entry(work.key.person, "0", "", work.blocks, ()) for work in works], works)
    columns = (volume.hashes, volume.spot, volume.group, volume.starts, volume.holders)
    digest = hashlib.sha256(b"".join(column.astype("<u8").tobytes() for column in columns)).hexdigest()
    assert digest[:16] == "41893209cc0f1a62"  # of what zlib makes of it, nobody says that it is the same everywhere


def test_a_forgotten_year_leaves_no_trace_in_the_file(tmp_path):
    path = tmp_path / "archive.db"
    rng = np.random.default_rng(5)
    texts = {work.key: rng.bytes(9_000) for work in a_class(20)}
    add(path, "2023", a_class(20, seed=1), {key: text[::-1] for key, text in texts.items()})
    small = path.stat().st_size
    add(path, "2024", a_class(20, seed=2), texts)
    gone = [row for row in content(path) if row[0] == "2024"]
    blobs = [value for row in gone for value in row if isinstance(value, bytes)]
    pieces = {blob[at : at + 24] for blob in blobs for at in range(0, len(blob) - 24, 500)}
    assert sum(piece in path.read_bytes() for piece in pieces) == len(pieces) > 300
    assert forget(path, "2024") == 20
    left = path.read_bytes()
    assert not [piece for piece in pieces if piece in left]
    assert b"2024" not in left
    assert len(left) <= small + 4096
    assert [key.year for key in load(path).keys] == ["2023"] * 20
    assert [entry.name for entry in tmp_path.iterdir()] == ["archive.db"]


def test_zeros_stand_where_a_year_was_even_where_the_file_could_not_be_made_anew(tmp_path, monkeypatch):
    path = tmp_path / "archive.db"
    add(path, "2024", a_class(60), {work.key: b"left behind " * 3 for work in a_class(60)})
    blob = next(value for row in content(path) for value in row if isinstance(value, bytes))
    size = path.stat().st_size
    monkeypatch.setattr(archive.sqlite3, "connect", without_vacuum(sqlite3.connect))
    assert forget(path, "2024") == 60
    left = path.read_bytes()
    assert len(left) == size
    assert not [at for at in range(0, len(blob) - 24, 100) if blob[at : at + 24] in left]


def without_vacuum(connect):
    class Connection(sqlite3.Connection):
        def execute(self, statement, *values):
            if statement == "VACUUM":
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(statement, *values)

    return lambda *values, **named: connect(*values, **named, factory=Connection)


def test_a_replaced_work_leaves_no_trace_either(tmp_path):
    path = tmp_path / "archive.db"
    texts = {work.key: np.random.default_rng(1).bytes(9_000) for work in a_class(1)}
    add(path, "2024", a_class(1), texts)
    packed = next(row[2] for row in content(path) if len(row) == 3)
    assert packed[100:140] in path.read_bytes()
    add(path, "2024", a_class(1, seed=1))
    assert packed[100:140] not in path.read_bytes()
    assert source(path, WorkKey("2024", "2021000000")) is None


def test_source_is_kept_where_it_is_given(tmp_path):
    path = tmp_path / "archive.db"
    works = a_class(3)
    add(path, "2024", works)
    assert b"secret sauce" not in path.read_bytes()
    add(path, "2024", works, {works[0].key: "mein Träumchen".encode()})
    add(path, "2025", works, {works[1].key: b"x"}, secret=SECRET)
    assert source(path, WorkKey("2024", works[0].key.person)) == "mein Träumchen".encode()
    assert source(path, WorkKey("2024", works[1].key.person)) is None
    assert source(path, WorkKey("2025", works[1].key.person), SECRET) == b"x"
    assert source(path, WorkKey("2025", pseudonym(works[1].key.person, SECRET))) == b"x"
    assert [year.sources for year in describe(path)] == [1, 1]


KILLED = """
import signal, sys, time
from pathlib import Path
import numpy as np
sys.path.insert(0, 'tests/kit')
import test_similarity_archive as here
from autograder.similarity import archive

commits = []

class Slow(archive.sqlite3.Connection):
    def execute(self, statement, *values):
        if statement == "COMMIT":
            commits.append(statement)
            if len(commits) == int(sys.argv[2]):
                here.say("now")
                time.sleep(60)
        done = super().execute(statement, *values)
        if "secure_delete" in statement:
            super().execute("PRAGMA cache_size = 1")  # pages reach the file long before the commit
        return done

connect = archive.sqlite3.connect
archive.sqlite3.connect = lambda *values, **named: connect(*values, **named, factory=Slow)
works = here.a_class(60, seed=1)
here.say("ready")
archive.add(Path(sys.argv[1]), "2024", works, {work.key: np.random.default_rng(0).bytes(20_000) for work in works})
here.say("done")
"""


def say(word: str) -> None:
    print(word, flush=True)


def started(path: Path, waits_at: int) -> subprocess.Popen:
    command = [sys.executable, "-c", KILLED, str(path), str(waits_at)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.parametrize("is_there,waits_at", [(False, 1), (False, 2), (True, 1)])
def test_a_kill_before_the_commit_leaves_the_old_state(tmp_path, is_there, waits_at):
    path = tmp_path / "archive.db"
    if is_there:
        add(path, "2024", a_class(40))
        add(path, "2023", a_class(5))
        before = content(path)
    with started(path, waits_at) as child:
        words = [child.stdout.readline().strip() for _ in range(2)]
        child.send_signal(signal.SIGKILL)
    assert words == ["ready", "now"]
    # Half of it was in the file already, but for the two small tables.
    assert (tmp_path / "archive.db-journal").exists()
    assert len(load(path)) == (45 if is_there else 0)
    assert not is_there or content(path) == before
    assert add(path, "2024", a_class(60, seed=1)).unchanged == 0
    assert len(load(path)) == (65 if is_there else 60)


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_old_or_the_new_state(tmp_path):
    path = tmp_path / "archive.db"
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    add(old, "2024", a_class(40))
    add(new, "2024", a_class(40))
    add(new, "2024", a_class(60, seed=1))
    states = [[row for row in content(one) if len(row) == 4] for one in (old, new)]
    seen = set()
    for moment in range(300):
        if moment >= 40 and seen == {0, 1}:  # on a busy machine it takes longer to the end
            break
        path.write_bytes(old.read_bytes())
        with started(path, 0) as child:
            child.stdout.readline()
            time.sleep(0.002 * moment)
            child.send_signal(signal.SIGKILL)
        load(path)  # undoes what is half done
        rows = content(path)
        seen.add(states.index([row for row in rows if len(row) == 4]))
        assert len(rows) in (1, 61)
    assert seen == {0, 1}


def test_two_writers_at_once_both_end(tmp_path):
    path = tmp_path / "archive.db"
    code = (
        "import sys; sys.path.insert(0, 'tests/kit'); import test_similarity_archive as here\n"
        "from autograder.similarity.archive import add; from pathlib import Path\n"
        "works = [here.fingerprint(sys.argv[2] + str(n)) for n in range(40)]\n"
        "for at in range(0, 40, 4): add(Path(sys.argv[1]), '2024', works[at:at + 4])\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), name], cwd=ROOT) for name in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert {key.person for key in load(path).keys} == {f"{name}{number}" for name in "ab" for number in range(40)}
    assert [entry.name for entry in tmp_path.iterdir()] == ["archive.db"]


def test_a_writer_that_waits_too_long_says_so_in_one_line(tmp_path):
    path = tmp_path / "archive.db"
    add(path, "2024", a_class(3))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert len(load(path)) == 3  # readers need not wait
        for act in (lambda: add(path, "2025", a_class(2), wait_s=0.2), lambda: forget(path, "2024", wait_s=0.2)):
            with pytest.raises(
                CourseError, match=r"^\S+archive.db: another program has been writing to it for 0.2 sec"
            ):
                act()
    assert add(path, "2025", a_class(2)) == Added(2, 0, 0)
    assert [(year.year, year.works) for year in describe(path)] == [("2024", 3), ("2025", 2)]


def test_what_an_archive_holds_is_said_year_by_year(tmp_path):
    path = tmp_path / "archive.db"
    add(path, "2024-spring", a_class(3), secret=SECRET)
    add(path, "2023", [*a_class(3), fingerprint("x", scaffold="0" * 16)], {a_class(1)[0].key: b"text"})
    one, other = describe(path)
    assert (one.year, one.works, one.scaffolds) == ("2023", 4, ("0" * 16, "5ca1ab1e5ca1ab1e"))
    assert (one.version, one.has_pseudonyms, one.thinned, one.sources) == (EXTRACTOR_VERSION, False, 0, 1)
    assert (other.year, other.works, other.has_pseudonyms, other.sources) == ("2024-spring", 3, True, 0)
    assert 0 < one.num_bytes + other.num_bytes < path.stat().st_size


def test_persons_under_pseudonyms_are_recognised_with_the_secret_only(tmp_path):
    path = tmp_path / "archive.db"
    works = a_class(8)
    works[1] = replace(works[1], partners=(works[2].key.person, "Grace"))
    persons = [work.key.person for work in works]
    add(path, "2024", works, {works[0].key: b"source"}, secret=SECRET)
    add(path, "2025", works[:2], secret=SECRET)
    assert not [person for person in [*persons, "Grace"] if person.encode() in path.read_bytes()]
    assert SECRET not in path.read_bytes()
    volumes = [Volume.from_bytes(row[3]) for row in content(path) if len(row) == 4]
    assert not [person for person in persons if person in repr([volume.works for volume in volumes])]
    assert not [person for key in load(path).keys for person in persons if person in key.person]
    assert load(path).keys[0].person == load(path)[8].key.person or load(path).keys[0].person in {
        key.person for key in load(path).keys[8:]
    }
    known = load(path, SECRET, [persons[1], persons[2], "nobody"])
    assert {key for key in known.keys if len(key.person) == 10} == {
        WorkKey("2024", persons[1]),
        WorkKey("2025", persons[1]),
        WorkKey("2024", persons[2]),
    }
    again = known[known.keys.index(WorkKey("2024", persons[1]))]
    assert again.partners == (persons[2], pseudonym("Grace", SECRET))
    assert np.array_equal(again.hashes, keyed(works[1], SECRET).hashes)
    assert add(path, "2024", works, secret=SECRET) == Added(0, 0, 8)
    with pytest.raises(CourseError, match=r"2024 has pseudonyms made with another secret: give that one$"):
        load(path, OTHER_SECRET, persons)


def test_a_year_does_not_mix_names_and_pseudonyms(tmp_path):
    path = tmp_path / "archive.db"
    add(path, "2024", a_class(2), secret=SECRET)
    add(path, "2023", a_class(2))
    before = path.read_bytes()
    for year, secret, says in (
        ("2024", None, "2024 has pseudonyms: give their secret"),
        ("2023", SECRET, "2023 has no pseudonyms: give no secret"),
        ("2025", OTHER_SECRET, "2024 has pseudonyms made with another secret"),
    ):
        with pytest.raises(CourseError, match=says):
            add(path, year, a_class(3), secret=secret)
    assert path.read_bytes() == before


def test_the_secret_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv(archive.SECRET_VARIABLE, raising=False)
    file = tmp_path / "secret"
    file.write_bytes(SECRET + b"\r\n")
    assert read_secret(None) is None
    assert read_secret(file) == SECRET
    monkeypatch.setenv(archive.SECRET_VARIABLE, OTHER_SECRET.decode())
    assert (read_secret(None), read_secret(file)) == (OTHER_SECRET, SECRET)
    file.write_bytes(b"hunter2\n")
    for path, says in ((file, "7 bytes are too short"), (tmp_path / "no", "No such file"), (tmp_path, "directory")):
        with pytest.raises(CourseError, match=says):
            read_secret(path)


@pytest.mark.parametrize("year", ["", "../2024", "20 24", "2024/1", ".hidden", "x" * 33, "2024\n", "２０２４", "-y"])
def test_a_year_has_a_plain_name(tmp_path, year):
    with pytest.raises(CourseError, match=r"is no year's name: give up to 32 letters"):
        add(tmp_path / "archive.db", year, a_class(1))
    assert not list(tmp_path.iterdir())


def test_one_person_has_one_work_a_year(tmp_path):
    with pytest.raises(CourseError, match="2024: two works of 2021000000; keep one of them"):
        add(tmp_path / "archive.db", "2024", a_class(1) + a_class(1, seed=1))
    assert not list(tmp_path.iterdir())


def changed(path: Path, statement: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as opened:
        opened.execute(statement, values)


def test_another_extractor_version_is_one_line_and_can_be_mended(tmp_path, monkeypatch):
    path = tmp_path / "archive.db"
    add(path, "2023", a_class(2))
    add(path, "2024", a_class(2))
    changed(path, "UPDATE years SET extractor = 7 WHERE year = '2023'")
    says = (
        rf"archive.db: 2023 was read by extractor 7, and this program has {EXTRACTOR_VERSION}, .*'archive forget 2023'"
    )
    for act in (lambda: load(path), lambda: add(path, "2023", a_class(3))):
        with pytest.raises(CourseError, match=says):
            act()
    assert [year.version for year in describe(path)] == [7, EXTRACTOR_VERSION]
    assert archive.unchanged(path, "2023", {}) == frozenset()
    assert add(path, "2024", a_class(3)) == Added(1, 0, 2)
    assert forget(path, "2023") == 2
    assert add(path, "2023", a_class(2)) == Added(2, 0, 0)
    assert len(load(path)) == 5
    with pytest.raises(CourseError, match=f"2021000000: of extractor 9, not {EXTRACTOR_VERSION}"):
        add(path, "2023", [fingerprint("2021000000", version=9)])


def everything(path: Path) -> list:
    return [
        lambda: load(path),
        lambda: describe(path),
        lambda: forget(path, "2024"),
        lambda: add(path, "2024", a_class(2)),
        lambda: source(path, WorkKey("2024", "x")),
    ]


def refused(path: Path, says: str, acts: list | None = None) -> None:
    before = path.read_bytes() if path.is_file() else None
    for act in acts or everything(path):
        with pytest.raises(CourseError, match=says) as error:
            act()
        assert "\n" not in str(error.value)
        assert str(error.value).startswith(str(path))
    assert before is None or path.read_bytes() == before


def test_what_is_no_archive_is_one_line(tmp_path):
    path = tmp_path / "grades.csv"
    path.write_text("student,points\n" * 300)
    refused(path, "not an archive: give the file that 'archive add' wrote")
    path.write_text("SQLite")
    refused(path, "not an archive")
    path.unlink()
    changed(path, "CREATE TABLE years (year TEXT)")
    refused(path, "a database of something else")
    refused(tmp_path, "not a file")
    path.unlink()
    acts = everything(path)
    refused(path, "no such archive", [*acts[:3], acts[4]])
    assert not list(tmp_path.iterdir())


def test_an_archive_of_a_newer_program_is_left_alone(tmp_path):
    path = tmp_path / "archive.db"
    add(path, "2024", a_class(2))
    changed(path, "PRAGMA user_version = 2")
    refused(path, r"of a newer version of this program \(format 2; this one knows 1\)")


def test_an_empty_file_is_an_archive_of_nothing(tmp_path):
    path = tmp_path / "archive.db"
    path.touch()  # what a kill at the right moment leaves
    assert (len(load(path)), describe(path)) == (0, [])
    with pytest.raises(CourseError, match="no year '2024' in it; it has none"):
        forget(path, "2024")
    assert add(path, "2024", a_class(2)) == Added(2, 0, 0)


def test_a_damaged_volume_is_found_out_and_can_be_forgotten(tmp_path):
    path = tmp_path / "archive.db"
    add(path, "2023", a_class(3))
    add(path, "2024", a_class(3))
    good = bytearray(next(row[3] for row in content(path) if row[0] == "2024"))
    for at in (0, 5, 9, 40, len(good) // 2, len(good) - 1, None):
        bad = good[:-20] if at is None else good.copy()
        if at is not None:
            bad[at] ^= 0x10
        changed(path, "UPDATE years SET volume = ? WHERE year = '2024'", bytes(bad))
        acts = everything(path)
        refused(path, "2024 is damaged: put back a copy of the file, or 'archive forget 2024'", [*acts[:2], acts[3]])
    changed(path, "UPDATE years SET volume = 5 WHERE year = '2024'")
    refused(path, "2024 is damaged", everything(path)[:2])
    assert forget(path, "2024") == -1
    assert len(load(path)) == 3


def test_a_damaged_file_is_one_line_wherever_the_damage_is(tmp_path):
    path = tmp_path / "archive.db"
    add(path, "2024", a_class(40), {a_class(1)[0].key: b"x" * 9000})
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(150):
        bad = bytearray(good)
        at = int(rng.integers(16, len(bad)))
        bad[at : at + 64] = rng.bytes(len(bad[at : at + 64]))
        path.write_bytes(bad[: int(rng.integers(at, len(bad) + 1))])
        for act in (lambda: [same(one, one) for one in load(path)], lambda: describe(path)):
            try:
                act()
            except CourseError as error:
                found += 1
                assert str(error).startswith(str(path)) and "\n" not in str(error)
    assert found > 200


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    path = tmp_path / "archive.db"
    add(path, "2024", a_class(2))
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("who runs this may write anything")
    try:
        assert len(load(path)) == 2
        acts = everything(path)
        refused(path, "can't be written; nothing was changed", [acts[2], lambda: add(path, "2025", a_class(2))])
        refused(tmp_path / "other.db", "can't be opened", [lambda: add(tmp_path / "other.db", "2025", a_class(2))])
    finally:
        tmp_path.chmod(0o755)


def limited(monkeypatch, statement: str, connect=sqlite3.connect) -> None:
    class Connection(sqlite3.Connection):
        def execute(self, said, *values):
            done = super().execute(said, *values)
            if "secure_delete" in said:
                super().execute(statement)
            return done

    monkeypatch.setattr(archive.sqlite3, "connect", lambda *v, **named: connect(*v, **named, factory=Connection))


def test_a_full_disk_and_a_read_only_archive_lose_nothing(tmp_path, monkeypatch):
    path = tmp_path / "archive.db"
    add(path, "2024", a_class(10))
    before = path.read_bytes()
    limited(monkeypatch, f"PRAGMA max_page_count = {len(before) // 4096 + 2}")
    with pytest.raises(CourseError, match="the disk is full; nothing was changed: free some space"):
        add(path, "2025", a_class(300))
    assert path.read_bytes() == before
    limited(monkeypatch, "PRAGMA query_only = ON")
    for act in (lambda: add(path, "2025", a_class(3)), lambda: forget(path, "2024")):
        with pytest.raises(CourseError, match="can't be written; nothing was changed"):
            act()
    assert path.read_bytes() == before


@given(st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 3)))
def test_numbers_are_packed_and_unpacked(numbers):
    assert unpack_numbers(pack_numbers(numbers)).tolist() == numbers


FEATURES = st.sets(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 12) | st.just(2**64 - 1)))
PEOPLE = st.dictionaries(st.text(max_size=3), FEATURES, max_size=6)


@given(PEOPLE, PEOPLE)
def test_any_volume_comes_back_as_it_was_put_in(old, new):
    def works(people):
        for person, rows in people.items():
            block, view, hashes = zip(*sorted(rows), strict=True) if rows else ((), (), ())
            columns = np.array(hashes, np.uint64), np.array(block, np.uint16), np.array(view, np.uint8)
            lines = np.zeros(len(rows), np.uint16)
            yield Fingerprint(WorkKey("", person), "", BLOCKS, (0,) * len(BLOCKS), *columns, lines, lines)

    volume = Volume.empty()
    for people in (old, new):
        added = list(works(people))
        volume = volume.with_works([Entry(work.key.person, "", "", work.blocks, ()) for work in added], added)
    packed = volume.to_bytes()
    volume = Volume.from_bytes(packed)
    assert volume.to_bytes() == packed
    expected = {work.key.person: work for work in works({**old, **new})}
    assert [entry.person for entry in volume.works] == sorted(expected)
    for index, entry in enumerate(volume.works):
        assert same(volume.fingerprint(index, "", EXTRACTOR_VERSION), expected[entry.person])


def test_a_year_that_takes_too_much_is_thinned_alike_for_all(tmp_path):
    path = tmp_path / "archive.db"
    works = [fingerprint(f"{n:04}", own=600, traces={"report text": tuple(range(2))}) for n in range(330)]
    add(path, "2024", works[:200])
    add(path, "2024", works[200:])
    (year,) = describe(path)
    assert 1 <= year.thinned <= 3  # no slip is gone yet
    assert path.stat().st_size < 2_000 * 330
    archived = load(path)
    assert all(same(one, thin(work, year.thinned)) for one, work in zip(archived, works, strict=True))
    kept = [len(one.hashes) / len(work.hashes) for one, work in zip(archived, works, strict=True)]
    slips = VIEWS.index(SLIPS)
    assert all(
        (one.view == slips).sum() == (work.view == slips).sum() for one, work in zip(archived, works, strict=True)
    )
    assert 0.2 < min(kept) < max(kept) < 0.4


@pytest.mark.slow
def test_ten_thousand_works_take_at_most_20_mb_and_are_searched_in_seconds(tmp_path):
    path = tmp_path / "archive.db"
    for year in range(25):
        add(path, str(2000 + year), [fingerprint(f"{year}-{n}", own=120, shared=700) for n in range(400)])
    assert path.stat().st_size <= 20_000_000
    asks = (
        "import re, sys, time; sys.path.insert(0, 'tests/kit'); import test_similarity_archive as here\n"
        "from autograder.similarity.archive import load; from pathlib import Path\n"
        "new = [here.fingerprint(str(n), own=120, shared=700) for n in range(40)]\n"
        "began = time.process_time()\n"
        "archived = load(Path(sys.argv[1]))\n"
        "assert len(archived) == 10_000\n"
        "for one in new: archived.holders(one.blocks, one.hashes, one.block, one.view)\n"
        # Not ru_maxrss: that starts at the peak of the process that started this one.
        "peak = re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text()).group(1)\n"
        "print(time.process_time() - began, int(peak) / 1000)\n"
    )
    done = subprocess.run([sys.executable, "-c", asks, str(path)], cwd=ROOT, capture_output=True, text=True, check=True)
    seconds, megabytes = map(float, done.stdout.split())
    assert seconds < 4
    assert megabytes < 400
