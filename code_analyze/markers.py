"""Which TODO line of a student's file is which of the scaffold's. Standard library only."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from code_analyze.blocks import Block, Marker, find_markers

_ALMOST = re.compile(r"#.*\bto\W?do\b", re.IGNORECASE)


@dataclass(frozen=True)
class MarkerProblem:
    """A TODO line that was removed, changed, added or moved.

    Attributes:
        line: the line of the student's file; for a removed one, the last line before the place where it was.
        what: one sentence without its full stop.
    """

    line: int
    what: str


class MatchedMarkers:
    """The TODO lines of a scaffold's file and those of a student's.

    Args:
        old, new: the lines of the scaffold's file and of the student's.
        old_blocks: the scaffold's blocks.
        new_markers: the student's TODO lines, whether or not they add up to blocks.
    """

    def __init__(
        self, old: Sequence[str], old_blocks: Sequence[Block], new: Sequence[str], new_markers: Sequence[Marker]
    ) -> None:
        self.old, self.old_blocks, self.new, self.new_markers = old, old_blocks, new, new_markers
        self._pairs = self._match_lines()

    def blocks(self) -> Iterator[tuple[tuple[int, int], tuple[int, int] | None]]:
        """For each of the scaffold's blocks, the lines of its START and END there, and here: None where not intact."""
        for block in self.old_blocks:
            first, last = self._pairs.get(block.start), self._pairs.get(block.end)
            is_whole = first and last and not any(first < marker.line < last for marker in self.new_markers)
            yield (block.start, block.end), ((first, last) if is_whole else None)

    def problems(self) -> list[MarkerProblem]:
        """Name every TODO line that is not as the scaffold has it."""
        problems = [
            self._explain_loss(f"the '# TODO {kind}' of block {block.number}", line)
            for block in self.old_blocks
            for kind, line in (("START", block.start), ("END", block.end))
            if line not in self._pairs
        ]
        own = set(self._pairs.values())
        opened = None
        for marker in self.new_markers:
            if marker.line not in own:
                where = f"inside the block that starts at line {opened}" if opened else "outside the scaffold's blocks"
                problems.append(MarkerProblem(marker.line, f"a '# TODO {marker.kind}' was added {where}"))
            else:
                opened = marker.line if marker.kind == "START" else None
        problems += [problem for block in enumerate(self.blocks(), 1) for problem in self._swallowed(*block)]
        return sorted(problems, key=lambda problem: problem.line)

    def _swallowed(self, number: int, block: tuple[tuple[int, int], tuple[int, int] | None]) -> Iterator[MarkerProblem]:
        """Name the given line next to a block that is gone: a TODO line has been moved past it, most likely."""
        old, new = block
        if new is None:
            return
        for kind, there, here, step in (("START", old[0], new[0], -1), ("END", old[1], new[1], 1)):
            given = _next_code(self.old, there, step)
            if given is None or given in self._pairs:
                continue
            beside = _next_code(self.new, here, step)
            if beside is None or beside in self._pairs.values():
                what = f"'{self.old[given - 1].strip()}', the given line next to it"
                yield MarkerProblem(here, f"the '# TODO {kind}' of block {number} was moved, or {what}, was deleted")

    def _match_lines(self) -> dict[int, int]:
        """Pair the lines outside the scaffold's blocks with lines of the student's file.

        The given code says which TODO line is which. The longest runs of lines that both files share are paired first,
        and those begin and end with TODO lines: neither an added pair nor a missing line shifts the others.
        """
        if self.old == self.new:
            return {line: line for line in range(1, len(self.old) + 1)}
        inside = {line for block in self.old_blocks for line in range(block.start + 1, block.end)}
        old = [n for n, line in enumerate(self.old, 1) if n not in inside and line.strip()]
        new = [n for n, line in enumerate(self.new, 1) if line.strip()]
        old_kinds = {block.start: "START" for block in self.old_blocks} | {
            block.end: "END" for block in self.old_blocks
        }
        new_kinds = {marker.line: marker.kind for marker in self.new_markers}
        old_keys, new_keys = _keys(self.old, old, old_kinds), _keys(self.new, new, new_kinds)
        matches = SequenceMatcher(None, old_keys, new_keys, autojunk=False).get_matching_blocks()
        return {old[i + k]: new[j + k] for i, j, size in matches for k in range(size)}

    def _explain_loss(self, name: str, line: int) -> MarkerProblem:
        """Say what became of a TODO line of the scaffold: a comment that is nearly one, or nothing."""
        above = max((here for there, here in self._pairs.items() if there < line), default=1)
        below = min((here for there, here in self._pairs.items() if there > line), default=len(self.new) + 1)
        for number in range(above, below):
            text = self.new[number - 1].strip()
            if _ALMOST.match(text) and number not in self._pairs.values() and not find_markers(text):
                return MarkerProblem(number, f"{name} was changed to '{text}'")
        return MarkerProblem(above, f"{name} is missing after this line (the scaffold's line {line})")


def _next_code(lines: Sequence[str], line: int, step: int) -> int | None:
    """The nearest line above or below that is neither blank nor a comment."""
    line += step
    while 1 <= line <= len(lines):
        if lines[line - 1].strip() and not lines[line - 1].lstrip().startswith("#"):
            return line
        line += step
    return None


def _keys(lines: Sequence[str], numbers: Sequence[int], kinds: dict[int, str]) -> list[tuple[str, str]]:
    return [(kinds[n], "") if n in kinds else ("", "".join(lines[n - 1].split())) for n in numbers]
