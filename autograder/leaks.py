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
from code_analyze.blocks import UNFILLED, Block, find_blocks

REFERENCE = "reference_solution"
HIDDEN = "tests/hidden"
TA_SIDE = "autograder"
GUARDED = (REFERENCE, HIDDEN, TA_SIDE)
TEMPLATES = "autograder/handout"  # the student's README and the like: written to be handed out
NOT_IMPORTED = ("autograder", "reference_solution", "tests.hidden", "tests.kit")
BINARY_SUFFIXES = (".pt",)

# Lengths in tokens from which on a run counts: above what this repository has by chance (CONTRIBUTING.md).
WHOLE_STATEMENT = 6
PART_OF_A_BLOCK = 14
RENAMED_BLOCK = 15  # a shorter block is too common once its names are gone
PART_OF_A_RENAMED_BLOCK = 20
PART_OF_A_FILE = {REFERENCE: 48, HIDDEN: 48, TA_SIDE: 128}  # the TA's side and the kit start their commands alike
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
    scaffold = build_scaffold(root / REFERENCE)
    texts = {name: text for name, content in files.items() if (text := _text(content)) is not None}
    read = {name: readings(text) for name, text in texts.items()}
    leaks = _unreadable(files, texts) + _forbidden_paths(files)
    for name, text in texts.items():
        if name.endswith(".py"):
            leaks += _forbidden_imports(name, text)
    leaks += _find_blocks(_read_solution(root, scaffold), read)
    leaks += _find_files(root, scaffold, files, read)
    return sorted(leaks, key=_place)


@dataclass
class _Solution:
    """What is looked for of the solution's blocks."""

    blocks: dict[str, Tokens] = field(default_factory=dict)  # whole
    parts: _Runs = field(default_factory=lambda: _Runs(tuple))
    renamed: _Runs = field(default_factory=lambda: _Runs(_without_names))


def _read_solution(root: Path, scaffold: Mapping[str, bytes]) -> _Solution:
    # What the exemption rests on is code outside the blocks, and that alone: no docstring, no comment, no title.
    given = [_given_code(_text(content)) for name, content in scaffold.items() if name.endswith(".py")]
    solution = _Solution()
    for name in scaffold:
        text = _text((root / REFERENCE / name).read_bytes()) if name.endswith(".py") else ""
        for block in find_blocks(text, name):
            source = f"block {block.number} of {REFERENCE}/{name}"
            tokens = read_code(block.body).tokens
            if len(tokens) >= TELLING or (tokens and not any(_index(code, tokens) is not None for code in given)):
                solution.blocks[source] = tokens
            solution.parts.add(tokens, PART_OF_A_BLOCK, source)
            for statement in _statements(text, block):
                if len(statement) >= WHOLE_STATEMENT:
                    solution.parts.add(statement, len(statement), source)
            if len(tokens) >= RENAMED_BLOCK:
                solution.renamed.add(tokens, min(len(tokens), PART_OF_A_RENAMED_BLOCK), source)
    for code in given:
        solution.parts.forget(code)
        solution.renamed.forget(code)
    return solution


def _find_blocks(solution: _Solution, read: Mapping[str, list[Reading]]) -> list[str]:
    leaks = []
    for name, texts in read.items():
        found: dict[str, str] = {}
        for reading in texts:
            for source, tokens in solution.blocks.items():
                start = _index(reading.tokens, tokens)
                if start is not None:
                    found.setdefault(source, f"{name}:{reading.lines[start]}: holds {source}")
        _find_runs(solution.parts, name, texts, found, "a part of {}")
        _find_runs(solution.renamed, name, texts, found, "{} under other names")
        leaks += found.values()
    return leaks


def _find_files(
    root: Path, scaffold: Mapping[str, bytes], files: Mapping[str, bytes], read: Mapping[str, list[Reading]]
) -> list[str]:
    whole: dict[bytes | Tokens, str] = {}
    parts = _Runs(tuple)
    for folder, source, content in _guarded_files(root):
        text = _text(content)
        texts = readings(text) if text is not None else []
        if not texts or texts[0].tokens:  # an empty __init__.py is nobody's
            whole[_identity(content, texts)] = source
        if folder != REFERENCE or source.removeprefix(f"{REFERENCE}/") not in scaffold:  # there it is a block, or given
            for reading in texts:
                parts.add(reading.tokens, PART_OF_A_FILE[folder], source)
    for content in scaffold.values():
        text = _text(content)
        texts = readings(text) if text is not None else []
        whole.pop(_identity(content, texts), None)
        for reading in texts:
            parts.forget(reading.tokens)

    leaks = []
    for name, content in files.items():
        texts = read.get(name, [])
        source = whole.get(_identity(content, texts))
        if source is not None:
            leaks.append(f"{name}: is {source}")
            continue
        found: dict[str, str] = {}
        _find_runs(parts, name, texts, found, "a part of {}")
        leaks += found.values()
    return leaks


def _find_runs(runs: _Runs, name: str, texts: list[Reading], found: dict[str, str], what: str) -> None:
    """Add to `found`, by whose they are, the first of the runs in a file; what is found already stays as it is."""
    for reading in texts:
        for line, sources in runs.find(reading):
            if not any(source in found for source in sources):
                found[sources[0]] = f"{name}:{line}: holds {what.format(sources[0])}"


def _identity(content: bytes, texts: list[Reading]) -> bytes | Tokens:
    """What two copies of a file have in common: all of a text's tokens, or the bytes of what is no text."""
    return texts[0].tokens if texts else content


def _guarded_files(root: Path) -> Iterator[tuple[str, str, bytes]]:
    """Give what must stay here: which of GUARDED it lies in, its path and its content."""
    for folder in GUARDED:
        for path in sorted((root / folder).rglob("*")):
            name = path.relative_to(root).as_posix()
            below = path.relative_to(root / folder).parts
            private = any(part.startswith(".") or part in LEFT_OUT_FOLDERS for part in below)
            if private or name.startswith(f"{TEMPLATES}/") or not path.is_file():
                continue
            yield folder, name, path.read_bytes()


def _statements(solution: str, block: Block) -> Iterator[Tokens]:
    """Give the block's statements, without those that hold others (`if`, `for`, ...)."""
    for node in ast.walk(ast.parse(solution)):
        is_simple = isinstance(node, ast.stmt) and not hasattr(node, "body")
        if is_simple and block.start < node.lineno and node.end_lineno < block.end:
            yield read_code(ast.get_source_segment(solution, node)).tokens


def _given_code(scaffold: str) -> Tokens:
    tree = _GivenCode().visit(ast.parse(scaffold))
    return read_code(ast.unparse(tree)).tokens


class _GivenCode(ast.NodeTransformer):
    """Takes out what is no code: docstrings, and what the scaffold says in place of a block."""

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
