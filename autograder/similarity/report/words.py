"""Numbers and names of the report, as a person reads them. What comes out is plain text where it doesn't say HTML."""

import math
import re

from autograder.page import escape
from autograder.similarity.model import ELSEWHERE, THIS_YEAR, BlockKey, WorkKey
from code_analyze.summary import visible

CAUTION = (
    "This is evidence for a person to judge, never a verdict. Work can be alike because of the lecture, of a permitted "
    "source, or by chance: read both sides, and hear both students, before you conclude anything."
)
_RAREST = 1_000_000  # beyond that, no calibration on a class or two says anything
_LINE_END = re.compile(r"\r\n|\r|\n")  # Python's own


def chance(expected: float) -> str:
    """Say how many pairs would be so alike by chance, such as "about 1 such pair in 2,000 classes like this"."""
    if not expected >= 0 or math.isinf(expected):
        return "how often such a pair comes by chance is not known"
    if expected < 1 / _RAREST:
        return f"fewer than 1 such pair in {_RAREST:,} classes like this by chance"
    if expected < 1 / 1.5:
        return f"about 1 such pair in {_rounded(1 / expected):,} classes like this by chance"
    count = _rounded(expected)
    return f"about {count:,} such pair{'s' * (count != 1)} in a class like this by chance"


def short_chance(expected: float) -> str:
    """Say the same in a table's cell: "1 in 2,000 classes"."""
    if not expected >= 0 or math.isinf(expected):
        return "not known"
    if expected < 1 / _RAREST:
        return "under 1 in a million classes"
    if expected < 1 / 1.5:
        return f"1 in {_rounded(1 / expected):,} classes"
    return f"{_rounded(expected):,} in each class"


def _rounded(number: float) -> int:
    """Two digits that count; more would claim what no calibration knows."""
    return max(1, int(float(f"{number:.1e}"))) if number >= 10 else max(1, round(number))


def percent(share: float) -> str:
    """A share in [0, 1] in per cent."""
    return f"{100 * share:.0f} %" if math.isfinite(share) else "not known"


def counted(number: int, noun: str) -> str:
    """ "1 pair", "2 pairs", "1,000 pairs"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def in_lines(lines: tuple[int, int]) -> str:
    """ "line 3", "lines 3–5"."""
    first, last = lines
    return f"line {first}" if first == last else f"lines {first}–{last}"


def block_name(key: BlockKey) -> str:
    """ "VAE/model.py, block 2"."""
    return key.file if key == ELSEWHERE else f"{key.file}, block {key.number}"


def year_name(year: str) -> str:
    """ "this year", or the earlier year's own name."""
    return "this year" if year == THIS_YEAR else year


def shortened(text: str, most: int) -> str:
    """At most so many characters of a student's text, as HTML, saying what was left out."""
    rest = len(text) - most
    return escape(text) if rest <= 0 else f"{escape(text[:most])}… <small>({counted(rest, 'character')} more)</small>"


def label(key: WorkKey, most: int = 60) -> str:
    """Whose work it is, as HTML on one line."""
    name = visible(key.label)
    return escape(name if len(name) <= most else name[: most - 1] + "…")


def split_lines(text: str) -> list[str]:
    """A block's lines without their ends, counted as Python counts them."""
    lines = _LINE_END.split(text)
    return lines[:-1] if lines[-1] == "" else lines
