"""Inception-v3 as torch-fidelity has it: the 2,048 features of the 2015-12-05 network, which published FIDs use.

The weights (91 MB) are looked for where torch.hub keeps its downloads, fetched there once where there is a network,
or read from a file that the user names. Under their own file name they must have the sha256 of the published file;
a file of another name is taken as it is, as long as it fits the network, and its hash tells the results apart.
"""

import contextlib
import hashlib
import http.client
import io
import os
import time
import urllib.error
import urllib.request
import warnings
from pathlib import Path

import torch
from tqdm import tqdm

from coursekit.errors import CourseError
from coursekit.extractors import BAR_DELAY_S, Extractor, lenet
from coursekit.files import write_atomically

NUM_FEATURES = 2048
PROTOCOL_IMAGES = 3_000  # on each side: what a CPU gets through while a student waits
BATCH_SIZE = 32
URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
FILE_NAME = URL.rpartition("/")[2]
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
SILENCE_LIMIT_S = 10  # how long a server may say nothing
DOWNLOAD_LIMIT_S = 600
CHUNK_BYTES = 1 << 16


class _Unavailable(Exception):
    """Why the weights are neither here nor to be had, as the half of a sentence."""


def load(weights: Path | str | None = None, device: torch.device | str = "cpu") -> Extractor:
    """The extractor with the weights of a file, or, without one, with the weights of torch.hub's folder.

    Raises:
        CourseError: the weights are missing and can't be downloaded, or are not Inception's.
    """
    try:
        return _load(weights, device)[0]
    except _Unavailable as reason:
        raise CourseError(
            f"{reason}: put {URL} into {_short(_folder())}, or give --inception_weights PATH; "
            "--fid_extractor lenet needs nothing"
        ) from reason


def load_or_lenet(weights: Path | str | None = None, device: torch.device | str = "cpu") -> Extractor:
    """Inception where its weights are named, at hand or to be had, else lenet; prints in one line which and why.

    Raises:
        CourseError: the file of weights that the user named is missing or does not hold Inception's.
    """
    try:
        extractor, path = _load(weights, device)
        reason = f"weights in {_short(path)}"
    except _Unavailable as unavailable:
        extractor, reason = lenet.load(device), unavailable
    print(f"FID features: {extractor.name} ({reason})", flush=True)
    return extractor


def _load(weights: Path | str | None, device: torch.device | str) -> tuple[Extractor, Path]:
    """The extractor, and where its weights lie; _Unavailable where the user named no file and none is to be had."""
    if weights is None:
        content, path = _fetch()
    else:
        content, path = _read(Path(weights)), Path(weights)
    return _build(content, path, device), path


def _folder() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _short(path: Path) -> str:
    home = os.path.expanduser("~")
    return f"~{str(path)[len(home) :]}" if path.is_relative_to(home) else str(path)


def _read(path: Path) -> bytes:
    """The bytes of a weights file that the user named."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CourseError(f"could not read --inception_weights {path}: {error.strerror}") from error
    if path.name == FILE_NAME and not _genuine(content):
        raise CourseError(f"--inception_weights {path} is damaged (its sha256 is not {SHA256[:8]}…): fetch {URL} again")
    return content


def _genuine(content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == SHA256


def _fetch() -> tuple[bytes, Path]:
    """The weights in torch.hub's folder, downloaded where they are missing or damaged, and their path."""
    path = _folder() / FILE_NAME
    wrong = f"no Inception weights in {_short(path.parent)}"
    with contextlib.suppress(OSError):
        content = path.read_bytes()
        if _genuine(content):
            return content, path
        wrong = f"{_short(path)} is damaged"
    try:
        content = _download()
        write_atomically(path, content)
    except (_Unavailable, CourseError) as reason:
        raise _Unavailable(f"{wrong} and {reason}") from reason
    return content, path


def _download() -> bytes:
    """One attempt, whole and with the right hash, or _Unavailable. Nothing touches the disk before it is complete."""
    deadline = time.monotonic() + DOWNLOAD_LIMIT_S
    content = io.BytesIO()
    try:
        with urllib.request.urlopen(URL, timeout=SILENCE_LIMIT_S) as response:
            size = int(response.headers.get("Content-Length") or 0) or None
            with tqdm(
                total=size,
                desc="downloading Inception",
                unit="B",
                unit_scale=True,
                delay=BAR_DELAY_S,
                disable=None,
                leave=False,
            ) as bar:
                # read1 comes back with what has arrived, so that a trickle meets the deadline too.
                while part := response.read1(CHUNK_BYTES):
                    content.write(part)
                    bar.update(len(part))
                    if time.monotonic() > deadline:
                        raise _Unavailable(f"fetching them took more than {DOWNLOAD_LIMIT_S} s")
    except urllib.error.HTTPError as error:
        error.close()
        raise _Unavailable(f"the server that has them answered {error.code}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _Unavailable("no network to fetch them") from error
    if not _genuine(content.getvalue()):
        raise _Unavailable(f"the download came damaged (its sha256 is not {SHA256[:8]}…)")
    return content.getvalue()


def _build(content: bytes, path: Path, device: torch.device | str) -> Extractor:
    """The extractor with the weights that `content`, the bytes of the file at `path`, holds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        try:
            # torch-fidelity unpickles whatever it is given: first make sure that these bytes hold tensors only.
            torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            network = FeatureExtractorInceptionV3("inception", ["2048"], io.BytesIO(content))
        except Exception as error:  # torch raises a type of its own for every way in which a file can be wrong
            raise CourseError(
                f"{path} does not hold torch-fidelity's Inception weights: fetch {URL}, or use --fid_extractor lenet"
            ) from error
    network.to(device)

    def extract(images: torch.Tensor) -> torch.Tensor:
        return network(images.expand(-1, 3, -1, -1))[0]

    weights_hash = hashlib.sha256(content).hexdigest()
    return Extractor("inception", weights_hash, NUM_FEATURES, PROTOCOL_IMAGES, extract, BATCH_SIZE, device)
