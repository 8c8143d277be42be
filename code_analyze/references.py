"""References: the lines straight after `# TODO START` that name a block's sources. Standard library only."""

import re

from code_analyze.source import Comment, find_comments

_LINK = re.compile(r"https?://\S+")
_PERSON = re.compile(r"name ?[:：] ?\S.*?[ ,;，；] ?student id ?[:：] ?\S.*", re.IGNORECASE)  # of words with one blank
_REFERENCE = re.compile(r"#+\s*reference\s*[:：]\s*(.*)", re.IGNORECASE)
_ALMOST = re.compile(r"#.*?(?:\bref(?:s|erences?)?\s*[:：]|\bstudent\s*(?:id|number)\b)", re.IGNORECASE)
_RELATED_WORD = re.compile(r"\bref(?:s|erences?)?\b|\bstudent", re.IGNORECASE)
_BARE_LINK = re.compile(r"#.*(?:https?://|\bgithub\.com\b)", re.IGNORECASE)

FORM = "'# Reference: https://…' or '# Reference: Name: … Student ID: …', straight after '# TODO START'"


def valid_reference(comment: Comment) -> str | None:
    """What stands behind "# Reference:" in a comment; None where it is not in one of the two forms."""
    match = _REFERENCE.fullmatch(comment.text.strip()) if comment.stands_alone else None
    text = " ".join(match[1].split()) if match else ""
    return text if _LINK.fullmatch(text) or _PERSON.fullmatch(text) else None


def find_references(source: str) -> list[Comment]:
    """Find the comments of a Python file that are references or were meant as one, wherever they stand."""
    if not _RELATED_WORD.search(source):
        return []
    return [comment for comment in find_comments(source) if _ALMOST.match(comment.text)]


def names_source(comment: Comment) -> bool:
    """Whether a comment in a block points at somebody else's work, in whatever form."""
    return bool(_ALMOST.match(comment.text) or _BARE_LINK.match(comment.text))
