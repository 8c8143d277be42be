"""Whether a handout gives away what students must not see: the solution's blocks, hidden tests, the TA's side.

What is searched is the handout's final bytes. Code is compared by tokens (`autograder.lexer`), so that white space,
line breaks, quotes and comments hide nothing, and in every kind of text: a docstring or a page may hold code too.
"""

import ast
import keyword
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autograder.lexer import Reading, is_name, read_code, readings
from autograder.scaffold import LEFT_OUT_FOLDERS, build_scaffold
from code_analyze.blocks import UNFILLED, find_blocks

REFERENCE = "reference_solution"
GUARDED = (REFERENCE, "tests/hidden", "autograder")
TEMPLATES = "autograder/handout"  # the student's README and the like: written to be handed out
NOT_IMPORTED = ("autograder", "reference_solution", "tests.hidden", "tests.kit")
BINARY_SUFFIXES = (".pt",)

# Lengths in tokens, each some way above the longest run that is no leak in this repository (CONTRIBUTING.md).
PART_OF_A_BLOCK = 9
RENAMED = 14  # a shorter block is too common once its names are gone
PART_OF_A_RENAMED_BLOCK = 20
PART_OF_A_FILE = 48
TELLING = 4  # a block shorter than this is no secret where the given code has the same few tokens

Tokens = tuple[str, ...]


@dataclass
class _Runs:
    """Runs of tokens to look for, and whose they are."""

    form: Callable[[Tokens], Tokens]
    by_length: dict[int, dict[Tokens, list[str]]] = field(default_factory=dict)

    def add(self, tokens: Tokens, length: int, source: str) -> None:
        runs = self.by_length.setdefault(length, {})
        for window in _windows(tokens, length):
            sources = runs.setdefault(self.form(window), [])
            if source not in sources:
                sources.append(source)

    def forget(self, tokens: Tokens) -> None:
        """Take out the runs of a text that is public anyway."""
        for length, runs in self.by_length.items():
            for window in _windows(tokens, length):
                runs.pop(self.form(window), None)

    def find(self, reading: Reading) -> Iterator[tuple[int, list[str]]]:
        """Find the runs in a text: the line that each begins in, and whose it is."""
        for length, runs in self.by_length.items():
            for start, window in enumerate(_windows(reading.tokens, length)):
                sources = runs.get(self.form(window))
                if sources:
                    yield reading.lines[start], sources


def find_leaks(root: Path | str, files: Mapping[str, bytes]) -> list[str]:
    """Look through a handout for what students must not see.

    Args:
        root: the repository, with the solution, the hidden tests and the TA's side.
        files: path in the handout, with forward slashes -> content.
    Returns:
        one line for each leak: "tests/public/test_vae.py:12: holds block 2 of reference_solution/VAE/model.py".
    Raises:
        CourseError: the solution's TODO lines don't add up.
    """
    root = Path(root)
    texts = {name: text for name, content in files.items() if (text := _text(content)) is not None}
    leaks = _unreadable(files, texts) + _forbidden_paths(files)
    for name, text in texts.items():
        if name.endswith(".py"):
            leaks += _forbidden_imports(name, text)
    read = {name: readings(text) for name, text in texts.items()}
    return sorted(leaks + _find_blocks(root, read) + _find_files(root, files, read), key=_place)


def _find_blocks(root: Path, read: Mapping[str, list[Reading]]) -> list[str]:
    scaffold = build_scaffold(root / REFERENCE)
    # What the exemption rests on is code outside the blocks, and that alone: no docstring, no comment, no title.
    given = [_given_code(text.decode()) for name, text in scaffold.items() if name.endswith(".py")]
    blocks: dict[str, Tokens] = {}
    parts, renamed = _Runs(tuple), _Runs(_without_names)
    for name in scaffold:
        if not name.endswith(".py"):
            continue
        for block in find_blocks((root / REFERENCE / name).read_bytes().decode(), name):
            tokens = read_code(block.body).tokens
            source = f"block {block.number} of {REFERENCE}/{name}"
            if len(tokens) >= TELLING or (tokens and not any(_index(code, tokens) is not None for code in given)):
                blocks[source] = tokens
            parts.add(tokens, PART_OF_A_BLOCK, source)
            if len(tokens) >= RENAMED:
                renamed.add(tokens, min(len(tokens), PART_OF_A_RENAMED_BLOCK), source)
    for code in given:
        parts.forget(code)
        renamed.forget(code)

    leaks = []
    for name, texts in read.items():
        found: dict[str, str] = {}
        for reading in texts:
            for source, tokens in blocks.items():
                start = _index(reading.tokens, tokens)
                if start is not None:
                    found.setdefault(source, f"{name}:{reading.lines[start]}: holds {source}")
        for runs, what in (parts, "a part of {}"), (renamed, "{} under other names"):
            for reading in texts:
                for line, sources in runs.find(reading):
                    if not any(source in found for source in sources):
                        found[sources[0]] = f"{name}:{line}: holds {what.format(sources[0])}"
        leaks += found.values()
    return leaks


