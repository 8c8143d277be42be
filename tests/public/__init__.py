"""What a student can check before handing in; conftest.py says how."""
