"""TODO blocks: the one parser that finds, empties and fills what stands between `# TODO START` and `# TODO END`.

Standard library only, and nothing of the kit: it ships with the handout.
"""

import re
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from code_analyze.source import TAB_WIDTH, find_comments, split_lines

UNFILLED = "TODO: "  # how the message of an unfilled block starts; coursekit.errors turns such a message into one line
LINE_LENGTH = 120  # columns, as in pyproject.toml

# re.ASCII: without it "ſtart" and "ſTART" would match too.
_MARKER = re.compile(r"[ \t\f]*#[ \t]*todo[ \t]+(start|end)[ \t]*", re.IGNORECASE | re.ASCII)
_TITLE = re.compile(r"block\s+(\d+)\s*:(.*)", re.IGNORECASE | re.ASCII | re.DOTALL)


class MarkerError(ValueError):
    """TODO lines that don't add up. The message is "path:line: what is wrong"."""


@dataclass(frozen=True)
class Marker:
    """One `# TODO START` or `# TODO END`, on a line of its own."""

    kind: str  # "START" or "END"
    line: int  # 1, 2, ...


@dataclass(frozen=True)
class Block:
    """One TODO block of a file."""

    number: int  # 1, 2, ... in the file
    title: str  # the comment straight above, without its "Block 2:"; "" where there is none
    start: int  # the line of "# TODO START", counted from 1
    end: int  # the line of "# TODO END"
    indent: str  # the white space before "# TODO START"
    body: str  # everything between the two lines, as written, line ends included

    @property
    def lines(self) -> list[str]:
        """The body's lines, without their line ends."""
        return [line.rstrip("\r\n") for line in split_lines(self.body)]


def find_markers(source: str) -> list[Marker]:
    """Find every marker line, whether or not they add up to blocks."""
    matches = {number: _marker(line) for number, line in enumerate(split_lines(source), 1)}
    candidates = {number: match for number, match in matches.items() if match}
    comments = _comment_lines(source) if candidates else set()
    return [Marker(match[1].upper(), number) for number, match in candidates.items() if number in comments]


def find_blocks(source: str, path: object) -> list[Block]:
    """Find the TODO blocks of a file.

    Only real comments count, not such text in a string. A file that isn't Python (yet) is read line by line: there
    every line that looks like a marker is one.

    Args:
        source: the file's text, with its own line ends (`path.read_bytes().decode()`; `read_text` changes them).
        path: how messages name the file.
    Raises:
        MarkerError: nested or unpaired markers, or a title "Block 3: ..." above the file's second block.
    """
    lines = split_lines(source)
    comments = _comment_lines(source)
    blocks = []
    start = None
    for marker in find_markers(source):
        if marker.kind == "START" and start is not None:
            raise _error(path, marker.line, f"'# TODO START' inside the block that starts at line {start}")
        if marker.kind == "END" and start is None:
            raise _error(path, marker.line, "'# TODO END' without a '# TODO START' before it")
        if marker.kind == "START":
            start = marker.line
            continue
        number = len(blocks) + 1
        title = _title(lines, comments, start, number, path)
        first = lines[start - 1]
        indent = first[: first.index("#")]
        blocks.append(Block(number, title, start, marker.line, indent, "".join(lines[start : marker.line - 1])))
        start = None
    if start is not None:
        raise _error(path, start, "'# TODO START' without a '# TODO END' after it")
    return blocks


def empty_blocks(source: str, path: object) -> str:
    """Replace the body of every block by a `raise NotImplementedError` that names the block and says what it is for.

    Everything outside the blocks stays as it is, to the last white space.

    Raises:
        MarkerError: what find_blocks finds, a block without a title, or what would be left is not valid Python.
    """
    blocks = find_blocks(source, path)
    for block in blocks:
        if not block.title:
            what = f"block {block.number} has no title; say what it is for in a comment straight above"
            raise _error(path, block.start, what)
    bodies = [_placeholder(block, path, _line_end(source, block)) for block in blocks]
    emptied = _replace(source, blocks, bodies)
    if _syntax_error(emptied) is not None:
        problem = _syntax_error(source)
        if problem is not None:
            raise _error(path, problem.lineno or 1, f"not valid Python: {problem.msg}")
        block = next(b for n, b in enumerate(blocks, 1) if _syntax_error(_replace(source, blocks[:n], bodies[:n])))
        what = f"emptying block {block.number} leaves no valid Python; put its TODO lines around whole statements"
        raise _error(path, block.start, what)
    return emptied