def _find_files(root: Path, files: Mapping[str, bytes], read: Mapping[str, list[Reading]]) -> list[str]:
    public = [readings(text) for text in map(_text, build_scaffold(root / REFERENCE).values()) if text is not None]
    whole: dict[object, str] = {}
    parts = _Runs(tuple)
    for source, content in _guarded_files(root):
        text = _text(content)
        if text is None:
            whole[content] = source
            continue
        every = readings(text)[-1].tokens
        if every:
            whole[every] = source
        for reading in readings(text):
            parts.add(reading.tokens, PART_OF_A_FILE, source)
    for texts in public:
        whole.pop(texts[-1].tokens, None)
        for reading in texts:
            parts.forget(reading.tokens)

    leaks = []
    for name, content in files.items():
        source = whole.get(read[name][-1].tokens if name in read else content)
        if source is not None:
            leaks.append(f"{name}: is {source}")
            continue
        found: dict[str, str] = {}
        for reading in read.get(name, []):
            for line, sources in parts.find(reading):
                if not any(source in found for source in sources):
                    found[sources[0]] = f"{name}:{line}: holds a part of {sources[0]}"
        leaks += found.values()
    return leaks


def _guarded_files(root: Path) -> Iterator[tuple[str, bytes]]:
    """Give path and content of what must stay here; the files with blocks are left to the search for blocks."""
    for folder in GUARDED:
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root).as_posix()
            below = path.relative_to(root / folder).parts
            private = any(part.startswith(".") or part in LEFT_OUT_FOLDERS for part in below)
            if private or name.startswith(f"{TEMPLATES}/") or not path.is_file():
                continue
            yield name, path.read_bytes()


def _given_code(scaffold: str) -> Tokens:
    tree = _GivenCode().visit(ast.parse(scaffold))
    return read_code(ast.unparse(tree)).tokens


class _GivenCode(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.Pass() if is_text else self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return ast.Pass() if UNFILLED in ast.unparse(node) else self.generic_visit(node)


def _unreadable(files: Mapping[str, bytes], texts: Mapping[str, str]) -> list[str]:
    names = (name for name in files if name not in texts and not name.endswith(BINARY_SUFFIXES))
    return [f"{name}: not UTF-8, so what it says can't be checked" for name in names]


def _forbidden_paths(files: Iterable[str]) -> list[str]:
    return [f"{name}: lies in {folder}/" for name in files for folder in GUARDED if f"/{folder}/" in f"/{name}"]


def _forbidden_imports(name: str, text: str) -> list[str]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        return [f"{name}:{getattr(error, 'lineno', None) or 1}: not valid Python"]
    leaks = {}
    for node in ast.walk(tree):
        for module in _imported(node, name):
            for forbidden in NOT_IMPORTED:
                if f"{module}.".startswith(f"{forbidden}."):
                    leaks.setdefault((node.lineno, forbidden), f"{name}:{node.lineno}: imports {forbidden}")
    return list(leaks.values())


def _imported(node: ast.AST, name: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        package = name.split("/")[: -node.level] if node.level else []
        module = ".".join([*package, *([node.module] if node.module else [])])
        return [module, *(f"{module}.{alias.name}" for alias in node.names)]
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        function = ast.unparse(node.func).rpartition(".")[2]
        if function in ("import_module", "__import__", "importorskip", "run_module"):
            return [str(node.args[0].value)]
    return []


def _windows(tokens: Tokens, length: int) -> Iterator[Tokens]:
    return (tokens[start : start + length] for start in range(len(tokens) - length + 1))


def _without_names(tokens: Tokens) -> Tokens:
    """Number the names in the order in which they appear, so that a renamed copy looks the same."""
    numbers: dict[str, str] = {}
    return tuple(
        numbers.setdefault(token, f"name {len(numbers)}") if is_name(token) and not keyword.iskeyword(token) else token
        for token in tokens
    )


def _index(tokens: Tokens, wanted: Tokens) -> int | None:
    """Find where a run of tokens begins in others."""
    text, run = "".join(f" {token}" for token in tokens) + " ", "".join(f" {token}" for token in wanted) + " "
    start = text.find(run)
    return None if start < 0 else text.count(" ", 0, start)


def _text(content: bytes) -> str | None:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text.replace("\r\n", "\n").replace("\r", "\n")


def _place(leak: str) -> tuple[str, int, str]:
    name, _, rest = leak.partition(":")
    line = rest.partition(":")[0]
    return name, int(line) if line.isdigit() else 0, leak
