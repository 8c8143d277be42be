"""Feature extractors: lenet's weights, the choice between extractors, and how Inception's weights get here."""

import hashlib
import json
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from coursekit import extractors
from coursekit.data import DATA_DIR_VARIABLE, load_images
from coursekit.errors import CourseError
from coursekit.extractors import inception, lenet, train_lenet
from coursekit.files import write_atomically

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "mnist"
RECORD = json.loads(lenet.WEIGHTS.with_suffix(".json").read_text())


@pytest.fixture(scope="module")
def mnist():
    folder = Path(os.environ.get(DATA_DIR_VARIABLE) or SHARED_DATA)
    if not (folder / "MNIST" / "raw").is_dir():
        pytest.skip(f"no real MNIST: set {DATA_DIR_VARIABLE} to the folder that holds MNIST/raw")
    return load_images("mnist", folder)


@pytest.fixture(scope="module")
def digits():
    return load_images("digits")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty torch.hub folder and a network that refuses."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(inception, "URL", f"http://127.0.0.1:{_closed_port()}/weights.pth")
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def serve(cache, monkeypatch):
    """Point the download at a server on this machine: serve(answer), where answer(handler) writes the response."""
    servers = []

    def start(answer):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                requests.append(self.path)
                answer(self)

            def log_message(self, *args):
                pass

        requests = []
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        monkeypatch.setattr(inception, "URL", f"http://127.0.0.1:{server.server_port}/weights.pth")
        return requests

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def inception_is_built(monkeypatch):
    """Stand in for the building of the network, which the tests of the download need not wait for."""
    monkeypatch.setattr(
        inception,
        "_build",
        lambda content, path, device: replace(
            lenet.load(), name="inception", weights_hash=hashlib.sha256(content).hexdigest()
        ),
    )


@pytest.fixture(scope="module")
def random_inception(tmp_path_factory):
    """A file of Inception weights as torch-fidelity stores them, with random numbers in it."""
    from torch_fidelity import feature_extractor_inceptionv3 as module

    path = tmp_path_factory.mktemp("inception") / "random.pth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        patch.setattr(module, "load_state_dict_from_url", lambda *args, **kwargs: None)
        torch.manual_seed(0)
        torch.save(module.FeatureExtractorInceptionV3("inception", ["2048"]).state_dict(), path)
    return path


def _closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _answer(body, length=None):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


# The lenet that comes with the kit


def test_lenet_weights_are_the_recorded_ones():
    content = lenet.WEIGHTS.read_bytes()
    assert hashlib.sha256(content).hexdigest() == RECORD["sha256"] == extractors.choose("lenet").weights_hash
    assert len(content) < 2**20
    assert RECORD["test_images"] == 10_000
    assert RECORD["test_accuracy"] >= 0.992


@pytest.mark.mnist
def test_lenet_reads_mnist(mnist):
    network, _ = lenet.load_network()
    accuracy = train_lenet.accuracy(network, mnist.validation, mnist.validation_labels)
    assert accuracy >= 0.992
    assert accuracy == pytest.approx(RECORD["test_accuracy"], abs=5e-4)


@pytest.mark.mnist
def test_every_lenet_feature_is_alive(mnist):
    features = extractors.choose("lenet").features(mnist.validation)
    active = (features > 0).double().mean(dim=0)
    assert active.min() > 0.2  # 0.37 measured
    assert active.max() < 0.8  # 0.57 measured


def test_lenet_reads_digits_that_it_never_saw(digits):
    # 60 % measured, 96 % by the nearest class mean: the features tell digits apart that the classifier misnames.
    network, _ = lenet.load_network()
    assert train_lenet.accuracy(network, digits.validation, digits.validation_labels) > 0.5
    lenet_extractor = extractors.choose("lenet")
    features, labels = lenet_extractor.features(digits.train), digits.train_labels
    means = torch.stack([features[labels == digit].mean(dim=0) for digit in range(10)])
    nearest = torch.cdist(lenet_extractor.features(digits.validation), means).argmin(dim=1)
    assert (nearest == digits.validation_labels).double().mean() > 0.9


