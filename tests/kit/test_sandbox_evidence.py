"""Evidence of the expected form is read; everything else is one line, and costs nothing."""

import io
import json
import pickle
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.sandbox.evidence import ArraySpec, EvidenceError, read_arrays, read_json

MU = {"mu": ArraySpec((4, None))}


def npz(*, compress: bool = False, **arrays) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(stream, **arrays)
    return stream.getvalue()


def zipped(entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def with_header(header: str, payload: bytes = bytes(32), version: bytes = b"\x01\x00") -> bytes:
    text = header.encode("latin1") + b"\n"
    return zipped({"mu.npy": b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text + payload})


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(), (3,), (0, 2), (2, 3, 4)])
def test_arrays_come_back(dtype, shape, compress):
    array = (np.arange(np.prod(shape, dtype=int)).reshape(shape) % 2).astype(dtype)
    read = read_arrays(npz(a=array, compress=compress), {"a": ArraySpec(shape, dtype)})["a"]
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)
    assert read.flags.writeable
    assert read.flags.c_contiguous


def test_columns_first_and_names_like_paths():
    array = np.asfortranarray(np.arange(8, dtype="float32").reshape(4, 2))
    data = npz(**{"encoder/0.weight": array})
    read = read_arrays(data, {"encoder/0.weight": ArraySpec((4, 2))})
    np.testing.assert_array_equal(read["encoder/0.weight"], array)


def test_nan_where_it_is_allowed():
    data = npz(mu=np.full((4, 1), np.nan, "float32"))
    assert np.isnan(read_arrays(data, {"mu": ArraySpec((4, 1), finite=False)})["mu"]).all()


GOOD = np.zeros((4, 2), "float32")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a .npz file as numpy writes it"),
        (b"x" * 100, "not a .npz file as numpy writes it"),
        (npy(GOOD), "not a .npz file as numpy writes it"),
        (pickle.dumps({"mu": GOOD}), "not a .npz file as numpy writes it"),
        (npz(mu=GOOD)[:-1], "not a .npz file as numpy writes it"),
        (npz(mu=GOOD)[10:], "not a .npz file that can be read ("),
        (npz(), "'mu' is missing"),
        (npz(mu=GOOD, sigma=GOOD), "'sigma.npy' is not one of the expected arrays"),
        (zipped({"../mu.npy": npy(GOOD)}), "'../mu.npy' is not one of the expected arrays"),
        (zipped({"mu": npy(GOOD)}), "'mu' is not one of the expected arrays"),
        (npz(**{"\x1b[31m": GOOD}), "'\\x1b[31m.npy' is not one of the expected arrays"),
        (npz(mu=GOOD.astype("float64")), "'mu' has the type float64 where float32 is expected"),
        (npz(mu=GOOD.astype(">f4")), "'mu' has the type >f4 where float32 is expected"),
        (npz(mu=GOOD.astype("complex64")), "'mu' has the type complex64 where float32 is expected"),
        (npz(mu=np.array([["x"]] * 4)), "'mu' has the type <U1 where float32 is expected"),
        (npz(mu=np.zeros(4, "f4,f4")), "'mu' has the type [('f0', '<f4'), ('f1', '<f4')] where float32 is expected"),
        (npz(mu=GOOD.T), "'mu' has the shape (2, 4) where (4, 'any') is expected"),
        (npz(mu=GOOD[None]), "'mu' has the shape (1, 4, 2) where (4, 'any') is expected"),
        (npz(mu=np.full((4, 2), np.nan, "float32")), "'mu' has NaN or infinite values"),
        (npz(mu=np.full((4, 2), -np.inf, "float32")), "'mu' has NaN or infinite values"),
        (zipped({"mu.npy": npy(GOOD)[:-1]}), "'mu' has 31 bytes, which is not what its shape says"),
        (zipped({"mu.npy": npy(GOOD) + b"x"}), "'mu' has 33 bytes, which is not what its shape says"),
        (zipped({"mu.npy": b""}), "'mu' is not an array that numpy writes without pickle"),
        (zipped({"mu.npy": npy(GOOD)}, zipfile.ZIP_BZIP2), "'mu' is packed in a way that numpy doesn't"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (4, -2)}"), None),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 99999999999)}"), "'mu' has 32 bytes, "),
        (with_header("{'descr': '|O', 'fortran_order': False, 'shape': (4, 2)}"), "'mu' has the type object where"),
        (with_header("{'descr': ('<f4', (2,)), 'fortran_order': False, 'shape': (4, 1)}"), "'mu' has the type "),
        (with_header("__import__('os').abort()"), "'mu' is not an array that numpy writes without pickle"),
        (with_header("(" * 1500), "'mu' is not an array that numpy writes without pickle"),
        (with_header("1" * 5000), "'mu' is not an array that numpy writes without pickle"),
        (with_header("{}", version=b"\x09\x00"), "'mu' is not an array that numpy writes without pickle"),
    ],
)
def test_what_is_refused(data, message):
    with pytest.raises(EvidenceError) as caught:
        read_arrays(data, MU)
    assert len(str(caught.value).splitlines()) == 1
    if message:
        assert str(caught.value).startswith(message)


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


