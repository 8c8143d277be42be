import gzip
import hashlib
import http.server
import threading
import urllib.error
import urllib.request
from functools import partial

import numpy as np
import pytest
import torch
from conftest import write_mnist_like
from PIL import Image
from torchvision import datasets, transforms

from coursekit.data import Batches, load_images, num_channels, resize, scale, unscale
from coursekit.errors import CourseError
from coursekit.flags import DATASET_NAMES


def grey_levels_apart(images: torch.Tensor) -> int:
    """How far our resized pixels are from those of torchvision's Resize on PIL images, at most."""
    reference = transforms.Resize(32)
    expected = np.stack([np.asarray(reference(Image.fromarray(image.numpy()))) for image in images[:, 0]])
    return int(np.abs(resize(images)[:, 0].numpy().astype(int) - expected).max())


@pytest.mark.parametrize("size", [28, 8, 64])
def test_resized_pixels_agree_with_torchvision(size):
    images = torch.randint(0, 256, (50, 1, size, size), dtype=torch.uint8, generator=torch.manual_seed(size))
    assert grey_levels_apart(images) <= 1


@pytest.mark.mnist
def test_resized_mnist_agrees_with_torchvision(mnist_dir):
    images = datasets.MNIST(mnist_dir, train=False).data[:500].unsqueeze(1)
    assert grey_levels_apart(images) <= 1


@pytest.mark.mnist
def test_real_mnist_has_its_sizes(mnist_dir):
    images = load_images("mnist", mnist_dir)
    assert images.train.shape == (60000, 1, 32, 32) and images.validation.shape == (10000, 1, 32, 32)
    assert images.train.dtype == torch.uint8
    assert images.train_labels[:5].tolist() == [5, 0, 4, 1, 9]


def test_digits_need_nothing(tmp_path):
    images = load_images("digits", tmp_path / "nowhere")
    assert images.train.shape == (1200, 1, 32, 32) and images.validation.shape == (597, 1, 32, 32)
    assert images.train.min() == 0 and images.train.max() == 255
    every_label = torch.arange(10)
    assert torch.equal(images.train_labels.unique(), every_label)
    assert torch.equal(images.validation_labels.unique(), every_label)


def test_the_number_of_channels_is_known_before_the_images_are():
    assert num_channels("digits") == load_images("digits").train.shape[1]
    with pytest.raises(CourseError, match="no data set is called 'cifar'"):
        num_channels("cifar")


def test_the_command_line_offers_every_data_set():
    from coursekit.data import DATASETS

    assert set(DATASETS) == set(DATASET_NAMES)


@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1)])
def test_scaling_reaches_both_ends_and_can_be_undone(value_range):
    pixels = torch.arange(256, dtype=torch.uint8)
    scaled = scale(pixels, value_range)
    assert scaled.dtype == torch.float32
    assert (scaled.min(), scaled.max()) == value_range
    assert torch.equal(unscale(scaled, value_range), pixels)
    expected = value_range[0] + pixels.double() / 255 * (value_range[1] - value_range[0])
    torch.testing.assert_close(scaled.double(), expected, rtol=0, atol=1e-7)


def numbered(count: int) -> torch.Tensor:
    """`count` images of one pixel, which says which image it is."""
    return torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1)


def test_an_epoch_shows_every_image_at_most_once_and_epochs_differ():
    batches = Batches(numbered(100), batch_size=8, seed=3)
    assert batches.steps_per_epoch == 12
    first, second = (
        torch.cat([batches[start + step] for step in range(1, 13)]).flatten().tolist() for start in (0, 12)
    )
    assert len(set(first)) == len(set(second)) == 96
    assert first != second


def test_a_batch_depends_on_seed_and_step_alone():
    images = numbered(100)
    in_order = [Batches(images, 8, seed=1)[step] for step in range(1, 40)]
    visited = Batches(images, 8, seed=1)
    for step in (39, 1, 20, 38, 13, 12):
        assert torch.equal(visited[step], in_order[step - 1])
    torch.manual_seed(99)
    np.random.seed(99)
    assert torch.equal(Batches(images, 8, seed=1)[5], in_order[4])
    assert not torch.equal(Batches(images, 8, seed=2)[5], in_order[4])


def test_batches_leave_the_random_generators_alone():
    state = torch.get_rng_state()
    Batches(numbered(100), 8)[1]
    assert torch.equal(torch.get_rng_state(), state)


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(CourseError, match="--batch_size 200 is more than the 100 training images"):
        Batches(numbered(100), 200)


@pytest.mark.parametrize(("name", "class_name"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_a_folder_that_holds_the_files_is_read_without_a_network(tmp_path, no_network, name, class_name):
    write_mnist_like(tmp_path, 40, class_name)
    images = load_images(name, tmp_path)
    assert images.train.shape == images.validation.shape == (40, 1, 32, 32)


def test_the_environment_variable_names_a_second_folder(tmp_path, no_network, monkeypatch):
    write_mnist_like(tmp_path / "elsewhere")
    monkeypatch.setenv("COURSEKIT_DATA_DIR", str(tmp_path / "elsewhere"))
    assert len(load_images("mnist", tmp_path / "data").train) == 40


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.delenv("COURSEKIT_DATA_DIR", raising=False)


def test_a_missing_data_set_without_a_network_is_one_line(tmp_path, no_network):
    with pytest.raises(CourseError) as error:
        load_images("mnist", tmp_path / "data")
    line = str(error.value)
    assert "\n" not in line
    for part in ("no MNIST", str(tmp_path / "data" / "MNIST" / "raw"), "--data_dir", "--dataset digits"):
        assert part in line


@pytest.mark.parametrize("damage", [b"", b"\0" * 100, b"\0\0\x08\x03" + b"\0\0\0\x28" * 3])
def test_damaged_files_are_one_line(tmp_path, no_network, damage):
    folder = write_mnist_like(tmp_path)
    (folder / "train-images-idx3-ubyte").write_bytes(damage)
    with pytest.raises(CourseError, match=r"MNIST files under .* are damaged: delete"):
        load_images("mnist", tmp_path)


def test_images_without_their_labels_are_damaged(tmp_path, no_network):
    folder = write_mnist_like(tmp_path / "a", 40)
    other = write_mnist_like(tmp_path / "b", 41)
    (folder / "train-labels-idx1-ubyte").write_bytes((other / "train-labels-idx1-ubyte").read_bytes())
    with pytest.raises(CourseError, match="damaged"):
        load_images("mnist", tmp_path / "a")


def test_an_unknown_data_set_names_the_known_ones(tmp_path):
    with pytest.raises(CourseError, match="choose one of mnist, fashion_mnist, digits"):
        load_images("cifar", tmp_path)


def test_a_data_set_is_downloaded_where_there_is_a_network(tmp_path, monkeypatch):
    """The real loading code of torchvision, against a server on this machine."""
    site = write_mnist_like(tmp_path / "site")
    resources = []
    for path in sorted(site.iterdir()):
        packed = gzip.compress(path.read_bytes())
        path.with_name(f"{path.name}.gz").write_bytes(packed)
        resources.append((f"{path.name}.gz", hashlib.md5(packed).hexdigest()))
    handler = partial(QuietHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(datasets.MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        monkeypatch.setattr(datasets.MNIST, "resources", resources)
        monkeypatch.delenv("COURSEKIT_DATA_DIR", raising=False)
        images = load_images("mnist", tmp_path / "data")
        server.shutdown()
    assert len(images.train) == 40
    assert (tmp_path / "data" / "MNIST" / "raw" / "train-images-idx3-ubyte").exists()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass
