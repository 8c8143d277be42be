"""The images that the GAN learns from, 1x32x32 with pixels in [-1, 1]."""

from coursekit.data import Batches, load_images

VALUE_RANGE = (-1, 1)  # what the generator's Tanh can reach


class Dataset:
    """Training batches.

    Args:
        name: "mnist", "fashion_mnist" or "digits".
        data_dir: the folder that holds the data set, or that it is downloaded to.
        batch_size: images in a batch.
        seed: of the order in which the images come.
        device: where the images are kept.

    Attributes:
        images: the whole set, pixels 0 to 255.
        train: `train[step]` is the batch of a step, (batch_size, 1, 32, 32).
    """

    def __init__(self, name, data_dir, batch_size, seed, device):
        self.images = load_images(name, data_dir)
        self.train = Batches(self.images.train, batch_size, seed, VALUE_RANGE, device)
