"""The TA's side: never part of the handout."""
