"""What reads a student's text takes time in proportion to its length, whatever the text is.

Every regular expression of the kit is found by itself, in the modules' globals and in their source, and tried by the
methods that it is used by on texts made of its own characters. Time is this process's own, and a slow one is measured
again before it counts.
"""

import ast
import contextlib
import gc
import importlib
import pkgutil
import re
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

import autograder
import code_analyze
import coursekit
from autograder.evidence import Failure, read_failure
from autograder.names import folder_name, read_name
from autograder.sandbox.evidence import EvidenceError, read_json
from autograder.summaries import is_same_summary
from code_analyze.blocks import MarkerError, find_blocks, find_markers
from code_analyze.compare import compare
from code_analyze.references import find_references, names_source, valid_reference
from code_analyze.source import Comment, find_comments, split_lines
from code_analyze.summary import to_json, to_text, visible
from code_analyze.tree import File, Tree, decode_python
from code_analyze.units import line_units, read_code

try:
    from re import _parser as sre_parse
except ImportError:  # Python 3.10
    import sre_parse

warnings.filterwarnings("ignore", category=DeprecationWarning, module="sre_parse")

PACKAGES = (autograder, code_analyze, coursekit)
LENGTH = 2_000  # characters
UNNOTICED_S = 0.001  # for twice as many; whatever takes the square takes several times that
HOPELESS = 50  # times as long is no noise
RATIO = 3.0  # of the times for twice the text: 2 where it is linear, 4 where it is the square
TRIES = 8
METHODS = ("search", "match", "fullmatch", "findall")
SEARCHING = {"sub": "findall", "subn": "findall", "split": "findall", "finditer": "findall"}
SEARCHING |= {method: method for method in METHODS}


def seconds(function: Callable[[], object]) -> float:
    """This process's time, without the garbage collector's, which looks through all that other tests have left."""
    gc.disable()
    try:
        begin = time.process_time()
        function()
        return time.process_time() - begin
    finally:
        gc.enable()


def is_linear(run: Callable[[str], object], text: Callable[[int], str], length: int, unnoticed: float) -> bool:
    """Whether twice the length takes less than RATIO times as long, or nearly nothing."""
    once, twice = text(length), text(2 * length)
    shorter, longer = [], []
    for _ in range(TRIES):
        longer.append(seconds(partial(run, twice)))
        if min(longer) < unnoticed:
            return True
        shorter.append(seconds(partial(run, once)))
        if min(longer) < RATIO * min(shorter):  # what else the machine does only adds to either
            return True
        if len(longer) > 1 and min(longer) > HOPELESS * unnoticed:
            return False
    return False


# Regular expressions.


def patterns() -> dict[str, tuple[re.Pattern, set[str]]]:
    """Every pattern of the kit, with the methods that it is used by; all of them where that is not seen."""
    found: dict[str, tuple[re.Pattern, set[str]]] = {}
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            source = Path(module.module_finder.path, f"{module.name.rpartition('.')[2]}.py")
            source = source if source.is_file() else source.with_suffix("") / "__init__.py"
            text = source.read_text(encoding="utf-8")
            if "re." not in text or module.name.endswith("__main__"):
                continue
            tree, used = ast.parse(text), defaultdict(set)
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and node.attr in SEARCHING and isinstance(node.value, ast.Name):
                    used[node.value.id].add(SEARCHING[node.attr])
            found |= {f"{module.name}:{line}": (one, {method}) for line, one, method in inline(tree)}
            held_there = held(importlib.import_module(module.name))
            found |= {f"{module.name}.{name}": (one, used[name] or set(METHODS)) for name, one in held_there}
    return found


def held(module: ModuleType) -> Iterator[tuple[str, re.Pattern]]:
    """Patterns that a module has made, or keeps in tuples and the like."""
    for name, value in vars(module).items():
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list, set)) else ()
        for one in (value, *inner):
            if isinstance(one, re.Pattern):
                yield name, one


