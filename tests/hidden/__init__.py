"""The graders; conftest.py says how."""
