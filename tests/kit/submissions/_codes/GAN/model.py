"""The other model."""


def generate(z):
    # Block 1: an image from z
    # TODO START
    raise NotImplementedError("TODO: block 1 of GAN/model.py is not filled in yet: an image from z")
    # TODO END
    return image
