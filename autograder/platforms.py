"""What lies among the hand-ins and is none: what learning platforms and systems leave there.

Forms are those of the platforms' own exports. No name that a student may choose makes a hand-in vanish: archives,
reports, notebooks, code and folders stay hand-ins, whatever they are called.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from autograder.names import Name, read_name
from code_analyze.tree import LEFT_OUT_FILES, TOOL_FOLDERS
from coursekit.files import open_file

# Of macOS, Windows, Linux, network drives, editors.
_LEFTOVERS = {
    *("__MACOSX", ".AppleDB", ".AppleDouble", ".DocumentRevisions-V100", ".Spotlight-V100", ".TemporaryItems"),
    *(".Trashes", ".apdisk", ".fseventsd", ".localized", "Icon\r", "$RECYCLE.BIN", "System Volume Information"),
    *(".Trash", ".directory", "lost+found", "@eaDir", ".dropbox", ".dropbox.cache", ".stfolder"),
    *(".gitattributes", ".gitignore", ".gitkeep", *LEFT_OUT_FILES),
    *(name for name in TOOL_FOLDERS if name.startswith((".", "_"))),
}
_LEFTOVER = re.compile(r"\.Trash-\d+|\.nfs[0-9a-f]+|\.fuse_hidden[0-9a-f]+|\.~lock\..*#|~\$.*", re.DOTALL)
_APPLE_DOUBLE = b"\x00\x05\x16\x07"  # how "._name" begins, which macOS writes beside "name"

_METADATA = {
    *("submission_metadata.yml", "submission_metadata.yaml"),  # Gradescope
    *("timestamp.txt", "comments.txt", "feedbacktext.txt", "feedbacktext.html"),  # Sakai
    *("index.html", "index.htm", "readme", "readme.txt", "readme.md", "imsmanifest.xml"),
}
# Gradebooks, worksheets, logs of exports: nobody hands in a table.
_TABLES = (".csv", ".json", ".log", ".ods", ".tsv", ".xls", ".xlsx", ".xml", ".yaml", ".yml")
_TYPED = re.compile(
    r".+_assignsubmission_(?:onlinetext|comments)_?.*"  # Moodle: what was typed into its page
    r"|.+_\d{3,}_(?:text|link)\.html"  # Canvas: likewise
    r"|.*submissiontext\.html"  # Sakai: likewise
    r"|.+_attempt_\d{4}(?:-\d\d){5}\.txt",  # Blackboard: the receipt of an attempt
    re.IGNORECASE | re.DOTALL,
)
_TYPED_FOLDER = re.compile(r".+_assignsubmission_(?:onlinetext|comments)_*", re.DOTALL)

# Gradescope's submission_metadata.yml: a submission, its submitters and what they are called; of older ones no line
# begins so, since they stand further in.
_GRADESCOPE = re.compile(r"(submission_\d+):\s*")
_SUBMITTER = re.compile(r"(?:  |  - |    ):(name|sid): *(.*)")
_METADATA_BYTES = 50 * 10**6


def is_leftover(path: Path) -> bool:
    """Whether a system or a tool has left this there: nobody wants to hear of it."""
    name = path.name
    if name.startswith("._"):
        return _begins(path, _APPLE_DOUBLE)
    return name in _LEFTOVERS or _LEFTOVER.fullmatch(name) is not None


def is_metadata(name: str, is_folder: bool) -> bool:
    """Whether something among the hand-ins, by its name, is the platform's own and no student's."""
    if is_folder:
        return _TYPED_FOLDER.fullmatch(name) is not None
    if _TYPED.fullmatch(name):
        return True
    read = read_name(name)
    if read.owner is not None:
        return False
    is_table = name.lower().endswith(_TABLES) and read.student != Path(name).stem  # such as 2021012345.csv
    return is_table or name.lower() in _METADATA


def read_submitters(folder: Path) -> Mapping[str, Name]:
    """Whose Gradescope's folders are: folder -> what the metadata beside it say of the first who handed it in."""
    found: dict[str, dict[str, str]] = {}
    submission = ""
    for line in _lines(folder / "submission_metadata.yml"):
        if match := _GRADESCOPE.fullmatch(line):
            submission = match[1]
            found[submission] = {}
        elif submission and (match := _SUBMITTER.match(line)):
            found[submission].setdefault(match[1], match[2].strip().strip("\"'"))
    return {
        submission: Name(said.get("sid") or None, f"{said.get('name') or 'submission'}_{submission.partition('_')[2]}")
        for submission, said in found.items()
    }


def _lines(path: Path) -> list[str]:
    try:
        with open_file(path) as file:
            return file.read(_METADATA_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _begins(path: Path, signature: bytes) -> bool:
    try:
        with open_file(path) as file:
            return file.read(len(signature)) == signature
    except OSError:
        return False
