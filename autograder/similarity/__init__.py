"""Copied work: who shares what with whom, in a class and with earlier years. Evidence for a person, never a verdict."""