def test_more_damage_moves_lenet_features_further(digits):
    extractor = extractors.choose("lenet")
    clean = extractor.features(digits.validation)
    noise = torch.randn(digits.validation.shape, generator=torch.Generator().manual_seed(0))
    moved = []
    for strength in (0, 5, 10, 20, 40, 80, 160):
        noisy = (digits.validation + strength * noise).round().clamp(0, 255).to(torch.uint8)
        moved.append(float((extractor.features(noisy).mean(dim=0) - clean.mean(dim=0)).square().sum()))
    assert moved[0] == 0
    assert moved == sorted(moved)
    assert moved[-1] > 100 * moved[2]


def test_lenet_features_do_not_depend_on_the_batches(digits):
    extractor = extractors.choose("lenet")
    images = digits.validation[:100]
    features = extractor.features(images)
    assert features.shape == (100, extractor.num_features) == (100, 84)
    assert features.dtype == torch.float64 and features.device.type == "cpu"
    assert not features.requires_grad
    assert torch.equal(features, extractor.features(images))
    assert torch.equal(features, extractors.choose("lenet").features(images))
    for batch_size in (1, 7, 100):
        again = replace(extractor, batch_size=batch_size).features(images)
        torch.testing.assert_close(again, features, rtol=0, atol=1e-4)


def test_lenet_takes_colours_and_other_sizes(digits):
    extractor = extractors.choose("lenet")
    images = digits.validation[:10]
    assert torch.equal(extractor.features(images.expand(-1, 3, -1, -1)), extractor.features(images))
    colours = torch.randint(256, (5, 3, 20, 45), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    assert extractor.features(colours).isfinite().all()
    assert extractor.features(images[:0]).shape == (0, 84)


@pytest.mark.parametrize(
    "images",
    [torch.zeros(2, 1, 32, 32), torch.zeros(2, 2, 32, 32, dtype=torch.uint8), torch.zeros(1, 32, 32).byte()],
    ids=["floats", "two channels", "no batch"],
)
def test_images_of_another_form_are_refused(images):
    with pytest.raises(ValueError, match=r"lenet wants uint8 images of shape \(N, 1 or 3, height, width\)"):
        extractors.choose("lenet").features(images)


@pytest.mark.parametrize("content", [None, b"", b"half", pickle.dumps({"body": print})])
def test_damaged_lenet_weights_are_one_line(tmp_path, content):
    path = tmp_path / "lenet.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CourseError, match=r"lenet\.pt.*unpack the handout again"):
        lenet.load_network(weights=path)


def test_one_seed_trains_one_network(digits):
    torch.use_deterministic_algorithms(True)
    try:
        first, second, other = (train_lenet.train(digits, seed, num_epochs=1).state_dict() for seed in (0, 0, 1))
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_training_images_vary_within_the_frame(digits):
    images = digits.train[:64].float() / 255
    varied = train_lenet.vary(images, torch.Generator().manual_seed(0))
    assert varied.shape == images.shape
    assert varied.min() >= 0 and varied.max() <= 1 + 1e-6
    assert not torch.equal(varied, images)
    assert torch.equal(varied, train_lenet.vary(images, torch.Generator().manual_seed(0)))


# The choice


def test_naming_the_extractors_needs_no_torch():
    program = "import sys, coursekit.extractors as e; print(e.EXTRACTOR_NAMES, 'torch' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output == "('auto', 'inception', 'lenet') False\n"


def test_unknown_extractor():
    with pytest.raises(CourseError, match="no FID extractor is called 'vgg': choose one of auto, inception, lenet"):
        extractors.choose("vgg")


def test_lenet_is_silent_and_needs_no_network(cache, capfd, digits):
    extractor = extractors.choose("lenet")
    extractor.features(digits.validation[:50], description="real features")
    assert (extractor.name, extractor.protocol_images) == ("lenet", 10_000)
    assert capfd.readouterr() == ("", "")


def test_auto_without_network_takes_lenet_and_says_why(cache, capfd):
    assert extractors.choose("auto").name == "lenet"
    assert capfd.readouterr() == (
        f"FID features: lenet (no Inception weights in {cache} and no network to fetch them)\n",
        "",
    )
    assert not cache.exists()


def test_the_home_folder_is_shown_as_a_tilde(cache, capfd, monkeypatch):
    monkeypatch.setenv("HOME", str(cache.parents[2]))
    extractors.choose("auto")
    assert "(no Inception weights in ~/torch/hub/checkpoints and" in capfd.readouterr().out


def test_inception_without_network_says_what_to_do(cache):
    with pytest.raises(CourseError) as caught:
        extractors.choose("inception")
    message = str(caught.value)
    assert message.startswith(f"no Inception weights in {cache} and no network to fetch them: put {inception.URL} into")
    assert "--inception_weights PATH" in message and "lenet needs nothing" in message and "\n" not in message


@pytest.mark.parametrize("name", ["auto", "inception"])
def test_a_named_file_that_is_not_there_is_an_error(cache, tmp_path, name):
    with pytest.raises(CourseError, match=r"could not read --inception_weights .*absent\.pth: No such file"):
        extractors.choose(name, tmp_path / "absent.pth")
    with pytest.raises(CourseError, match=r"could not read --inception_weights .*: Is a directory"):
        extractors.choose(name, str(tmp_path))


class _Trap:
    def __reduce__(self):
        return (write_atomically, ("trap-was-sprung", "by unpickling"))


@pytest.mark.parametrize("kind", ["empty", "text", "pickle", "other network", "trap"])
def test_a_named_file_of_something_else_is_an_error(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("<html>404</html>")
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"a": 1}))
    elif kind == "other network":
        path.write_bytes(lenet.WEIGHTS.read_bytes())
    else:
        torch.save({"fc.weight": _Trap()}, path)
    with pytest.raises(CourseError, match=r"weights\.pth does not hold torch-fidelity's Inception weights: fetch http"):
        extractors.choose("inception", path)
    assert not Path("trap-was-sprung").exists()


