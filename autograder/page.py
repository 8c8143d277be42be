"""An HTML page of its own: no network, no file beside it, light and dark, readable on a phone."""

import html

from code_analyze.summary import visible

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #2a7d46; --bad: #b3362b; --wait: #8a6d1a; }
@media (prefers-color-scheme: dark) { :root { --good: #6fcf8f; --bad: #ff8f84; --wait: #e0c060; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2rem; }
.score { font-size: 1.25rem; margin-top: .25rem; }
ul.checks { list-style: none; padding: 0; }
ul.checks li { border-left: .25rem solid var(--line); padding: .25rem .75rem; margin: .5rem 0; }
ul.checks li { overflow-wrap: anywhere; }
ul.checks p { margin: .25rem 0 0; white-space: pre-line; }
.passed { border-color: var(--good) !important; } .failed { border-color: var(--bad) !important; }
.waits { border-color: var(--wait) !important; } p.failed { color: var(--bad); }
.points { float: right; font-variant-numeric: tabular-nums; opacity: .8; margin-left: 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .6rem; text-align: left; }
th button { all: unset; cursor: pointer; font-weight: 600; } th button:focus-visible { outline: 2px solid; }
td.number, th.number { text-align: right; }
svg { max-width: 100%; height: auto; } svg text { fill: currentColor; font: 12px system-ui, sans-serif; }
svg rect { fill: #4a7fb5; } svg line { stroke: currentColor; opacity: .4; }
"""

# Sorts a table by the column whose heading is clicked; once more, the other way round. A cell's data-value is a number.
SORTING = """
document.querySelectorAll("table.sortable").forEach(table => {
  const inWords = new Intl.Collator("en", { numeric: true }).compare;
  table.querySelectorAll("thead th").forEach((heading, column) => {
    heading.addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      const body = table.tBodies[0];
      const number = row => Number(row.cells[column].dataset.value ?? NaN);
      const words = row => row.cells[column].textContent;
      const compare = (a, b) => number(a) - number(b) || inWords(words(a), words(b));
      [...body.rows].sort((a, b) => (up ? 1 : -1) * compare(a, b)).forEach(row => body.append(row));
    });
  });
});
"""


def escape(text: str) -> str:
    """Make text of any origin harmless in HTML and visible: control characters and changes of direction as escapes."""
    return html.escape("\n".join(map(visible, text.split("\n"))), quote=True)


def page(title: str, body: str, script: str = "", style: str = "") -> str:
    """Put a body, which is HTML already, into a page.

    Args:
        title: plain text, for the browser's tab.
        body: HTML; whatever in it comes from a student must be escaped already.
        script: JavaScript of ours, or "".
        style: CSS of ours that goes behind the house's, or "".
    """
    tail = f"<script>{script}</script>" if script else ""
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}{style}</style></head>\n"
        f"<body>\n{body}\n{tail}</body></html>\n"
    )
