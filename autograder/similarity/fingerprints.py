"""Works → fingerprints: what is compared, and all that an archive keeps."""

import ast
import functools
import pickle
import re
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import PurePosixPath

import numpy as np

from autograder.progress import Progress
from autograder.similarity import flow
from autograder.similarity.apart import each
from autograder.similarity.model import ELSEWHERE, VIEWS, BlockKey, Fingerprint, Scaffold, Work
from autograder.similarity.places import Places, find_places
from autograder.similarity.views import features
from code_analyze.blocks import find_blocks

MAX_LINE = np.iinfo(np.uint16).max
_CACHED = 60_000  # blocks
_IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t].*", re.MULTILINE)  # says nothing of whoever wrote it
MAX_HELPERS = 20_000  # characters of a file whose functions are followed


TOO_MUCH = "not compared: to look at its code takes more time or memory than any homework should"


class Extractor:
    """Makes fingerprints of works that began with one scaffold; equal blocks are looked at once."""

    def __init__(self, scaffold: Scaffold):
        self.scaffold = scaffold
        blocks = {name: find_blocks(text, name) for name, text in scaffold.files.items()}
        self.places: Places = find_places(scaffold.files, blocks)
        self.given = {key: _lines(block.given) for key, block in scaffold.blocks.items()}
        self._cache: dict[tuple, tuple] = {}

    @cached_property
    def given_features(self) -> frozenset[int]:
        """What there is in the scaffold: a formatter may have broken its lines elsewhere."""
        place = self.places.by_block[ELSEWHERE]
        texts = (*self.scaffold.files.values(), *self.scaffold.others.values())
        found = (features(text, place, self.places.vocabulary)[0] for text in texts)
        return frozenset(feature[0] for views in found for view in views.values() for feature in view)

    def fingerprint(self, work: Work) -> Fingerprint:
        """Look at every block of a work in every view."""
        columns: list[tuple[int, int, int, int, int]] = []
        tokens = []
        helpers = _helpers(work)
        pieces = work.pieces
        attributes: dict[tuple[str, str], dict[str, flow.Node]] = {}
        for index, (key, block) in enumerate(pieces.items()):
            place = self.places.by_block[key]
            known = attributes.setdefault((key.file, place.owner), {}) if place.owner else {}
            if key == ELSEWHERE:
                text = _IMPORT.sub("", _without_given(block.text, _lines(block.given)))
            else:
                text = _without_given(block.text, self.given[key])
            found, made, weights = self._look(key, text, place, known, helpers)
            known.update(made)
            tokens.append(tuple(weights))
            given = self.given_features if key == ELSEWHERE else frozenset()
            for view, features_of_view in enumerate(found):
                columns += [
                    (index, view, hash_, min(first, MAX_LINE), min(last, MAX_LINE))
                    for hash_, first, last in features_of_view
                    if hash_ not in given
                ]
        columns.sort()
        table = list(zip(*columns, strict=True)) if columns else [()] * 5
        return Fingerprint(
            work.key,
            self.scaffold.hash,
            tuple(pieces),
            tuple(block.first_line for block in pieces.values()),
            np.array(table[2], np.uint64),
            np.array(table[0], np.uint16),
            np.array(table[1], np.uint8),
            np.array(table[3], np.uint16),
            np.array(table[4], np.uint16),
            tuple(tokens),
            work.partners,
            {kind: tuple(sorted(hashes)) for kind, hashes in sorted(work.traces.items())},
        )

    def _look(
        self, key: BlockKey, text: str, place: flow.Place, known: dict[str, flow.Node], helpers: dict
    ) -> tuple[list[list[tuple[int, int, int]]], dict[str, flow.Node], list[int]]:
        """One block, or what was seen of the same one before."""
        context = (key, text, tuple(sorted((name, node.hash) for name, node in known.items()))) if not helpers else None
        if context is not None and context in self._cache:
            return self._cache[context]
        found, made, weights = features(text, place, self.places.vocabulary, known, helpers)
        result = ([_once(sorted(set(found[view]))) for view in VIEWS], made, weights)
        if context is not None and len(self._cache) < _CACHED:
            self._cache[context] = result
        return result


def fingerprints(works: Sequence[Work], scaffold: Scaffold, progress: Progress = iter) -> list[Fingerprint]:
    """The fingerprints of works, in their order. One that takes too much has no blocks; the rest goes on.

    Of thousands of works each core takes some.

    Args:
        works: of any size.
        scaffold: what they began with.
        progress: gives the works as it is given them, and shows how far that is.
    """
    found = each(_look_at_some, works, pickle.dumps(scaffold), lambda work, _: None)
    made = [next(found) for _ in progress(works)]
    return [one or _nothing(work, scaffold) for one, work in zip(made, works, strict=True)]


def _look_at_some(works: Sequence[Work], scaffold: bytes) -> list[Fingerprint]:
    """Make fingerprints, in a process of its own."""
    extractor = _extractor(scaffold)
    return [extractor.fingerprint(work) for work in works]


@functools.lru_cache(maxsize=1)
def _extractor(scaffold: bytes) -> Extractor:
    return Extractor(pickle.loads(scaffold))


def _nothing(work: Work, scaffold: Scaffold) -> Fingerprint:
    """The fingerprint of a work that could not be looked at."""
    return Extractor(scaffold).fingerprint(Work(work.key, work.label))


def _once(found: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    kept: dict[int, tuple[int, int, int]] = {}
    for feature in found:
        kept.setdefault(feature[0], feature)
    return list(kept.values())


def _without_given(text: str, given: set[str]) -> str:
    """Blank the scaffold's own lines of a block, such as its `pass`."""
    if not given:
        return text
    return "\n".join("" if line.strip() in given else line for line in text.split("\n"))


def _lines(text: str) -> set[str]:
    return {line.strip() for line in text.split("\n")} - {""}


def _helpers(work: Work) -> dict[str, ast.FunctionDef]:
    """Functions that the student defined elsewhere: where code was moved out of a block, it is followed.

    Returns:
        "name", and for one of another file "module.name" too, -> the function.
    """
    helpers: dict[str, ast.FunctionDef] = {}
    sources = [("", "\n".join(edit.added)) for edit in work.outside]
    sources += [(PurePosixPath(name).stem, text) for name, text in work.own.items()]
    for module, source in sources:
        if "def " not in source or len(source) > MAX_HELPERS:
            continue
        lines = source.split("\n")
        indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse("\n".join(line[indent:] for line in lines))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                helpers[node.name] = node
                if module:
                    helpers[f"{module}.{node.name}"] = node
    return helpers