def test_a_named_file_of_the_published_name_must_have_its_hash(tmp_path):
    path = tmp_path / inception.FILE_NAME
    path.write_bytes(b"half of it")
    with pytest.raises(CourseError, match=r"is damaged \(its sha256 is not 6726825d…\): fetch"):
        extractors.choose("inception", path)


def test_the_hash_is_the_one_that_the_published_name_begins():
    assert len(inception.SHA256) == 64
    assert inception.FILE_NAME.endswith(f"-{inception.SHA256[:8]}.pth")


def test_a_file_with_the_first_digits_alone_is_damaged(tmp_path, monkeypatch):
    path = tmp_path / inception.FILE_NAME
    path.write_bytes(b"forged")
    digest = hashlib.sha256(b"forged").hexdigest()
    monkeypatch.setattr(inception, "SHA256", digest[:63] + ("0" if digest[63] != "0" else "1"))
    with pytest.raises(CourseError, match="is damaged"):
        extractors.choose("inception", path)


# The network


@pytest.mark.parametrize("name", ["auto", "inception"])
def test_inception_from_a_file(random_inception, capfd, name):
    extractor = extractors.choose(name, str(random_inception))
    images = torch.randint(256, (2, 1, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    features = extractor.features(images)
    told = f"FID features: inception (weights in {random_inception})\n" if name == "auto" else ""
    assert capfd.readouterr() == (told, "")
    assert (extractor.name, extractor.num_features, extractor.protocol_images) == ("inception", 2048, 3_000)
    assert extractor.weights_hash == hashlib.sha256(random_inception.read_bytes()).hexdigest()
    assert features.shape == (2, 2048) and features.dtype == torch.float64 and features.isfinite().all()
    assert torch.equal(features, extractor.features(images))
    assert torch.equal(features, extractor.features(images.expand(-1, 3, -1, -1)))
    assert not torch.equal(features[0], features[1])


def test_inception_weights_in_the_old_format_of_torch(random_inception, tmp_path):
    old = tmp_path / "old.pth"
    torch.save(torch.load(random_inception), old, _use_new_zipfile_serialization=False)
    assert extractors.choose("inception", old).name == "inception"


def test_cached_inception_needs_no_network(random_inception, cache, monkeypatch, capfd):
    monkeypatch.setattr(inception, "SHA256", hashlib.sha256(random_inception.read_bytes()).hexdigest())
    cache.mkdir(parents=True)
    cached = cache / inception.FILE_NAME
    cached.symlink_to(random_inception)
    assert extractors.choose("auto").name == "inception"
    assert capfd.readouterr() == (f"FID features: inception (weights in {cached})\n", "")


# The download

WEIGHTS = bytes(range(256)) * 2000


@pytest.fixture
def weights_hash(monkeypatch):
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    monkeypatch.setattr(inception, "SHA256", digest)
    return digest


def test_a_download_is_made_once(serve, cache, weights_hash, inception_is_built, capfd):
    requests = serve(_answer(WEIGHTS))
    for _ in range(2):
        assert extractors.choose("auto").weights_hash == weights_hash
    assert extractors.choose("inception").weights_hash == weights_hash
    assert requests == ["/weights.pth"]
    assert [path.name for path in cache.iterdir()] == [inception.FILE_NAME]
    assert (cache / inception.FILE_NAME).read_bytes() == WEIGHTS
    assert capfd.readouterr() == (f"FID features: inception (weights in {cache / inception.FILE_NAME})\n" * 2, "")


def test_a_damaged_file_in_the_cache_is_fetched_anew(serve, cache, weights_hash, inception_is_built):
    cache.mkdir(parents=True)
    (cache / inception.FILE_NAME).write_bytes(WEIGHTS[:100])
    serve(_answer(WEIGHTS))
    assert extractors.choose("auto").name == "inception"
    assert (cache / inception.FILE_NAME).read_bytes() == WEIGHTS


def test_a_damaged_file_in_the_cache_without_network(cache, capfd):
    cache.mkdir(parents=True)
    (cache / inception.FILE_NAME).write_bytes(b"half")
    assert extractors.choose("auto").name == "lenet"
    assert f"lenet ({cache / inception.FILE_NAME} is damaged and no network to fetch" in capfd.readouterr().out


def _hang(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b"a")
    handler.wfile.flush()
    time.sleep(1)


def _trickle(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    try:
        for _ in range(300):
            handler.wfile.write(b"a")
            handler.wfile.flush()
            time.sleep(0.01)
    except OSError:
        pass  # the client has gone, as it should


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (_answer(WEIGHTS[:5000], length=len(WEIGHTS)), "the download came damaged"),
        (_answer(WEIGHTS[:-1] + b"?"), "the download came damaged"),
        (_answer(b""), "the download came damaged"),
        (lambda handler: handler.send_error(404), "the server that has them answered 404"),
        (lambda handler: handler.wfile.write(b"not HTTP\r\n\r\n"), "no network to fetch them"),
        (_hang, "no network to fetch them"),
        (_trickle, "fetching them took more than 0.2 s"),
    ],
    ids=["truncated", "altered", "empty", "404", "not HTTP", "hangs", "trickles"],
)
def test_a_failed_download_leaves_nothing(serve, cache, weights_hash, monkeypatch, capfd, answer, reason):
    monkeypatch.setattr(inception, "SILENCE_LIMIT_S", 0.2)
    monkeypatch.setattr(inception, "DOWNLOAD_LIMIT_S", 0.2)
    requests = serve(answer)
    assert extractors.choose("auto").name == "lenet"
    captured = capfd.readouterr()
    assert captured.out.startswith(f"FID features: lenet (no Inception weights in {cache} and {reason}")
    assert captured.out.count("\n") == 1 and captured.err == ""
    assert len(requests) <= 1
    assert not cache.exists()


def test_an_interrupt_leaves_nothing(serve, cache, weights_hash, monkeypatch):
    class Interrupting(inception.tqdm):
        def update(self, n=1):
            raise KeyboardInterrupt

    serve(_answer(WEIGHTS))
    monkeypatch.setattr(inception, "tqdm", Interrupting)
    with pytest.raises(KeyboardInterrupt):
        extractors.choose("auto")
    assert not cache.exists()


def test_a_cache_that_can_not_be_written_is_told(serve, cache, weights_hash, capfd):
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    serve(_answer(WEIGHTS))
    assert extractors.choose("auto").name == "lenet"
    assert f"could not write {cache / inception.FILE_NAME}: " in capfd.readouterr().out
