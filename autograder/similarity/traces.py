"""Traces beyond code: the same sentence, picture, summary, packed file or digit in two hand-ins.

Each kind is a column of its own and evidence of another sort than code; none is in any score. What every student has,
because it was handed out, is left to the comparison, which knows how many have it.
"""

import io
import re
import stat
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from autograder.similarity.files import HandedIn
from autograder.similarity.model import (
    IMAGES,
    LOG_DIGITS,
    OUTSIDE,
    REPORT_TEXT,
    SUMMARY_TXT,
    ZIP_METADATA,
    OutsideEdit,
    Scaffold,
    stable_hash,
)
from code_analyze.summary import visible

MAX_OF_A_KIND = 300
MAX_MEMBER, MAX_DOCUMENT = 8_000_000, 40_000_000  # bytes of one file in a Word report, and of all that are read
_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".svg")
_TEXTS = (".md", ".txt", ".tex", ".rst")
_LOGS = (".log", ".csv", ".json", ".jsonl", ".txt", ".md", ".out")
_SENTENCE = re.compile(r"[^.!?。！？\n]{40,600}")
_DIGITS = re.compile(r"(?<![\w.])\d+\.\d{5,}(?:e[+-]?\d+)?(?![\w.])")
_TAG = re.compile(r"<[^<>]{0,300}>")
_STREAM = re.compile(rb"stream\r?\n")
_EARLIEST_YEAR = 1981  # of files whose time was kept


def find_traces(
    files: HandedIn, source: Path, scaffold: Scaffold, edits: Sequence[OutsideEdit]
) -> dict[str, dict[int, str]]:
    """Hash what two hand-ins should not share by chance.

    Returns:
        kind -> hash -> what to show; kinds of which there is nothing are not there.
    """
    found: dict[str, dict[int, str]] = {
        REPORT_TEXT: {},
        IMAGES: {},
        SUMMARY_TXT: {},
        ZIP_METADATA: _packed(source),
        LOG_DIGITS: {},
        OUTSIDE: {},
    }
    for name in sorted(files.other):
        data, lower = files.other[name], name.lower()
        base = lower.rsplit("/", 1)[-1]
        if base == "summary.txt":
            found[SUMMARY_TXT][stable_hash(b"summary" + data)] = visible(name)
            continue
        if lower.endswith(_IMAGES):
            found[IMAGES][stable_hash(data)] = visible(name)
        elif lower.endswith(".docx"):
            _word(data, visible(name), found)
        elif lower.endswith(".pdf"):
            _pdf(data, visible(name), found)
        elif lower.endswith(_TEXTS) and ("report" in base or "readme" in base):
            _sentences(data.decode("utf-8", "replace"), found[REPORT_TEXT])
        elif "tfevents" in base:
            _events(data, visible(name), found[LOG_DIGITS])
        if lower.endswith(_LOGS):
            _digits(data.decode("utf-8", "replace"), found[LOG_DIGITS])
    for edit in edits:
        for line in edit.added:
            text = " ".join(line.split())
            if len(text) > 12:
                found[OUTSIDE][stable_hash(f"{edit.file}\0{text}")] = visible(text)[:160]
    return {kind: dict(list(shown.items())[:MAX_OF_A_KIND]) for kind, shown in found.items() if shown}


def _sentences(text: str, found: dict[int, str]) -> None:
    for match in _SENTENCE.finditer(text):
        sentence = " ".join(match[0].split())
        if sentence.count(" ") >= 6 or (len(sentence) >= 20 and not sentence.isascii()):
            found.setdefault(stable_hash("s" + sentence.lower()), visible(sentence)[:160])


def _digits(text: str, found: dict[int, str]) -> None:
    for match in _DIGITS.finditer(text[:2_000_000]):
        if len(match[0].replace(".", "").lstrip("0")) >= 6:
            found.setdefault(stable_hash("d" + match[0]), match[0][:40])
        if len(found) >= MAX_OF_A_KIND:
            return


def _word(data: bytes, name: str, found: Mapping[str, dict[int, str]]) -> None:
    """A Word file's paragraphs and pictures."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as zipped:
            seen: set[str] = set()
            left = MAX_DOCUMENT
            for info in zipped.infolist()[:500]:
                is_text = info.filename == "word/document.xml"
                if not (is_text or info.filename.startswith("word/media/")) or info.filename in seen:
                    continue
                if info.file_size > min(MAX_MEMBER, left) or info.flag_bits & 1:
                    continue
                seen.add(info.filename)
                content = _read(zipped, info)
                left -= len(content)
                if not is_text:
                    found[IMAGES][stable_hash(content)] = f"{name}: {visible(info.filename)}"
                else:
                    xml = content.decode("utf-8", "replace")
                    for paragraph in xml.split("</w:p>"):
                        _sentences(_TAG.sub("", paragraph), found[REPORT_TEXT])
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, NotImplementedError, RuntimeError, EOFError):
        found[REPORT_TEXT][stable_hash(data)] = f"{name}, as a whole"


def _read(zipped: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with zipped.open(info) as file:
        return file.read(MAX_MEMBER)  # whatever size it declares


def _pdf(data: bytes, name: str, found: Mapping[str, dict[int, str]]) -> None:
    """A PDF's streams as they lie there: pages, fonts and pictures; fonts are everybody's, and so count nothing."""
    found[REPORT_TEXT][stable_hash(data)] = f"{name}, as a whole"
    match = _STREAM.search(data)
    while match and len(found[REPORT_TEXT]) + len(found[IMAGES]) < 2 * MAX_OF_A_KIND:
        end = data.find(b"endstream", match.end())
        if end < 0:
            return
        if end - match.end() >= 400:
            before = data[max(0, match.start() - 400) : match.start()]
            kind = IMAGES if b"/Image" in before[before.rfind(b"obj") :] else REPORT_TEXT
            found[kind].setdefault(stable_hash(data[match.end() : end].strip()), f"{name}: a stream of its pages")
        match = _STREAM.search(data, end + len(b"endstream"))


def _events(data: bytes, name: str, found: dict[int, str]) -> None:
    """TensorBoard's records, each with its time: two runs never write the same one."""
    at = 0
    while at + 16 <= len(data) and len(found) < MAX_OF_A_KIND:
        size = int.from_bytes(data[at : at + 8], "little")
        record = data[at + 12 : at + 12 + size]
        if len(record) < size:
            return
        if size >= 24:
            found.setdefault(stable_hash(b"e" + record), f"{name}: a record")
        at += 16 + size


def _packed(source: Path) -> dict[int, str]:
    """Files of a zip with their time to two seconds and their checksum, and who packed it how."""
    found: dict[int, str] = {}
    try:
        if not stat.S_ISREG(source.lstat().st_mode):
            return found
        with zipfile.ZipFile(source) as zipped:
            for info in zipped.infolist()[: 2 * MAX_OF_A_KIND]:
                if info.is_dir() or info.date_time[0] < _EARLIEST_YEAR or not info.file_size:
                    continue
                base = info.filename.rsplit("/", 1)[-1]
                when = "{}-{:02}-{:02} {:02}:{:02}:{:02}".format(*info.date_time)
                found[stable_hash(f"z{base}\0{when}\0{info.CRC}")] = f"{visible(base)}, {when}"
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        pass
    return found