def fill_blocks(source: str, bodies: Sequence[str], path: object) -> str:
    """Put bodies into the blocks of a file: the way back from `empty_blocks`.

    Args:
        source: the file's text, emptied or not.
        bodies: one text for each block, in the file's order, such as `Block.body`.
        path: how messages name the file.
    Raises:
        MarkerError: another number of bodies than blocks, or a body that opens or closes a block itself.
    """
    blocks = find_blocks(source, path)
    if len(bodies) != len(blocks):
        raise _error(path, 1, f"the file has {len(blocks)} TODO blocks, and {len(bodies)} bodies are to fill them")
    whole = [
        body if not body or body.endswith(("\r", "\n")) else body + _line_end(source, block)
        for block, body in zip(blocks, bodies, strict=True)
    ]
    filled = _replace(source, blocks, whole)
    try:
        found = [block.body for block in find_blocks(filled, path)]
    except MarkerError:
        found = None
    if found != whole:
        guilty = (b for b, body in zip(blocks, whole, strict=True) if any(map(_marker, split_lines(body))))
        block = next(guilty, blocks[0])
        raise _error(path, block.start, f"the lines for block {block.number} open or close a TODO block themselves")
    return filled


def _marker(line: str) -> re.Match[str] | None:
    return _MARKER.fullmatch(line.rstrip("\r\n"))


def _comment_lines(source: str) -> set[int]:
    """Number the lines that hold a comment and nothing else."""
    return {comment.line for comment in find_comments(source) if comment.stands_alone}


def _title(lines: list[str], comments: set[int], start: int, number: int, path: object) -> str:
    """Read the comment straight above line `start`; where a line of it says "Block N:", the title begins there."""
    words = []
    above = start - 1
    while above in comments and not _marker(lines[above - 1]):
        text = lines[above - 1].strip().lstrip("#").strip()
        prefix = _TITLE.fullmatch(text)
        words.append(prefix[2].strip() if prefix else text)
        if prefix and int(prefix[1]) != number:
            raise _error(path, above, f"the title says block {int(prefix[1])}, but this is block {number} of the file")
        if prefix:
            break
        above -= 1
    return " ".join(" ".join(reversed(words)).split())


def _replace(source: str, blocks: Sequence[Block], bodies: Sequence[str]) -> str:
    lines = split_lines(source)
    for block, body in zip(reversed(blocks), reversed(bodies), strict=True):
        lines[block.start : block.end - 1] = [body]
    return "".join(lines)


def _line_end(source: str, block: Block) -> str:
    line = split_lines(source)[block.start - 1]
    return line[len(line.rstrip("\r\n")) :]


def _placeholder(block: Block, path: object, line_end: str) -> str:
    """Write the statement that stands in an emptied block, on as many lines as the formatter would give it."""
    parts = [part for part in str(path).replace("\\", "/").split("/") if part not in ("", ".")]
    name = "/".join(parts[-2:])
    message = f"{UNFILLED}block {block.number} of {name} is not filled in yet: {block.title}"
    line = f"{block.indent}raise NotImplementedError({_quote(message)})"
    if _width(line) <= LINE_LENGTH:
        return line + line_end
    inner = block.indent + ("\t" if "\t" in block.indent else " " * TAB_WIDTH)
    quoted = (inner + _quote(part) for part in _wrap(message, max(LINE_LENGTH - _width(inner), 20)))
    lines = [f"{block.indent}raise NotImplementedError(", *quoted, f"{block.indent})"]
    return "".join(line + line_end for line in lines)


def _wrap(message: str, room: int) -> list[str]:
    """Cut a message between words, or inside a word too long for any line, so that every quoted part fits."""
    parts = [""]
    for word in re.findall(r"\S+\s*", message):
        if _width(_quote(parts[-1] + word)) <= room:
            parts[-1] += word
        elif _width(_quote(word)) <= room:
            parts.append(word)
        else:
            for letter in word:
                if _width(_quote(parts[-1] + letter)) > room:
                    parts.append("")
                parts[-1] += letter
    return parts


def _quote(text: str) -> str:
    """Write text as a Python string in double quotes, or in single ones where that needs fewer backslashes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    escaped = (char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    escaped = ("\\" + char if char in ("\\", quote) else code for char, code in zip(text, escaped, strict=True))
    return quote + "".join(escaped) + quote


def _width(line: str) -> int:
    """Count columns: two for a Chinese character, as the formatter does."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in line)
    return len(line) + wide + line.count("\t") * (TAB_WIDTH - 1)


def _syntax_error(source: str) -> SyntaxError | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source.removeprefix("\ufeff"), "<source>", "exec", dont_inherit=True)
    except SyntaxError as error:
        return error
    except ValueError as error:  # a null byte, or half a character
        return SyntaxError(str(error))
    return None


def _error(path: object, line: int, what: str) -> MarkerError:
    return MarkerError(f"{path}:{line}: {what}")
