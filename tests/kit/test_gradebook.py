"""Grades as people and platforms read them: JSON, CSV, feedback, the class's page; and what students put into them."""

import csv
import io
import json
import re
import time

import pytest
from html_page import Page

from autograder.class_page import class_page
from autograder.evidence import Failure, read_failure
from autograder.feedback import to_gradescope, to_html, to_markdown
from autograder.grades import CheckResult, Grade, Made, from_json, points, to_json
from autograder.spreadsheets import BYTE_ORDER_MARK, canvas_csv, harmless, moodle_csv, plain_csv
from coursekit.errors import CourseError
from coursekit.text import shortened

EVIL = '=HYPERLINK("http://evil","x")<script>alert(1)</script>\u202e'
KL = CheckResult("vae.kl", "kl_loss is averaged", False, 0.5, 2, "your KL is summed:\ndivide by the batch")
ROWS = CheckResult("vae.rows", "every row is right", True, 3, 3)
STEP = CheckResult("vae.step", "one step is right", None, 0, 1, "waits for vae.kl")
GRADES = [
    Grade("2021000001", "graded", 6, (ROWS, KL, STEP), ("summary.txt is missing",)),
    Grade("2021000002", "graded", 6, (ROWS, CheckResult("vae.kl", KL.title, True, 2, 2))),
    Grade(EVIL, f"refused: {EVIL}", 6, (), (EVIL,)),
]


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.removeprefix(BYTE_ORDER_MARK))))


def test_scores_are_sums_that_look_like_them():
    checks = tuple(CheckResult(f"c{n}", "", True, value, 1) for n, value in enumerate((0.1, 0.2)))
    assert Grade("s", "graded", 2, checks).score == 0.3
    assert [points(value) for value in (2, 2.5, 1 / 3, 0, 10, 100)] == ["2", "2.5", "0.33", "0", "10", "100"]


@pytest.mark.parametrize("given, shown", [(0.642433, 0.64), (0.125, 0.13), (0.005, 0.01), (1.005, 1.01), (2, 2)])
def test_points_are_hundredths_and_the_same_everywhere(given, shown):
    grade = Grade(
        "s", "graded", 3, (CheckResult("vae.a", "a", True, given, 3), CheckResult("vae.b", "b", True, given, 3))
    )
    both = round(2 * shown, 2)
    results = json.loads(to_gradescope(grade))
    assert [test["score"] for test in results["tests"]] == [shown, shown] and results["score"] == both
    row = json.loads(to_json([grade]))["submissions"][0]
    assert [check["points"] for check in row["checks"]] == [shown, shown] and row["score"] == both
    assert rows(plain_csv([grade]))[1][2:6] == [points(both), "3", points(shown), points(shown)]
    assert rows(canvas_csv([grade], "a"))[2][5] == points(both)
    assert f"{points(both)} of 3 points" in to_markdown(grade) and f"{points(both)} of 3 points" in to_html(grade)


def test_a_bonus_is_told_apart():
    checks = (CheckResult("vae.a", "a", True, 10, 10), CheckResult("gan.a", "a", True, 1.5, 2))
    assert str(Grade("s", "graded", 10, checks)) == "10 of 10 points, and 1.5 of 2 as a bonus"
    assert str(Grade("s", "graded", 10, checks[:1])) == "10 of 10 points"
    assert "10 of 10 points, and 1.5 of 2 as a bonus" in to_html(Grade("s", "graded", 10, checks))
    assert Grade("s", "graded", 10, checks).score == 11.5


def test_what_it_was_made_with_is_at_the_foot_and_students_get_no_seed():
    made = Made("ct.toml", "1a2b3c", "987654321", "0.1.0 9f9f", "2026-06-14")
    said = "ct.toml 1a2b3c, coursekit 0.1.0 9f9f, code run until 2026-06-14"
    page = class_page(GRADES, {}, made)
    assert said in page and "seed 987654321" in page
    for text in (to_html(GRADES[0], made), to_markdown(GRADES[0], made)):
        assert said in text.replace("\\", "") and "987654321" not in text
    assert json.loads(to_json(GRADES, made))["made_with"]["seed"] == "987654321"
    assert from_json(to_json(GRADES, made), "grades.json") == GRADES


def test_what_could_not_be_made_counts_as_not_passed_and_what_was_refused_has_no_numbers():
    text = class_page(GRADES, {})
    cells = re.findall(r"<tr><td>2021000001</td>.*?</tr>", text)[0]
    assert cells.endswith('<td class=number data-value="2">2</td></tr>')
    assert re.findall(r"<tr><td>=HYPERLINK.*?</tr>", text)[0].endswith("<td></td><td></td></tr>")


