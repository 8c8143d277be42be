"""The report of similar work: what it shows, what it never does with a student's text, and how a browser takes it."""

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from chromium import PATH, Chromium
from html_page import Page
from similar_class import BLOCKS, comparison, of_400, pair, small, work

from autograder.similarity.model import SLIPS, TEXT, TOKENS, BlockKey, Match, OutsideEdit, TraceMatch, WorkKey
from autograder.similarity.report import write_report
from autograder.similarity.report.clusters import components, layout
from autograder.similarity.report.pair_page import regions
from autograder.similarity.report.words import CAUTION, chance, short_chance, split_lines

EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'\u202e\x00\x1b]0;\ud800"


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pages(folder: Path) -> dict[str, Page]:
    return {name: Page(data.decode()) for name, data in files(folder).items()}


def check_links(folder: Path) -> None:
    found = pages(folder)
    for name, page in found.items():
        assert len(page.ids) == len(set(page.ids)) and set(page.matches) <= set(page.ids), name
        for link in page.links:
            address, _, fragment = link.partition("#")
            target = name if not address else (folder / name).parent.joinpath(unquote(address)).resolve()
            target = target if not address else target.relative_to(folder.resolve()).as_posix()
            assert target in found and (not fragment or fragment in found[target].ids), (name, link)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of a small class."""
    folder = tmp_path_factory.mktemp("small") / "report"
    assert write_report(*small(), folder) == folder / "index.html"
    return folder


def test_expected_false_alarms_are_said_in_words():
    assert chance(0.0005) == "about 1 such pair in 2,000 classes like this by chance"
    assert chance(0.000503) == "about 1 such pair in 2,000 classes like this by chance"  # no false precision
    assert chance(0.3) == "about 1 such pair in 3 classes like this by chance"
    assert chance(1.0) == "about 1 such pair in a class like this by chance"
    assert chance(1234.0) == "about 1,200 such pairs in a class like this by chance"
    assert chance(0.0) == chance(1e-30) == "fewer than 1 such pair in 1,000,000 classes like this by chance"
    assert chance(float("nan")) == chance(float("inf")) == "how often such a pair comes by chance is not known"
    assert [short_chance(value) for value in (0.0, 0.02, 4.2)] == [
        "under 1 in a million classes",
        "1 in 50 classes",
        "4 in each class",
    ]


def test_lines_are_counted_as_python_counts_them():
    assert split_lines("a\r\nb\rc\n\x0c\u2028d\n") == ["a", "b", "c", "\x0c\u2028d"] and split_lines("") == []


def test_the_index_shows_all_that_was_found(report):
    page = pages(report)["index.html"]
    assert CAUTION in page.text and "never a verdict" in CAUTION
    assert (
        "7 hand-ins of this year, 2 of earlier years (2023, 2024); 5 pairs listed; 5 below the 70 % rule" in page.text
    )
    for words in (
        "1 in 2,000 classes",
        "one names the other",
        "same person",
        "declare each other",
        "Ada Lovelace: 2021000004",
        "VAE/model.py, line 7: import torch, os",
        "an older hand-in, 2021000001-1.zip, was passed over",
        "2021000008.zip can't be read",
        "12,000 pairs of different years",
        "at most 0.5 are expected in this class",
        "below the rule",
        "report text",
        "log digits",
    ):
        assert words in page.text, words
    assert page.ids.count("table-listed") == page.ids.count("table-declared") == page.ids.count("table-next") == 1
    assert page.tags.count("svg") == 7 + 7 + 2  # a strip for each pair, a bar for each student, two clusters
    text = (report / "index.html").read_text()
    assert text.count('data-fired="0.0 0.1 0.2 0.3 0.4') >= 2  # what the filters read
    assert text.index("declared>Pairs that declare") > text.index("id=table-listed")


def test_a_pair_s_page_says_why_and_shows_both_sides(report):
    page = pages(report)["pairs/2021000001_2021000002.html"]
    assert CAUTION in page.text
    assert "Fewer than 1 such pair in 1,000,000 classes like this by chance. Similarity 0.93." in page.text
    assert "the comment's “lattent”, in 2 of 400 works" in page.text and "20.5 bits" in page.text
    assert "The posterior collapses" in page.text and "the rarest also in 2 other works" in page.text
    assert "+ import torch, os" in page.text and "- import torch" in page.text
    text = (report / "pairs/2021000001_2021000002.html").read_text()
    left = re.search(r'<div class="l (c\d)" id=a0-44 data-m=(m0-\d)><b><a href="#b0-45"[^>]*>44</a></b>', text)
    right = re.search(r'<div class="l (c\d)" id=b0-45 data-m=(m0-\d)><b><a href="#a0-44"[^>]*>45</a></b>', text)
    assert left and right and left.groups() == right.groups()
    assert '<div class="l g" id=a0-40><b>40</b>' in text  # the scaffold's own line
    assert "for step in range(3):" in page.text and "for i in range(3):" in page.text


def test_an_archived_side_without_its_source_says_so(report):
    page = pages(report)["pairs/2021000005_2023-2020000042.html"]
    assert "only fingerprints are kept" in page.text and "line 41 ↔ lines not kept" in page.text
    assert "same person" in page.text and "a0-41" in page.ids and "b0-41" not in page.ids


def test_a_pair_below_the_cut_off_says_so(report):
    assert "below the cut-off, and not listed" in pages(report)["pairs/2021000004_2021000006.html"].text


def test_links_resolve_and_nothing_comes_from_a_network(report):
    check_links(report)
    for name, data in files(report).items():
        text = data.decode()
        assert b"Content-Security-Policy" in data and "default-src 'none'" in text, name
        assert "http" not in text.replace("http-equiv", "").lower() and "//" not in text.replace("</", ""), name


def test_the_same_input_gives_the_same_bytes(report, tmp_path):
    found, works = small()
    write_report(found, dict(reversed(works.items())), tmp_path)
    assert files(tmp_path) == files(report)


def test_writing_again_removes_stale_pages_of_its_own_only(tmp_path):
    found, works = small()
    write_report(found, works, tmp_path)
    gone = tmp_path / "pairs" / "2021000006_2021000007.html"
    notes = gone.with_name("my notes.html")
    notes.write_bytes(gone.read_bytes())  # a copy under another name is a person's
    (tmp_path / "pairs" / "other.html").write_text("<p>mine")
    write_report(replace(found, pairs=found.pairs[:4]), works, tmp_path)
    assert not gone.exists() and notes.exists() and (tmp_path / "pairs" / "other.html").exists()
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("name", [EVIL, "../../x", "con", "a/b", "", "x" * 5000, "javascript:alert(1)"])
def test_no_name_becomes_markup_or_a_path(name, tmp_path):
    works = [work("1"), work(name), work(name + "2", "2024" + name)]
    keys = [one.key for one in works]
    found = comparison(works, [pair(keys[0], keys[1]), pair(keys[1], keys[2])])
    write_report(found, {one.key: one for one in works}, tmp_path / "report")
    assert set(tmp_path.iterdir()) == {tmp_path / "report"}
    assert len(list((tmp_path / "report" / "pairs").iterdir())) == 2
    check_links(tmp_path / "report")
    assert_harmless(tmp_path / "report")


def test_nothing_of_a_student_s_becomes_markup(tmp_path):
    block = BlockKey(f"{EVIL}.py", 1)
    more = {
        "outside": (OutsideEdit(EVIL, 3, (EVIL,), (EVIL,)),),
        "references": ((BLOCKS[0], EVIL), (block, EVIL)),
        "partners": (EVIL,),
        "remarks": (EVIL,),
    }
    works = [work(EVIL, code=f"# {EVIL}\n{EVIL}\r\n</div></script>", **more), work("2", **more)]
    works[1] = replace(works[1], label=EVIL, blocks={**works[1].blocks, block: works[1].blocks[BLOCKS[0]]})
    traces = (TraceMatch("images", 1, (EVIL,), 3),)
    match = Match(TEXT, block, (41, 41), (41, 41), 3.0, EVIL)
    shared = pair(works[1].key, works[0].key, traces=traces, marks=(EVIL,))
    shared = replace(shared, matches=(*shared.matches, match))
    found = comparison(works, [shared], remarks=(EVIL,), calibration=EVIL, scaffold=EVIL)
    write_report(found, {one.key: one for one in works}, tmp_path)
    check_links(tmp_path)
    assert_harmless(tmp_path)


def assert_harmless(folder: Path) -> None:
    for name, page in pages(folder).items():
        text = (folder / name).read_text()
        assert page.tags.count("script") == 1 and "img" not in page.tags, name
        assert not any(char in text for char in "\u202e\x00\x1b"), name


@pytest.mark.slow
def test_a_class_of_400_is_small_enough(tmp_path):
    write_report(*of_400(), tmp_path)
    found = files(tmp_path)
    assert len(found) == 81 and sum(map(len, found.values())) <= 20_000_000
    check_links(tmp_path)


def test_no_hand_in_makes_the_report_too_large(tmp_path):
    long = work("1", code="x = '" + "\x00" * 5000 + "'\n", repeat=3000, remarks=("\x00" * 100_000,) * 50)
    other = work("2", references=((BLOCKS[0], "&" * 100_000),) * 1000)
    write_report(
        comparison([long, other], [pair(long.key, other.key)]), {one.key: one for one in (long, other)}, tmp_path
    )
    assert sum(map(len, files(tmp_path).values())) < 1_000_000
    assert "left out" in next(page for name, page in pages(tmp_path).items() if "pairs" in name).text


def test_an_empty_class_has_a_report_too(tmp_path):
    found = replace(comparison([work("1")], []), works=(), own=(), table=())
    write_report(found, {}, tmp_path)
    page = pages(tmp_path)["index.html"]
    assert "0 hand-ins of this year; 0 pairs listed" in page.text and "No pair is listed." in page.text


def test_what_goes_on_on_both_sides_is_one_colour():
    def match(a: int, b: int, lines: int = 2, weight: float = 5.0, view: str = TOKENS) -> Match:
        return Match(view, BLOCKS[0], (a, a + lines - 1), (b, b + lines - 1), weight, "rare")

    found = regions([match(1, 11), match(3, 13), match(20, 40), match(1, 11, view=SLIPS), match(30, 5, weight=4.0)])
    assert [(region.lines_a, len(region.matches), region.weight) for region in found[:2]] == [
        ((1, 2), 2, 10),
        ((3, 4), 1, 5),
    ]
    colours = [region.colour for region in found]
    assert colours[0] == colours[1] and len({colours[0], colours[2], colours[3]}) == 3


def test_clusters_are_what_hangs_together():
    keys = [WorkKey("", str(n)) for n in range(8)]
    pairs = [pair(keys[a], keys[b]) for a, b in ((0, 1), (2, 3), (4, 5), (3, 4), (2, 5))]
    found = components(pairs)
    assert [[(p.a.person, p.b.person) for p in cluster] for cluster in found] == [
        [("2", "3"), ("4", "5"), ("3", "4"), ("2", "5")],
        [("0", "1")],
    ]


@pytest.mark.parametrize("count", [2, 3, 12, 60])
def test_in_a_drawing_no_name_lies_on_another(count):
    edges = [(n // 2, n) for n in range(1, count)]
    places = layout(count, edges)
    assert places == layout(count, edges) and len(places) == count
    for n, (x, y) in enumerate(places):
        assert not any(abs(x - u) < 90 and abs(y - v) < 30 for u, v in places[:n])


def test_a_cluster_too_large_to_draw_is_a_list(tmp_path):
    works = [work(str(100 + n)) for n in range(62)]
    pairs = [pair(works[0].key, one.key, blocks=BLOCKS[:1]) for one in works[1:]]
    write_report(comparison(works, pairs), {}, tmp_path)
    page = pages(tmp_path)["index.html"]
    assert "62 students, 61 pairs" in page.text and "Too many to draw." in page.text and "circle" not in page.tags
    check_links(tmp_path)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A real browser, where one is installed."""
    if PATH is None:
        pytest.skip("no Chromium is installed")
    browser = Chromium(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


SHOWN = "[...document.querySelectorAll('tr[data-fired]')].filter(row => row.checkVisibility()).length"


def choose(browser: Chromium, name: str, value: str) -> int:
    """Set a filter as a person does; how many rows are left."""
    field = f"document.getElementById('filter-{name}')"
    browser.run(f"{field}.value = '{value}'; {field}.dispatchEvent(new Event('input', {{ bubbles: true }}))")
    assert browser.run(f"{field}.value") == value
    return browser.run(SHOWN)


def test_in_a_browser_filters_leave_what_they_name(browser, report):
    browser.look()
    browser.open(report / "index.html")
    assert browser.run(SHOWN) == 7 and browser.run("document.getElementById('left').textContent") == "all 7 pairs shown"
    assert choose(browser, "year", "=2024") == 1
    assert browser.run("document.querySelectorAll('svg.graph .off').length") == 4
    assert choose(browser, "year", "=") == 5
    assert choose(browser, "year", "all") == 7
    assert choose(browser, "block", "8") == 2 and choose(browser, "view", "4") == 2
    assert browser.run("document.getElementById('left').textContent") == "2 of 7 pairs shown"
    browser.click("#filter-none")
    assert browser.run(SHOWN) == 7
    assert choose(browser, "who", "2021000007") == 1
    browser.click("#filter-none")
    assert browser.complaints == []


def test_in_a_browser_tables_are_sorted_by_numbers_and_keys(browser, report):
    browser.look()
    browser.open(report / "index.html")
    ranks = "[...document.querySelectorAll('#table-listed tbody tr')].map(row => row.cells[0].textContent).join('')"
    browser.click("#table-listed th:nth-child(6) button")
    assert browser.run(ranks) == "54321"
    browser.run("document.querySelector('#table-listed th:nth-child(5) button').focus()")
    browser.press("Enter")
    assert browser.run(ranks) == "12345"  # 1e-09 before 0.0005
    browser.press("Enter")
    assert browser.run(ranks) == "54321" and browser.complaints == []


def test_in_a_browser_links_lead_to_the_pair_and_back(browser, report):
    browser.look()
    for selector in ("#table-listed td a", "svg.graph a.edge", "svg.graph a.node"):
        browser.open(report / "index.html")
        assert "/pairs/20" in browser.follow(selector)
        assert browser.follow("nav a").endswith("/index.html")
    assert browser.complaints == []
    assert browser.requests and not [url for url in browser.requests if not url.startswith(("file:", "about:"))]


def test_in_a_browser_a_match_marks_its_other_side(browser, report):
    browser.look()
    browser.open(report / "pairs/2021000001_2021000002.html")
    marked = "[...document.querySelectorAll('.l.on')].map(line => line.id).join(' ')"
    browser.click("#a0-44 > span")
    assert browser.run(marked) == "a0-44 b0-45"
    browser.click("#m0-0 button")
    assert browser.run(marked) == "a0-42 a0-43 b0-42 b0-43"
    browser.press("Escape")
    assert browser.run(marked) == ""
    browser.run("document.querySelector('#b0-45 a').focus()")  # the keyboard does what the mouse does
    assert browser.run(marked) == "a0-44 b0-45"
    browser.press("Enter")
    assert browser.run("location.hash") == "#a0-44" and browser.complaints == []


@pytest.mark.parametrize("dark", [False, True])
def test_in_a_browser_a_phone_needs_no_scrolling_sideways(browser, report, dark):
    browser.look(390, 844, dark)
    for path in sorted(report.rglob("*.html")):
        browser.open(path)
        assert browser.run("document.documentElement.scrollWidth") <= 390, path.name
        if path.parent.name == "pairs":
            tops = "['a0-41', 'b0-41'].map(id => document.getElementById(id)?.getBoundingClientRect())"
            stacked = browser.run(f"(([a, b]) => !a || !b || (a.left === b.left && a.bottom < b.top))({tops})")
            assert stacked, path.name
        colours = browser.run(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        assert (colours[0] == "rgb(255, 255, 255)") is dark
    assert browser.complaints == []


def test_in_a_browser_nothing_of_a_student_s_runs(browser, tmp_path):
    works = [work(EVIL, code=f"{EVIL}\n</script></style>\n"), work("2")]
    write_report(comparison(works, [pair(works[1].key, works[0].key)]), {one.key: one for one in works}, tmp_path)
    browser.look()
    for path in sorted(tmp_path.rglob("*.html")):
        browser.open(path)
        assert browser.run("document.images.length + document.scripts.length") == 1
    assert browser.complaints == []
