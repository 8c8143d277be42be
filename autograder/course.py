"""The course's settings, `course.toml`: the one file that an instructor edits."""

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

from coursekit.errors import CourseError
from coursekit.flags import DATASET_NAMES
from coursekit.requirements import PROJECTS, REQUIRED_PROJECT
from coursekit.text import shortened

COURSE_FILE = "course.toml"
EXTRACTORS = ("inception", "lenet")
WHEN = ("if_different", "always", "never")


@dataclass(frozen=True)
class FidRule:
    """When a submission's FID is measured, and below what it must lie.

    Attributes:
        when: "if_different" (only where a submission computes something else than the reference), "always", "never".
        extractor: whose features it is measured with.
        borderline: the first seed's FID alone counts where it is further than this share from each band's edge.
        bands: (factor, share), the factors rising and the shares falling: below the threshold times the factor, a model
            gets that share of the points.
        thresholds: extractor -> project -> the FID that a model must stay below.
    """

    when: str
    extractor: str
    borderline: float
    bands: tuple[tuple[float, float], ...]
    thresholds: Mapping[str, Mapping[str, float]]

    def threshold(self, project: str) -> float:
        """The FID that a project's model must stay below, in the features of `extractor`."""
        return self.thresholds[self.extractor][project]


@dataclass(frozen=True)
class Training:
    """The training of one model where a FID is needed.

    Attributes:
        dataset: what it learns from, one of DATASET_NAMES.
        data_dir: where data sets lie.
        steps: how many.
        seeds: a run for each of them, the first one first.
        cpu_s, wall_s: what one run may take.
    """

    dataset: str
    data_dir: Path
    steps: int
    seeds: tuple[int, ...]
    cpu_s: int
    wall_s: int


@dataclass(frozen=True)
class Limits:
    """What a sandbox allows one probe; `submission_wall_s` is for all the probes of a submission together."""

    cpu_s: int
    wall_s: int
    memory_mb: int
    processes: int
    file_mb: int
    output_kb: int
    submission_wall_s: int


@dataclass(frozen=True)
class IntakeLimits:
    """What a hand-in may be.

    Attributes:
        max_zip_mb: what students are told; a larger one is taken with a remark.
        max_unpacked_mb, max_files: beyond these a hand-in is refused.
        max_ratio: likewise, unpacked to packed size.
        deadline: later hand-ins get a remark; None for no deadline.
    """

    max_zip_mb: int
    max_unpacked_mb: int
    max_files: int
    max_ratio: int
    deadline: datetime | None = None


@dataclass(frozen=True)
class Course:
    """The settings of a course.

    Attributes:
        points: check id, such as "vae.layers" -> points.
        fid: when and how FIDs count.
        training: the budget for them.
        limits: the sandbox's.
        intake: what is taken in.
        path: the file that they were read from.
        digest: the beginning of its content's sha256.
    """

    points: Mapping[str, float]
    fid: FidRule
    training: Training
    limits: Limits
    intake: IntakeLimits
    path: Path = Path(COURSE_FILE)
    digest: str = ""

    @property
    def unmeasured_points(self) -> float:
        """The points of the required project that nobody can have, since no FID is measured."""
        return self.points.get(f"{REQUIRED_PROJECT.lower()}.fid", 0) if self.fid.when == "never" else 0


def read_course(path: Path | str) -> Course:
    """Read the settings.

    Raises:
        CourseError: the file can't be read, isn't TOML, or holds something that is missing, unknown or wrong; the line
            names the file, the key and what is right.
    """
    path = Path(path)
    content = _read(path)
    top = _Table(path, "", _parse(path, content))
    course = Course(
        points=MappingProxyType(_points(top.table("points"))),
        fid=_fid(top.table("fid")),
        training=_training(top.table("training")),
        limits=Limits(**_whole_numbers(limits := top.table("limits"), Limits)),
        intake=_intake(top.table("intake")),
        path=path,
        digest=hashlib.sha256(content).hexdigest()[:12],
    )
    limits.end()
    top.end()
    if course.limits.submission_wall_s < course.limits.wall_s:
        raise top.error("limits.submission_wall_s", "must not be less than limits.wall_s")
    return course


