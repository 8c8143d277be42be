"""Reading the pages that the kit writes."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """The tags, ids, links and text of a page; an unclosed tag is an error."""

    VOID = frozenset({"meta", "rect", "line", "input", "br", "circle", "path"})

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.links, self.ids, self.matches, self.open, self.words = [], [], [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.links += [value for name, value in attrs if name in ("href", "src")]
        self.ids += [value for name, value in attrs if name == "id"]
        self.matches += [value for name, value in attrs if name == "data-m"]
        if tag not in self.VOID or (tag == "rect" and not self.get_starttag_text().endswith("/>")):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())
