"""What there is to say about a student's work. Standard library only."""

from dataclasses import dataclass, field

OWN_SHARE = (7, 10)  # at least so much of the code must be the student's own


@dataclass(frozen=True)
class Problem:
    """Something that must be looked at before the rest can be trusted.

    Attributes:
        file: the file's name below the student's folder.
        line: the line in it, or None where the whole file is meant.
        what: one sentence without its full stop.
    """

    file: str
    line: int | None
    what: str


@dataclass(frozen=True)
class FilledBlock:
    """What a student has made of one of the scaffold's blocks.

    Attributes:
        file: the file's name below the student's folder.
        number: which block of the scaffold's file it is: 1, 2, ...
        line: where its first line stands; None for a block whose TODO lines are not intact, whose lines are listed
            among the modifications.
        lines: its lines as written, without line ends; none where they are still the scaffold's.
        references: what stands behind "# Reference:", in its order.
        is_touched: whether it is no longer the scaffold's.
        is_filled: whether there is code in it.
        counted, own: its lines of code, and how many of them are the student's own by the references.
    """

    file: str
    number: int
    line: int | None
    lines: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    is_touched: bool = True
    is_filled: bool = False
    counted: int = 0
    own: int = 0


@dataclass(frozen=True)
class Change:
    """One line that only one side has: sign "-" for the scaffold's, "+" for the student's."""

    sign: str
    line: int
    text: str


@dataclass(frozen=True)
class FileChange:
    """What differs outside the blocks of one file.

    Attributes:
        origin: the file's name in the scaffold; None for a new file.
        file: its name below the student's folder.
        note: a phrase about the whole file, or "".
        changes: the lines, in order.
    """

    origin: str | None
    file: str
    note: str
    changes: list[Change]


@dataclass
class Comparison:
    """All that there is to say about a student's work, everything in the order in which it is reported.

    Attributes:
        missing, additional: names of files that only the scaffold has, or only the student.
        renamed: the name in the scaffold -> the name in the student's folder; both are listed above, too.
        sealed: folders that were left out and hold Python files.
    """

    missing: list[str]
    additional: list[str]
    renamed: dict[str, str]
    sealed: list[str]
    blocks: list[FilledBlock] = field(default_factory=list)
    modifications: list[FileChange] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def references(self) -> list[str]:
        """The blocks' references in order of appearance, once each."""
        return list(dict.fromkeys(text for block in self.blocks for text in block.references))

    @property
    def counted(self) -> int:
        """Lines of code in all blocks."""
        return sum(block.counted for block in self.blocks)

    @property
    def own(self) -> int:
        """Those among them that are the student's own."""
        return sum(block.own for block in self.blocks)

    @property
    def is_own_enough(self) -> bool | None:
        """Whether the share of the student's own code is enough; None where there is no code yet."""
        return self.own * OWN_SHARE[1] >= self.counted * OWN_SHARE[0] if self.counted else None
