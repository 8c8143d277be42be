"""Grading on Gradescope: the zip that an instructor uploads, and what runs in its container for each hand-in."""
