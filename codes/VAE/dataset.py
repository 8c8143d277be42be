"""The images that the VAE learns from, 1x32x32 with pixels in [0, 1]."""

from coursekit.data import Batches, load_images, scale

VALUE_RANGE = (0, 1)


class Dataset:
    """Training batches and the validation images.

    Args:
        name: "mnist", "fashion_mnist" or "digits".
        data_dir: the folder that holds the data set, or that it is downloaded to.
        batch_size: images in a training batch.
        seed: of the order in which the images come.
        device: where the images are kept.

    Attributes:
        images: the whole set, pixels 0 to 255.
        train: `train[step]` is the batch of a step, (batch_size, 1, 32, 32).
    """

    def __init__(self, name, data_dir, batch_size, seed, device):
        self.images = load_images(name, data_dir)
        self.train = Batches(self.images.train, batch_size, seed, VALUE_RANGE, device)
        self._validation = self.images.validation.to(device)

    def validation_batches(self, batch_size=250):
        """Yield the validation images in a fixed order, (at most batch_size, 1, 32, 32) at a time."""
        for pixels in self._validation.split(batch_size):
            yield scale(pixels, VALUE_RANGE)
