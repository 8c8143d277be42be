"""How the report looks, and the little that moves in it: no framework, nothing from elsewhere."""

STYLE = """
:root { --soft: #8882; --mark: #2b6cb0; --old: #b0662b; }
@media (prefers-color-scheme: dark) { :root { --mark: #7db4ec; --old: #e8a566; } }
body { max-width: 92rem; }
h1, h2, h3, li, p { overflow-wrap: anywhere; } td { overflow-wrap: break-word; }
a { color: var(--mark); } a:focus-visible, button:focus-visible, select:focus-visible, input:focus-visible,
summary:focus-visible { outline: 2px solid var(--mark); outline-offset: 1px; }
.caution { border: 1px solid var(--wait); border-left-width: .35rem; padding: .5rem .75rem; border-radius: .25rem; }
.chip { display: inline-block; border: 1px solid var(--line); border-radius: 1rem; padding: 0 .55rem; margin: .1rem 0;
  font-size: .85rem; }
.chip.declares { border-color: var(--wait); color: var(--wait); }
.below { color: var(--bad); font-weight: 600; }
small { opacity: .75; } [hidden] { display: none !important; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: .75rem 0; }
.filters { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: end; margin: 1rem 0; }
.filters label { display: grid; grid-template-columns: minmax(0, 1fr); font-size: .85rem; min-width: 0; }
.filters select, .filters input, .filters button { font: inherit; font-size: 1rem; padding: .25rem .4rem;
  box-sizing: border-box; max-width: 100%; }
.filters select { max-width: 24rem; width: 100%; }
svg.heat { display: block; min-width: 3rem; } svg rect.frame { fill: var(--soft); }
svg .s1, td.s1 { --s: .3; } svg .s2, td.s2 { --s: .45; } svg .s3, td.s3 { --s: .6; } svg .s4, td.s4 { --s: .8; }
svg .s5, td.s5 { --s: 1; } svg .q1, td.q1 { --s: .12; } svg .q2, td.q2 { --s: .2; } svg .q3, td.q3 { --s: .28; }
svg .q4, td.q4 { --s: .36; } svg .q5, td.q5 { --s: .45; }
svg rect[class^=s] { fill: rgb(200 60 40 / var(--s)); } svg rect[class^=q] { fill: rgb(128 128 128 / var(--s)); }
td[class*=" s"] { background: rgb(200 60 40 / calc(var(--s) * .45)); }
td[class*=" q"] { background: rgb(128 128 128 / calc(var(--s) * .5)); }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 2rem; font-size: .9rem; }
.legend ol { margin: .25rem 0; padding-left: 2rem; columns: 2 18rem; column-gap: 3rem; }
.clusters { display: flex; flex-wrap: wrap; gap: .75rem; align-items: flex-start; }
figure { margin: 0; border: 1px solid var(--line); border-radius: .4rem; padding: .5rem; max-width: 100%;
  box-sizing: border-box; }
figcaption { font-size: .85rem; opacity: .8; }
svg.graph { max-width: none; display: block; }
svg.graph line { stroke: #888; opacity: .85; stroke-linecap: round; }
svg.graph line.hit { stroke: transparent; stroke-width: 18px; }
svg.graph a:hover line:not(.hit), svg.graph a:focus-visible line:not(.hit) { stroke: var(--bad); opacity: 1; }
svg.graph circle { fill: var(--mark); } svg.graph path.old { fill: var(--old); }
svg.graph a:hover text, svg.graph a:focus-visible text { text-decoration: underline; font-weight: 600; }
svg.graph text { paint-order: stroke; stroke: Canvas; stroke-width: 3px; }
svg.graph .off { opacity: .12; }
.key { display: inline-block; width: .8rem; height: .8rem; border-radius: 50%; background: var(--mark); }
.key.old { border-radius: 0; transform: rotate(45deg); background: var(--old); }
ul.many { columns: 4 14rem; }
.chip, .below { white-space: nowrap; } td.number { white-space: nowrap; }
table.pairs td:nth-child(5) { min-width: 7.5rem; white-space: normal; }
table.pairs td:nth-child(4) { min-width: 7.5rem; } table.pairs { font-size: .92rem; }
table.pairs th { vertical-align: bottom; font-size: .85rem; }
table.pairs th, table.pairs td { padding: .35rem .4rem; }
table.traces td:last-child { min-width: 8rem; }
details { margin: .5rem 0; } summary { cursor: pointer; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .25rem 0; font: 13px/1.45 ui-monospace, monospace; }
.sides { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: .75rem; }
.sides > section { min-width: 0; } .sides h4 { margin: .25rem 0; font-size: .9rem; }
.code { border: 1px solid var(--line); border-radius: .25rem; font: 13px/1.45 ui-monospace, monospace; tab-size: 4; }
.code p { margin: .25rem .5rem; opacity: .75; font-family: system-ui, sans-serif; }
.l { display: flex; min-height: 1.45em; border-left: 4px solid transparent; }
.l > b { flex: none; width: 3.6em; text-align: right; padding-right: .8em; font-weight: 400; user-select: none; }
.l:not([class*=" c"]) > b { opacity: .6; } .l > b a { color: inherit; font-weight: 700; }
.l > span { white-space: pre-wrap; overflow-wrap: anywhere; min-width: 0; }
.l.g > span { opacity: .5; font-style: italic; }
.l[class*=" c"] { background: hsl(var(--h) 80% 50% / .17); border-left-color: hsl(var(--h) 70% 50%); }
.l[data-m] { cursor: pointer; }
.l.l.on, .l.l:target { background: hsl(var(--h, 210) 90% 50% / .42);
  box-shadow: inset 0 0 0 1px hsl(var(--h, 210) 80% 45%); }
.c0 { --h: 210; } .c1 { --h: 35; } .c2 { --h: 285; } .c3 { --h: 150; } .c4 { --h: 340; } .c5 { --h: 85; }
ol.matches { padding: 0; list-style: none; font-size: .9rem; margin: .5rem 0; }
ol.matches li { border-left: .3rem solid hsl(var(--h) 70% 50%); padding: .1rem .5rem; margin: .2rem 0; }
ol.matches li.on { background: hsl(var(--h) 80% 50% / .2); }
ol.matches button { font: inherit; color: inherit; background: none; border: 0; padding: 0; text-align: left;
  cursor: pointer; text-decoration: underline dotted; }
@media (min-width: 85rem) { table.pairs td:nth-child(5) { min-width: 13rem; } }
@media (max-width: 46rem) {
  body { margin: 1rem auto; }
  .sides { grid-template-columns: minmax(0, 1fr); }
  .l > b { width: 2.6em; padding-right: .5em; }
  .filters label { flex: 1 1 8rem; }
  table.pairs, table.pairs tbody, table.pairs tr, table.pairs td, table.pairs thead { display: block; }
  table.pairs thead tr { display: flex; flex-wrap: wrap; gap: .1rem .8rem; border: 0; padding: 0; }
  table.pairs thead tr::before { content: "Sort by"; opacity: .75; font-size: .85rem; }
  table.pairs th { border: 0; padding: .15rem 0; } table.pairs th button { text-decoration: underline dotted; }
  table.pairs th.trace { display: none; }
  table.pairs tbody tr { border: 1px solid var(--line); border-radius: .4rem; padding: .4rem .6rem; margin: .5rem 0; }
  table.pairs td { border: 0; padding: .1rem 0; text-align: left !important; display: flex; gap: .5rem; }
  table.pairs td::before { content: attr(data-of); flex: 0 0 8rem; opacity: .75; }
  table.pairs td:empty { display: none; }
}
"""

