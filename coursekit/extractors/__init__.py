"""Feature extractors for FID."""
