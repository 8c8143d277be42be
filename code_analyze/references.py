"""References: the lines straight after `# TODO START` that name a block's sources. Standard library only."""

import re

from code_analyze.units import Comment

_LINK = re.compile(r"https?://\S+")
_PERSON = re.compile(r"name\s*[:：]\s*\S.*?[\s,;，；]\s*student\s+id\s*[:：]\s*\S.*", re.IGNORECASE)
_REFERENCE = re.compile(r"#+\s*reference\s*[:：]\s*(.*)", re.IGNORECASE)
_ALMOST = re.compile(r"#.*?(?:\bref(?:s|erences?)?\s*[:：]|\bstudent\s*(?:id|number)\b)", re.IGNORECASE)
_BARE_LINK = re.compile(r"#.*(?:https?://|\bgithub\.com\b)", re.IGNORECASE)

FORM = "'# Reference: https://…' or '# Reference: Name: … Student ID: …', straight after '# TODO START'"


def valid_reference(comment: Comment) -> str | None:
    """What stands behind "# Reference:" in a comment; None where it is not in one of the two forms."""
    match = _REFERENCE.fullmatch(comment.text.strip()) if comment.stands_alone else None
    text = " ".join(match[1].split()) if match else ""
    return text if _LINK.fullmatch(text) or _PERSON.fullmatch(text) else None


def claims_reference(comment: Comment) -> bool:
    """Whether a comment is a reference, or was meant as one."""
    return _ALMOST.match(comment.text) is not None


def names_source(comment: Comment) -> bool:
    """Whether a comment in a block points at somebody else's work, in whatever form."""
    return claims_reference(comment) or _BARE_LINK.match(comment.text) is not None