def inline(tree: ast.AST) -> Iterator[tuple[int, re.Pattern, str]]:
    """Patterns that are written where they are used, such as `re.sub(r"[0-9]+", ...)`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
            continue
        is_re = isinstance(node.func.value, ast.Name) and node.func.value.id == "re" and node.func.attr in SEARCHING
        if is_re and isinstance(node.args[0], ast.Constant):
            yield node.lineno, re.compile(node.args[0].value), SEARCHING[node.func.attr]


def pieces(parsed: sre_parse.SubPattern) -> Iterator[str]:
    """Characters of a text that a parsed pattern matches, more or less: of several ways the first, once each."""
    for operation, argument in parsed:
        name = str(operation)
        if name == "LITERAL":
            yield chr(argument)
        elif name in ("NOT_LITERAL", "ANY"):
            yield "a"
        elif name == "IN":
            yield from list(of_a_set(argument))[:1]
        elif name == "BRANCH":
            yield from pieces(argument[1][0])
        elif isinstance(argument, tuple):
            for part in argument:
                if isinstance(part, sre_parse.SubPattern):
                    yield from pieces(part)


def of_a_set(items: list) -> Iterator[str]:
    """A character for each part of a set."""
    for operation, argument in items:
        name = str(operation)
        if name == "NEGATE":
            yield "a"
        elif name == "LITERAL":
            yield chr(argument)
        elif name == "RANGE":
            yield chr(argument[0])
        elif name == "CATEGORY":
            yield {"CATEGORY_DIGIT": "1", "CATEGORY_SPACE": " "}.get(str(argument), "a")


def spoken_of(parsed: sre_parse.SubPattern) -> Iterator[str]:
    """All characters that a parsed pattern speaks of."""
    for operation, argument in parsed:
        name = str(operation)
        if name in ("LITERAL", "NOT_LITERAL"):
            yield chr(argument)
        elif name == "IN":
            yield from of_a_set(argument)
        elif name == "BRANCH":
            for branch in argument[1]:
                yield from spoken_of(branch)
        elif isinstance(argument, tuple):
            for part in argument:
                if isinstance(part, sre_parse.SubPattern):
                    yield from spoken_of(part)


def texts(pattern: re.Pattern) -> list[Callable[[int], str]]:
    """Adversarial texts of any length, built from what a pattern speaks of."""
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin1")
    parsed = sre_parse.parse(source, pattern.flags & ~re.UNICODE)
    own, sentence = list(dict.fromkeys(spoken_of(parsed))), "".join(pieces(parsed))
    letters = list(dict.fromkeys([*own[:20], *' #"\\a1_\n']))
    starts = dict.fromkeys([*(sentence[:end] for end in range(len(sentence) + 1)), *own[:4]])
    made = [partial(repeated, start, one, end) for start in starts for one in letters for end in ("", "!", "a", "\n!")]
    pairs = [one + other for one in letters for other in letters if one != other]
    return [*made, *(partial(repeated, "", unit, "!") for unit in (*pairs, sentence, f"{sentence} ", f"{sentence}\n"))]


def repeated(start: str, unit: str, end: str, length: int) -> str:
    return start + unit * (length // max(len(unit), 1)) + end


KNOWN = patterns()


def test_the_kit_s_patterns_are_found():
    assert {"autograder.sandbox.evidence._STRUCTURE", "code_analyze.references._ALMOST", "autograder.names._COPY"} <= {
        *KNOWN
    }
    assert any(name.startswith("autograder.evidence:") for name in KNOWN)
    assert len(KNOWN) > 40
    assert KNOWN["code_analyze.references._LINK"][1] == {"fullmatch"}


@pytest.mark.parametrize("name", KNOWN)
def test_every_pattern_is_linear(name):
    pattern, methods = KNOWN[name]
    for text in texts(pattern):
        for method in methods:
            run = partial(applied, getattr(pattern, method), isinstance(pattern.pattern, bytes))
            assert is_linear(run, text, LENGTH, UNNOTICED_S), (method, text.args)


def applied(method: Callable[[str | bytes], object], is_bytes: bool, text: str) -> None:
    method(text.encode() if is_bytes else text)


@pytest.mark.parametrize(
    "slow",
    [
        (r'"(?:[^"\\]|\\.)*"', "findall"),
        (r"#.*?(?:\bref\s*:|\bstudent id\b)", "search"),
        (r"(?im)^(#[ \t]*todo[ \t]+start)\b[ \t]*([^\n\r]*?)[ \t]*$", "findall"),
        (r"(.+?)\s*\((\d+)\)", "fullmatch"),
        (r"\s+$", "search"),
    ],
)
def test_a_slow_pattern_would_be_found(slow):
    pattern = re.compile(slow[0], re.DOTALL if slow[0].startswith('"') else 0)
    run = getattr(pattern, slow[1])
    assert not all(is_linear(run, text, LENGTH, UNNOTICED_S) for text in texts(pattern))


# Functions.

UNITS = [
    "#",
    " ",
    '"',
    "\\",
    '\\"',
    "'",
    '"""',
    "[",
    "{",
    "(",
    "[]",
    "1",
    "1.",
    "_",
    "a",
    "ä",
    "\n",
    "\r",
    "\0",
    ",",
    ":",
]
UNITS += [
    "# TODO START\n",
    "# todo",
    "# TODO START x ",
    "# TODO START\n# TODO END\n",
    "# Reference: ",
    "ref ",
    "name: ",
]
UNITS += ["name: a, ", "student ", "x = 1\n", "if x:\n", "    ", "\t", "a.", "../", "-", "\N{RIGHT-TO-LEFT OVERRIDE}"]
UNITS += ["f(", "lambda: ", '{"a":', "1e", "# block 1: ", "(1)", "_v1", "-copy", "NaN", "#" * 24 + "\n"]
STARTS = ["", "# TODO START\n", "# TODO START x", "# Reference: name: a", '"', "def f():\n    # block 1: a\n"]
ENDS = ["", "!", "\n# TODO END\n"]
NAME = "VAE/model.py"
PRISTINE = """import torch


def f(x):
    # Block 1: a
    # TODO START
    raise NotImplementedError
    # TODO END
    return x
"""


