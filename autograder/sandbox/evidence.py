"""Reading what came out of a sandbox: arrays and JSON, of the expected form or not at all."""

import contextlib
import io
import json
import math
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from autograder.sandbox.limits import KB, MB

_HEADER_BYTES = 2 * KB  # an array's header; numpy's own are 128 bytes
_ENTRY_BYTES = KB  # an entry of the zip's directory, with the name
_END = struct.Struct("<4s4H2LH")  # the last record of a zip without a comment
_READ_HEADER = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what numpy writes
_NUMBERS = "biuf"
_STRUCTURE = re.compile(rb'\\.|["\[\]{}]', re.DOTALL)  # each match has two bytes at most: nothing is read twice
_MOST_DIGITS = 20  # of a whole number; making one of a text takes the square of its length


class EvidenceError(Exception):
    """Evidence that isn't of the expected form. The message is one line."""


@dataclass(frozen=True)
class ArraySpec:
    """What an array must be.

    Args:
        shape: its sizes, None where any will do; None for any shape at all.
        dtype: its type, such as "float32": of booleans, integers or floats; or all types that will do.
        finite: whether NaN and infinities are refused.
    """

    shape: tuple[int | None, ...] | None
    dtype: str | tuple[str, ...] = "float32"
    finite: bool = True


def read_arrays(data: bytes, expected: Mapping[str, ArraySpec], *, max_bytes: int = 64 * MB) -> dict[str, np.ndarray]:
    """Read a `.npz` file without pickle, and without unpacking more than is expected.

    Args:
        data: the file's content.
        expected: name -> what that array must be; all of them must be there, and no others.
        max_bytes: how large the file may be, and all arrays together once they are unpacked.
    Returns:
        name -> array, in the order of `expected`, writable and in C order.
    Raises:
        EvidenceError: the file is anything else.
    """
    with _opened(data, len(expected), max_bytes) as archive:
        entries = _entries(archive)
        for name, info in entries.items():
            if name not in expected:
                raise EvidenceError(f"{_shown(info.filename)} is not one of the expected arrays")
        missing = [name for name in expected if name not in entries]
        if missing:
            more = f", and {len(missing) - 1} more" * (len(missing) > 1)
            raise EvidenceError(f"{_shown(missing[0])} is missing{more}")
        return _read_all(archive, {name: (entries[name], spec) for name, spec in expected.items()}, max_bytes)


def read_any_arrays(
    data: bytes, spec: ArraySpec, *, max_arrays: int = 500, max_bytes: int = 64 * MB
) -> dict[str, np.ndarray]:
    """Read a `.npz` file as `read_arrays` does where the names are not known beforehand.

    Args:
        data: the file's content.
        spec: what each of the arrays must be.
        max_arrays: how many there may be.
        max_bytes: how large the file may be, and all arrays together once they are unpacked.
    Returns:
        name -> array, writable and in C order.
    Raises:
        EvidenceError: the file is anything else.
    """
    with _opened(data, max_arrays, max_bytes) as archive:
        return _read_all(archive, {name: (info, spec) for name, info in _entries(archive).items()}, max_bytes)


def read_json(data: bytes, *, max_bytes: int = 1 << 20, max_depth: int = 16) -> object:
    """Read a JSON file.

    Args:
        data: the file's content.
        max_bytes: how large it may be.
        max_depth: how deep lists and objects may be nested.
    Returns:
        what it holds; all numbers are finite, and whole ones of 64 bits or little more.
    Raises:
        EvidenceError: it is no JSON in UTF-8, too large or too deep, a number is, or an object has a key twice.
    """
    if len(data) > max_bytes:
        raise EvidenceError(f"too large: {len(data):,} bytes where {max_bytes:,} are allowed")
    deepest = _depth(data)  # counted before parsing: the parser goes down by recursion
    if deepest > max_depth:
        raise EvidenceError(f"nested {deepest:,} deep where {max_depth} are allowed")
    try:
        return json.loads(
            data.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_without_repetition,
        )
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"no JSON that can be read ({type(error).__name__})") from error


def _check_directory(data: bytes, num_arrays: int) -> None:
    """Look at the zip's end before `zipfile` does, which would read millions of entries."""
    end = data[-_END.size :]
    if len(end) < _END.size or not end.startswith(b"PK\5\6") or data[-_END.size - 20 :].startswith(b"PK\6\7"):
        raise EvidenceError("not a .npz file as numpy writes it")
    if _END.unpack(end)[5] > num_arrays * _ENTRY_BYTES:
        raise EvidenceError(f"holds more than the {num_arrays} expected arrays")


