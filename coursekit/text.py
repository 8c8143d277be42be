"""Texts for people."""


def shortened(text: str, most: int) -> str:
    """Cut a text to so many characters, behind a word, with an ellipsis in the place of the rest."""
    if len(text) <= most:
        return text
    kept = text[: most - 1]
    if not text[most - 1].isspace() and len(parts := kept.rsplit(None, 1)) == 2 and len(parts[0]) > most // 2:
        kept = parts[0]  # of one long word, as much as there is room for
    return f"{kept.rstrip(' ,;:.')}…"
