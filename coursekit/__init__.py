"""What every run of the assignment needs and no student writes: data, checkpoints, curves, FID."""