def test_grades_json_has_the_agreed_form_and_can_be_read_again():
    text = to_json(GRADES)
    first = json.loads(text)["submissions"][0]
    assert {"student", "status", "score", "max_score", "checks"} <= set(first)
    assert {"id", "passed", "points", "max_points", "message"} <= set(first["checks"][0])
    assert (first["score"], first["max_score"]) == (3.5, 6)
    assert from_json(text, "grades.json") == GRADES


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"submissions": [{}]}', '{"submissions": [{"student": 1'])
def test_a_damaged_gradebook_is_one_line(text):
    with pytest.raises(CourseError, match=r"^grades\.json: not a gradebook, or damaged") as error:
        from_json(text, "grades.json")
    assert "\n" not in str(error.value)


def test_plain_csv_has_a_row_a_student_and_a_column_a_check():
    table = rows(plain_csv(GRADES))
    assert table[0] == ["student", "status", "score", "max_score", "vae.rows", "vae.kl", "vae.step", "remarks"]
    assert table[1] == ["2021000001", "graded", "3.5", "6", "3", "0.5", "0", "summary.txt is missing"]
    assert table[2] == ["2021000002", "graded", "5", "6", "3", "2", "", ""]
    assert len(table) == 4


def test_platforms_csv():
    canvas = rows(canvas_csv(GRADES, "Generative models"))
    assert canvas[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Generative models"]
    assert canvas[1] == ["Points Possible", "", "", "", "", "6"]
    assert canvas[2] == ["", "", "2021000001", "", "", "3.5"]
    assert canvas[4][5] == ""  # refused: a person decides, and no 0 is imported
    moodle = rows(moodle_csv(GRADES, "Generative models"))
    assert moodle[0] == ["ID number", "Generative models", "Feedback"]
    assert moodle[1][:2] == ["2021000001", "3.5"] and "kl_loss is averaged: your KL is summed" in moodle[1][2]


STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t", "\r", "\n")
BLANKS = ("", " ", "   ", "\u00a0", "\u3000", "\ufeff", "\u200b", "\x0b")
SEPARATORS = (";", ",", "\t", "|", "\r", "\n")


def three_csv(text: str) -> list[str]:
    """All spreadsheets of a class in which every text that a student can choose is this one."""
    grade = Grade(text, "graded", 1, (CheckResult("a", "t", False, 0, 1, text),), (text,))
    refused = Grade(text, f"refused: {text}", 1, (), (text, text))
    return [plain_csv([grade, refused]), canvas_csv([grade, refused], text), moodle_csv([grade, refused], text)]


@pytest.mark.parametrize("blanks", BLANKS)
@pytest.mark.parametrize("start", STARTS)
def test_no_cell_is_a_formula(start, blanks):
    for text in three_csv(f"{blanks}{start}1+1"):
        cells = [cell for row in rows(text) for cell in row]
        assert not any(cell.strip("".join(BLANKS)).startswith(STARTS) for cell in cells), cells
        assert any(f"'{blanks}{start}1+1" in cell for cell in cells)


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("start", STARTS[:8])
def test_no_part_of_a_cell_is_a_formula_where_the_separator_is_another_one(separator, start):
    evil = f"a{separator}{start}1+1{separator} {start}cmd|' /C calc'!A0{separator}b"
    for text in three_csv(evil):
        for cell in (cell for row in rows(text) for cell in row):
            parts = re.split(r"[;,|\t\r\n]", cell)
            assert not any(part.strip().startswith(STARTS[:8]) for part in parts), cell


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_a_text_stays_in_its_quotes_whatever_the_separator_is(delimiter):
    """The hand-in `a;=1+1;b.zip`, as a spreadsheet opens it whose separator is no comma."""
    for text in three_csv(f"a{delimiter}=1+1{delimiter}b"):
        for line in csv.reader(io.StringIO(text.removeprefix(BYTE_ORDER_MARK)), delimiter=delimiter):
            assert not any(cell.startswith(STARTS) for cell in line)
        assert f"\"a{delimiter}'=1+1{delimiter}b" in text


def test_what_is_no_formula_stays_as_it_is():
    for text in ("log \u03c3 has shape (2, -1), not (2, 3, -1)", "a-b; c=d, e+f", "x@y.org", "Ada Lovelace", "1 = 1"):
        assert harmless(text) == text


def test_looking_for_formulas_takes_time_in_proportion():
    def seconds(length: int) -> float:
        began = time.process_time()
        for piece in (" ", ",", ", ", "\n", "\n ", ";\u200b", ", -1", "9"):
            harmless(piece * length)
        return time.process_time() - began

    assert seconds(80_000) < 8 * seconds(20_000)


def test_feedback_says_what_is_wrong_first_and_what_was_not_looked_at():
    text = to_markdown(GRADES[0])
    assert text.startswith("# 2021000001: 3.5 of 6 points\n")
    wrong, waits, right = (text.index(title) for title in ("is not right yet", "Not checked", "is right\n"))
    assert wrong < text.index("kl\\_loss is averaged") < waits < text.index("one step is right") < right
    assert "  your KL is summed:\n  divide by the batch\n" in text and "summary.txt is missing" in text

    page = Page(to_html(GRADES[0]))
    assert page.tags.count("li") == 4 and "3.5 of 6 points" in page.words
    assert "Not graded: refused" in to_html(GRADES[2]) and "Not graded" not in to_html(GRADES[0])


def test_a_text_that_is_cut_is_cut_at_a_word_and_says_so():
    assert shortened("all of it", 9) == "all of it"
    assert shortened("Saved intermediates of it", 20) == "Saved intermediates…"
    assert shortened("Saved intermediates, of it", 24) == "Saved intermediates, of…"
    assert shortened("Saved intermediates, of it", 22) == "Saved intermediates…"
    assert shortened("x" * 30, 20) == "x" * 19 + "…"
    assert shortened("a " + "x" * 30, 20) == "a " + "x" * 17 + "…"


def test_what_stopped_the_code_is_cut_at_a_word_before_the_hint():
    said = "Trying to backward through the graph a second time " * 10
    sentence = Failure("RuntimeError", said, "GAN/trainer.py:50", 2, "Block 2 has used up G's graph.").sentence()
    said, _, hint = sentence.partition("… ")
    assert said.split()[-1] in said.split()[:-1] and hint == "Block 2 has used up G's graph."
    assert Failure("E", "x", hint="Why.").sentence() == "your code stops with E: x. Why."
    assert read_failure({"type": "E", "message": "word " * 10**5}).message == "word " * 79 + "word…"


def test_nothing_of_a_student_s_becomes_markup():
    for text in (to_html(GRADES[2]), class_page(GRADES, {EVIL: f"feedback/{EVIL}.html"})):
        assert "<script>alert" not in text and "\u202e" not in text and "\\u202e" in text
    assert Page(to_html(GRADES[2])).tags.count("script") == 0
    markdown = to_markdown(GRADES[2])
    assert "<script" not in markdown.replace("\\<", "") and "\u202e" not in markdown


def test_gradescope_s_results():
    results = json.loads(to_gradescope(GRADES[0]))
    assert results["score"] == 3.5 and results["output"] == "summary.txt is missing"
    assert [test["status"] for test in results["tests"]] == ["passed", "failed", "failed"]
    assert {"name", "number", "score", "max_score", "status", "output", "visibility"} <= set(results["tests"][0])
    assert results["tests"][1]["output"] == KL.message


def test_the_page_of_a_class_shows_distribution_checks_and_students_and_needs_no_network():
    text = class_page(GRADES, {"2021000001": "feedback/2021000001.html"})
    page = Page(text)
    assert page.links == ["#checks", "#students", "feedback/2021000001.html"]
    assert "3 submissions, 2 graded; mean 4.25, median 4.25 of 6 points" in page.words
    assert page.tags.count("rect") == 11 and page.tags.count("table") == 2
    assert "50 to 60 %: 1" in text and "80 to 90 %: 1" in text
    assert re.findall(r"<td>(vae\.\w+)</td>", text)[0] == "vae.kl"  # the check that fails most comes first
    assert "http" not in text.replace(EVIL, "").replace("http-equiv", "").replace("http://evil", "")


def test_a_bonus_is_all_of_the_points_and_more():
    text = class_page([Grade("s", "graded", 2, (ROWS,))], {})
    assert "100 % and more: 1" in text and "90 to 100 %: 0" in text


def test_what_was_not_checked_says_that_it_gives_no_points():
    waits = CheckResult("vae.step", "one step is right", None, 0, 1, "waits for vae.kl")
    for shown in (to_markdown(Grade("s", "graded", 6, (KL, waits))), to_html(Grade("s", "graded", 6, (KL, waits)))):
        assert "These give no points" in shown
    assert "no points" not in to_markdown(Grade("s", "graded", 6, (KL,)))


def test_a_class_without_a_graded_submission_still_has_a_page():
    assert "1 submission, 0 graded" in class_page(GRADES[2:], {})
    assert "0 submissions" in class_page([], {})