class _Table:
    """A table of the file, from which every key is taken once; what is left over is unknown."""

    def __init__(self, path: Path, name: str, content: Mapping[str, Any]):
        self.path, self.name, self.content = path, name, dict(content)
        self.asked: list[str] = []

    def full(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key

    def error(self, key: str, right: str) -> CourseError:
        return CourseError(f"{self.path}: {key} {right}")

    def wrong(self, key: str, value: Any, right: str) -> CourseError:
        return self.error(self.full(key), f"is {_shown(value)}: {right}")

    def take(self, key: str) -> Any:
        self.asked.append(key)
        if key not in self.content:
            raise self.error(self.full(key), "is missing; the repository's own course.toml shows what it looks like")
        return self.content.pop(key)

    def table(self, key: str) -> "_Table":
        value = self.take(key)
        if not isinstance(value, dict):
            raise self.wrong(key, value, f"it must be a table, [{self.full(key)}]")
        return _Table(self.path, self.full(key), value)

    def end(self) -> None:
        for key in self.content:
            where = f"in [{self.name}]" if self.name else "at the top"
            raise self.error(self.full(key), f"is not known; {where} there are {', '.join(self.asked)}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CourseError(f"{path}: can't be read: {error.strerror or error}") from error


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        try:
            import tomli as tomllib
        except ModuleNotFoundError as error:
            raise CourseError(f"{path}: Python 3.10 can't read it; pip install --editable '.[grade]'") from error
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise CourseError(f"{path}: not UTF-8; save it as UTF-8") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise CourseError(f"{path}: not TOML: {error}") from error


def _points(table: _Table) -> dict[str, float]:
    """Read points by check id; `vae.layers = 4` and `"vae.layers" = 4` are the same id."""
    points: dict[str, float] = {}
    for check, value in _flat("", table.content):
        if check in points:
            raise table.error(table.full(check), "is there twice; give it its points once")
        if not _is_number(value) or value < 0:
            raise table.wrong(check, value, "points must be a number, 0 or more")
        if round(value, 2) != value:
            raise table.wrong(check, value, "points are counted in hundredths; give it two decimals at most")
        points[check] = value
    return points


def _flat(prefix: str, content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{key}.", value)
        else:
            yield prefix + key, value


def _fid(table: _Table) -> FidRule:
    when, extractor, borderline = _one_of(table, "when", WHEN), _one_of(table, "extractor", EXTRACTORS), _share(table)
    bands = _bands(table)
    thresholds = {}
    for extractor in EXTRACTORS:
        values = table.table(extractor)
        thresholds[extractor] = MappingProxyType({project: _threshold(values, project) for project in PROJECTS})
        values.end()
    table.end()
    return FidRule(when, extractor, borderline, bands, MappingProxyType(thresholds))


def _one_of(table: _Table, key: str, choices: tuple[str, ...]) -> str:
    value = table.take(key)
    if value not in choices:
        raise table.wrong(key, value, f"it must be one of {', '.join(choices)}")
    return value


def _share(table: _Table) -> float:
    value = table.take("borderline")
    if not _is_number(value) or not 0 <= value < 1:
        raise table.wrong("borderline", value, "it must be a share, from 0 to below 1")
    return float(value)


def _bands(table: _Table) -> tuple[tuple[float, float], ...]:
    value = table.take("bands")
    right = "it must be a list of [factor above 0, share of the points above 0, at most 1]"
    if not isinstance(value, list) or not value or not all(map(_is_band, value)):
        raise table.wrong("bands", value, right)
    if any(not (low[0] < high[0] and low[1] > high[1]) for low, high in pairwise(value)):
        raise table.wrong("bands", value, "from one band to the next the factor must rise and the share must fall")
    return tuple((float(factor), float(share)) for factor, share in value)


def _is_band(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)) and value[0] > 0 < value[1] <= 1


def _threshold(table: _Table, project: str) -> float:
    value = table.take(project)
    if not _is_number(value) or value <= 0:
        raise table.wrong(project, value, "a threshold must be a number above 0")
    return float(value)


def _training(table: _Table) -> Training:
    dataset, data_dir = _one_of(table, "dataset", DATASET_NAMES), table.take("data_dir")
    if not isinstance(data_dir, str) or not data_dir:
        raise table.wrong("data_dir", data_dir, 'it must be the path of a folder, such as "data"')
    steps, seeds = _whole(table, "steps"), table.take("seeds")
    if not isinstance(seeds, list) or not seeds or not all(_is_whole(seed) and seed >= 0 for seed in seeds):
        raise table.wrong("seeds", seeds, "it must be a list of whole numbers, 0 or more, such as [0, 1, 2]")
    if len(set(seeds)) < len(seeds):
        raise table.wrong("seeds", seeds, "every seed must be another one")
    times = {key: _whole(table, key) for key in ("cpu_s", "wall_s")}
    table.end()
    return Training(dataset, table.path.parent / data_dir, steps, tuple(seeds), **times)


def _intake(table: _Table) -> IntakeLimits:
    limits = _whole_numbers(table, IntakeLimits)
    deadline = table.take("deadline") if "deadline" in table.content else None
    if deadline is not None and (not isinstance(deadline, datetime) or deadline.tzinfo is None):
        raise table.wrong(
            "deadline", deadline, "it must be a time with its time zone and no quotes, 2026-06-14T23:59:00+08:00"
        )
    table.asked.append("deadline")
    table.end()
    return IntakeLimits(**limits, deadline=deadline)


def _whole_numbers(table: _Table, kind: type) -> dict[str, int]:
    return {field.name: _whole(table, field.name) for field in fields(kind) if field.type is int}


def _whole(table: _Table, key: str) -> int:
    value = table.take(key)
    if not _is_whole(value) or value < 1:
        raise table.wrong(key, value, "it must be a whole number, 1 or more")
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    return shortened(shown, 60)