# Hides the pairs that the filters leave out, in tables and in the drawing, and says how many are left.
FILTERS = """
const field = name => document.getElementById("filter-" + name);
const names = ["who", "year", "block", "view"];
const rows = [...document.querySelectorAll("[data-fired]")];
const apply = () => {
  const [who, year, block, view] = names.map(name => field(name).value);
  const wanted = who.trim().toLowerCase();
  let left = 0, all = 0;
  for (const row of rows) {
    const fired = row.dataset.fired.split(" ").filter(Boolean).map(one => one.split("."));
    const shown = (year === "all" || row.dataset.year === year.slice(1))
      && (block === "all" && view === "all"
        || fired.some(one => (block === "all" || one[0] === block) && (view === "all" || one[1] === view)))
      && (!wanted || !row.cells || (row.dataset.who || "").includes(wanted));
    if (row.cells) { row.hidden = !shown; all += 1; left += shown; } else row.classList.toggle("off", !shown);
  }
  document.getElementById("left").textContent = `${left === all ? "all" : left + " of"} ${all} pairs shown`;
};
names.forEach(name => field(name).addEventListener("input", apply));
document.getElementById("filter-none").addEventListener("click", () => {
  names.forEach(name => { field(name).value = name === "who" ? "" : "all"; });
  apply();
});
apply();
"""

# Marks what a line or a match of one side has on the other; a click keeps it marked and brings it into sight.
LINKS = """
const matches = [...document.querySelectorAll("li[data-k]")];
const byName = new Map(matches.map(match => [match.id, match]));
let kept = null;
const lines = (side, match) => {
  const [first, last] = match.dataset[side].split("-").map(Number);
  const found = [];
  for (let n = first; n && n <= last; n++) {
    const line = document.getElementById(`${side}${match.dataset.k}-${n}`);
    if (line) found.push(line);
  }
  return found;
};
const mark = match => {
  document.querySelectorAll(".on").forEach(one => one.classList.remove("on"));
  if (!match) return;
  match.classList.add("on");
  ["a", "b"].forEach(side => lines(side, match).forEach(line => line.classList.add("on")));
};
const of = target => {
  const line = target.closest?.(".l[data-m]");
  return line ? byName.get(line.dataset.m) : target.closest?.("li[data-k]");
};
const sight = (match, side) => lines(side, match)[0]?.scrollIntoView({ block: "nearest" });
document.addEventListener("mouseover", event => mark(of(event.target) ?? kept));
document.addEventListener("focusin", event => mark(of(event.target) ?? kept));
document.addEventListener("click", event => {
  const match = of(event.target);
  const line = event.target.closest(".l[data-m]");
  if (!match || line && String(getSelection()).trim()) return;
  kept = match;
  mark(match);
  if (!line) sight(match, "a");
  if (event.target.closest("a")) return;
  sight(match, line && line.id[0] === "b" ? "a" : "b");
});
document.addEventListener("keydown", event => { if (event.key === "Escape") mark(kept = null); });
"""