def compared(text: str) -> None:
    """What analyze.py does with a file."""
    scaffold = Tree({NAME: File(NAME, PRISTINE.encode(), PRISTINE)})
    filled = PRISTINE.replace("raise NotImplementedError", f"x = 1\n{text}\n    y = 2")
    for name, content in ((NAME, filled), (NAME, text), ("VAE/other.py", text)):
        result = compare(scaffold, Tree({name: File(name, content.encode(), content)}))
        to_text(result), to_json(result)


def comment_read(text: str) -> None:
    comment = Comment(1, f"# {text}", True)
    valid_reference(comment), names_source(comment), comment.key


def failure_read(text: str) -> None:
    failure = read_failure({"type": text, "message": text, "where": text})
    failure.sentence(), failure.cause
    failure = Failure("WrongAnswer", text)
    failure.sentence(), failure.cause


FUNCTIONS = {
    "read_json": lambda text: read_json(text.encode()),
    "split_lines": split_lines,
    "find_comments": find_comments,
    "find_markers": find_markers,
    "find_blocks": lambda text: find_blocks(text, NAME),
    "find_references": find_references,
    "references in a comment": comment_read,
    "read_code": read_code,
    "line_units": lambda text: line_units(text, True),
    "decode_python": lambda text: decode_python(text.encode()),
    "a summary": compared,
    "visible": visible,
    "is_same_summary": lambda text: is_same_summary(text.encode(), text.encode() + b"x"),
    "read_failure": failure_read,
    "read_name": read_name,
    "folder_name": lambda text: folder_name(text, set()),
}
REFUSED = (EvidenceError, MarkerError, RecursionError)
CHARACTERS = {"a summary": 400, "read_code": 1000, "read_name": 500}  # where little takes long already
FUNCTION_LENGTH = 2500
FUNCTION_UNNOTICED_S = 0.02


def quiet(function: Callable[[str], object], text: str) -> None:
    with contextlib.suppress(*REFUSED):
        function(text)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_reads_a_student_s_text_is_linear(name):
    run, length = partial(quiet, FUNCTIONS[name]), CHARACTERS.get(name, FUNCTION_LENGTH)
    slow = [
        (start, unit, end)
        for start in STARTS
        for unit in UNITS
        for end in ENDS
        if not is_linear(run, partial(repeated, start, unit, end), length, FUNCTION_UNNOTICED_S)
    ]
    assert slow == []
