"""Reading student code: standard library only."""
