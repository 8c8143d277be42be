"""What a training left is read in a process with limits: whatever it is, it is weights or one clause."""

import io
import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder import limited, training
from autograder.training_results import Stopped, read_images, read_weights
from coursekit.errors import DIVERGED

MAX_BYTES = 1 << 20
GOOD = {"0": np.arange(6, dtype=np.float32).reshape(2, 3), "1": np.ones(2, np.float64)}
WORDS = {"type": "CourseError", "message": f"loss is nan at step 10: {DIVERGED}", "where": "VAE/trainer.py:7"}


def npz(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def left(facts=None, failures=None, arrays=None) -> dict[str, bytes]:
    said = {"facts": {"names": ["a", "b"]} if facts is None else facts, "failures": failures or {}}
    return {"weights.json": json.dumps(said).encode(), "weights.npz": npz(**(GOOD if arrays is None else arrays))}


def test_weights_come_back():
    weights = read_weights(left(), MAX_BYTES)
    assert weights.names == ["a", "b"]
    with np.load(io.BytesIO(weights.arrays)) as arrays:
        assert list(arrays) == ["0", "1"]
        np.testing.assert_array_equal(arrays["0"], GOOD["0"])


@pytest.mark.parametrize(
    ("files", "reason", "diverged"),
    [
        ({}, "it left no results", False),
        ({"weights.json": b"[]"}, "it left no results", False),
        ({"weights.json": left()["weights.json"]}, "its trained weights can't be read: there are none", False),
        (left({}), "its trained weights can't be read: there are none", False),
        (left({"names": ["a"]}), "its trained weights can't be read: they have other names", False),
        (left({"names": ["a", "a"]}), "its trained weights can't be read: they have no names", False),
        (left({"names": [1, 2]}), "its trained weights can't be read: they have no names", False),
        (left(arrays={"a": np.ones(2), "b": np.ones(2)}), "its trained weights can't be read: they have other", False),
        (left(arrays={**GOOD, "1": np.array([np.inf])}), "its trained weights have NaN or infinity in them", True),
        (left(failures={"training": WORDS}), f"VAE/trainer.py:7: loss is nan at step 10: {DIVERGED}", False),
        (left({"diverged": True}, {"training": WORDS}), f"VAE/trainer.py:7: loss is nan at step 10: {DIVERGED}", True),
        (left({"diverged": 1}, {"training": WORDS}), "VAE/trainer.py:7: loss is nan", False),
    ],
)
def test_what_is_no_weights_is_one_clause(files, reason, diverged):
    with pytest.raises(Stopped) as caught:
        limited.call(read_weights, files, MAX_BYTES)
    assert caught.value.reason.startswith(reason)
    assert caught.value.diverged is diverged


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["names", "type", "diverged"]), inner),
)


@given(JSON, JSON)
@settings(max_examples=200, deadline=None)
def test_any_json_is_one_clause(facts, failures):
    for said in ({"facts": facts, "failures": failures}, facts):
        with pytest.raises(Stopped):
            read_weights({"weights.json": json.dumps(said).encode(), "weights.npz": npz()}, MAX_BYTES)


def test_images_come_back_and_others_are_one_clause():
    images = np.zeros((2, 1, 4, 4), np.uint8)
    files = {"sampling.json": json.dumps({"facts": {}, "failures": {}}).encode(), "images.npz": npz(images=images)}
    np.testing.assert_array_equal(read_images(files, images.shape, MAX_BYTES), images)
    with pytest.raises(Stopped, match="the images that it drew can't be read: 'images' has the shape"):
        read_images(files, (3, 1, 4, 4), MAX_BYTES)


def test_what_takes_too_long_to_read_is_one_clause(monkeypatch):
    monkeypatch.setattr(limited, "USUAL", limited.Limits(cpu_s=1))
    with pytest.raises(Stopped, match=r"its results could not be read: it took more than 1 s of computing time"):
        training._read(burn)


def burn() -> None:
    while True:
        time.process_time()