def test_pickles_are_not_opened():
    stream = io.BytesIO()
    np.savez(stream, mu=np.array([[Bomb()]] * 4, dtype=object))
    with pytest.raises(EvidenceError, match="'mu' has the type object where float32"):
        read_arrays(stream.getvalue(), MU)


def test_booleans_are_true_or_false():
    data = zipped({"a.npy": npy(np.zeros(1, bool))[:-1] + b"\x02"})
    with pytest.raises(EvidenceError, match="neither true nor false"):
        read_arrays(data, {"a": ArraySpec((1,), "bool")})


def test_a_name_twice():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("mu.npy", npy(GOOD))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("mu.npy", npy(GOOD))
    with pytest.raises(EvidenceError, match="'mu' is there twice"):
        read_arrays(stream.getvalue(), MU)


def test_bombs_are_not_unpacked():
    bomb = zipped({"mu.npy": npy(np.zeros((4, 4 << 20), "float32"))})
    lying = bytearray(bomb)
    start = lying.rindex(b"PK\x01\x02")
    lying[start + 24 : start + 28] = struct.pack("<L", 160)  # the size in the directory
    many = zipped({f"{n}.npy": b"" for n in range(20_000)}, zipfile.ZIP_STORED)
    del start
    for data in (bomb, bytes(lying), many):
        tracemalloc.start()
        begin = time.process_time()
        with pytest.raises(EvidenceError):
            read_arrays(data, MU, max_bytes=4 << 20)
        assert time.process_time() - begin < 1
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
        tracemalloc.stop()


def test_all_arrays_share_one_limit():
    data = npz(a=np.zeros(1000), b=np.zeros(1000), compress=True)
    expected = {"a": ArraySpec((None,), "float64"), "b": ArraySpec((None,), "float64")}
    assert set(read_arrays(data, expected, max_bytes=16_000)) == {"a", "b"}
    with pytest.raises(EvidenceError, match="'b' is too large"):
        read_arrays(data, expected, max_bytes=12_000)
    with pytest.raises(EvidenceError, match=r"too large: .* where 100 are allowed"):
        read_arrays(data, expected, max_bytes=100)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_damage_is_evidence_of_nothing_or_harmless(choose):
    data = bytearray(npz(mu=GOOD, compress=choose.draw(st.booleans())))
    for _ in range(choose.draw(st.integers(1, 4))):
        data[choose.draw(st.integers(0, len(data) - 1))] = choose.draw(st.integers(0, 255))
    try:
        read = read_arrays(bytes(data), MU)
    except EvidenceError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert read["mu"].dtype == np.float32
        assert read["mu"].shape[0] == 4


def test_json_comes_back():
    value = {"losses": [1.5, -2e-3, 0], "text": 'a "quoted" [[[[ {\\', "none": None, "deep": [[[[1]]]]}
    assert read_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b"{", "no JSON"),
        (b"NaN", "no JSON"),
        (b"[Infinity]", "no JSON"),
        (b"1e999", "no JSON"),
        (b"-1e999", "no JSON"),
        (b"9" * 10_000, "no JSON"),
        (b'{"a": 1, "a": 2}', "no JSON"),
        (b"[" * 100_000, "nested 100,000 deep where 16 are allowed"),
        (b'{"a":' * 17 + b"1" + b"}" * 17, "nested 17 deep where 16 are allowed"),
        (b'"' + b"\\" * 400_001 + b"[" * 500_000, "no JSON"),  # all of it one text without an end
        (b" " * 2_000_000, "too large: 2,000,000 bytes where 1,048,576 are allowed"),
    ],
)
def test_json_that_is_refused(data, message):
    begin = time.process_time()
    with pytest.raises(EvidenceError, match=message) as caught:
        read_json(data)
    assert len(str(caught.value).splitlines()) == 1
    assert time.process_time() - begin < 2