@contextlib.contextmanager
def _opened(data: bytes, max_arrays: int, max_bytes: int) -> Iterator[zipfile.ZipFile]:
    if len(data) > max_bytes:
        raise EvidenceError(f"too large: {len(data):,} bytes where {max_bytes:,} are allowed")
    _check_directory(data, max_arrays)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield archive
    except EvidenceError:
        raise
    except Exception as error:  # whatever a parser trips over in a hostile file comes to the same
        raise EvidenceError(f"not a .npz file that can be read ({type(error).__name__})") from error


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    entries = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name == info.filename:
            raise EvidenceError(f"{_shown(info.filename)} is not one of the expected arrays")
        if name in entries:
            raise EvidenceError(f"{_shown(name)} is there twice")
        entries[name] = info
    return entries


def _read_all(
    archive: zipfile.ZipFile, wanted: Mapping[str, tuple[zipfile.ZipInfo, ArraySpec]], max_bytes: int
) -> dict[str, np.ndarray]:
    arrays = {}
    for name, (info, spec) in wanted.items():
        arrays[name] = _read_array(archive, info, name, spec, max_bytes)
        max_bytes -= arrays[name].nbytes
    return arrays


def _read_array(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, spec: ArraySpec, max_bytes: int
) -> np.ndarray:
    if info.compress_type not in _COMPRESSION or info.flag_bits & 1:
        raise EvidenceError(f"{_shown(name)} is packed in a way that numpy doesn't")
    with archive.open(info) as file:  # what the zip says of sizes isn't believed
        content = file.read(max_bytes + _HEADER_BYTES + 1)
    if len(content) > max_bytes + _HEADER_BYTES:
        raise EvidenceError(f"{_shown(name)} is too large: {max_bytes:,} bytes are left for it")
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        shape, is_fortran, dtype = _READ_HEADER[version](stream, max_header_size=_HEADER_BYTES)
    except Exception as error:  # numpy evaluates the header as a literal, which fails in many ways
        raise EvidenceError(f"{_shown(name)} is not an array that numpy writes without pickle") from error
    known = [np.dtype(one) for one in ([spec.dtype] if isinstance(spec.dtype, str) else spec.dtype)]
    if dtype.kind not in _NUMBERS or dtype not in known:
        expected = " or ".join(map(str, known))
        raise EvidenceError(f"{_shown(name)} has the type {str(dtype)[:40]} where {expected} is expected")
    if not _fits(shape, spec):
        sizes = tuple("any" if length is None else length for length in spec.shape or ())
        raise EvidenceError(f"{_shown(name)} has the shape {str(shape)[:80]} where {sizes} is expected")
    payload = content[stream.tell() :]
    if len(payload) != math.prod(shape) * dtype.itemsize:
        raise EvidenceError(f"{_shown(name)} has {len(payload):,} bytes, which is not what its shape says")
    values = np.frombuffer(payload, dtype) if payload else np.empty(0, dtype)
    if dtype.kind == "b" and values.view(np.uint8).max(initial=0) > 1:
        raise EvidenceError(f"{_shown(name)} has values that are neither true nor false")
    if spec.finite and not np.isfinite(values).all():
        raise EvidenceError(f"{_shown(name)} has NaN or infinite values")
    return np.array(values.reshape(shape, order="F" if is_fortran else "C"), order="C")


def _fits(shape: tuple[int, ...], spec: ArraySpec) -> bool:
    if spec.shape is None:
        return all(length >= 0 for length in shape)
    if len(shape) != len(spec.shape):
        return False
    return all(length >= 0 and wanted in (None, length) for length, wanted in zip(shape, spec.shape, strict=True))


def _shown(name: str) -> str:
    return ascii(name)[:80]


def _depth(data: bytes) -> int:
    """How deep lists and objects are nested in a JSON text."""
    depth = deepest = 0
    is_text = False
    for found in _STRUCTURE.findall(data):
        if found == b'"':
            is_text = not is_text
        elif not is_text and len(found) == 1:
            depth += 1 if found in b"[{" else -1
            deepest = max(deepest, depth)
    return deepest


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:20]} is too large")
    return value


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"{text[:20]}… is too large")
    return int(text)


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    named = dict(pairs)
    if len(named) != len(pairs):
        raise ValueError("a key is there twice")
    return named
