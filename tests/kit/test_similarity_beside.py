"""What other tools say of the same class, read from their CSV files and shown beside."""

import csv
import json

import pytest
from html_page import Page
from test_similarity_class import COPIED, ORIGINAL, filled, honest, write_class

from autograder.__main__ import main

JPLAG = "submissionName1,submissionName2,averageSimilarity,maxSimilarity\n"
DOLOS = (
    "id,leftFileId,leftFilePath,rightFileId,rightFilePath,similarity,totalOverlap,longestFragment,leftCovered,"
    "rightCovered\n"
)


@pytest.fixture
def course(tmp_path):
    return write_class(tmp_path, {**honest(12), "orig": filled(ORIGINAL), "copy": filled(COPIED)})


def run(course, *options: object) -> None:
    command = ["similarity", course / "subs", "--scaffold", course / "scaffold", "--out", course / "report", *options]
    main([str(part) for part in command])


def report(course) -> tuple[list[dict], dict, Page]:
    out = course / "report"
    with (out / "pairs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return rows, json.loads((out / "pairs.json").read_text()), Page((out / "index.html").read_text())


def test_jplag_s_pairs_stand_beside_ours(course):
    given = course / "results.csv"
    given.write_text(f"{JPLAG}orig,copy,0.31,0.4\ns003,s001.zip,0.72,0.9\ns001,gone,0.1,0.1\n")
    run(course, "--beside", given)
    rows, content, page = report(course)
    by_pair = {(row["a"], row["b"]): row["jplag"] for row in rows}
    assert by_pair["copy", "orig"] == "0.31" and by_pair["s001", "s003"] == "0.72"
    assert list(rows[0])[:3] == ["a", "b", "similarity"]
    assert content["beside"] == [
        {
            "tool": "JPlag",
            "pairs": [
                {"a": "s001", "b": "s003", "similarity": 0.72},
                {"a": "copy", "b": "orig", "similarity": 0.31},
            ],
        }
    ]
    words = " ".join(page.words)
    assert "JPlag knows 2 pairs; its first 1 have 0 of the 1 listed here." in words
    assert "None of this class: gone." in words and "72 %" in words


def test_of_dolos_files_a_pair_of_students_has_the_most_alike(course):
    given = course / "pairs.csv"
    left, right = course / "subs" / "orig" / "net.py", course / "subs" / "copy"
    given.write_text(
        f"{DOLOS}1,1,{left},2,{right}/net.py,0.25,9,5,9,9\n2,1,{left},3,{right}/other.py,0.5,9,5,9,9\n"
        f"3,4,{right}/a.py,5,{right}/b.py,0.99,9,5,9,9\n4,4,subs\\s001\\net.py,5,subs\\s002\\net.py,0.125,9,5,9,9\n"
    )
    run(course, "--beside", given)
    pairs = {(pair["a"], pair["b"]): pair["similarity"] for pair in report(course)[1]["beside"][0]["pairs"]}
    assert pairs == {("copy", "orig"): 0.5, ("s001", "s002"): 0.125}


def test_several_tools_have_a_column_each(course):
    jplag, dolos = course / "results.csv", course / "pairs.csv"
    jplag.write_text(f"{JPLAG}orig,copy,0.3,0.4\n")
    dolos.write_text(f"{DOLOS}1,1,orig/net.py,2,copy/net.py,0.2,9,5,9,9\n")
    run(course, "--beside", jplag, "--beside", dolos)
    first = report(course)[0][0]
    assert (first["jplag"], first["dolos"]) == ("0.3", "0.2")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        (b"", "neither JPlag's results.csv"),
        (b"a,b,similarity\nx,y,1\n", "neither JPlag's results.csv"),
        (f"{JPLAG}x,y,0.5,0.5\n".encode(), "no two of the names in it are hand-ins of this class"),
        (f"{JPLAG}orig,copy,much,0.5\n".encode(), "line 2: averageSimilarity is not a number from 0 to 1"),
        (f"{JPLAG}orig,copy,30,0.5\n".encode(), "line 2: averageSimilarity is not a number from 0 to 1"),
        (f"{JPLAG}orig\n".encode(), "line 2"),
        (b"\xff\xfe\x00\x01", "no CSV file in UTF-8"),
    ],
)
def test_what_is_no_such_file_is_one_line(course, capsys, content, says):
    given = course / "given.csv"
    if content is not None:
        given.write_bytes(content)
    with pytest.raises(SystemExit, match="1"):
        run(course, "--beside", given)
    error = capsys.readouterr().err
    assert says in error and str(given) in error and error.count("\n") == 1
    assert not (course / "report").exists()
