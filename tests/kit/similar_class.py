"""A made-up class for the tests of the similarity report: comparisons as the engine would give them, built by hand."""

from autograder.similarity.model import (
    DECLARED,
    DECLARED_BOTH,
    FLOW,
    IMAGES,
    REPORT_TEXT,
    SAME_PERSON,
    SLIPS,
    STATEMENTS,
    TEXT,
    THIS_YEAR,
    TOKENS,
    VIEWS,
    BlockKey,
    BlockScore,
    BlockText,
    Comparison,
    Match,
    OutsideEdit,
    OwnShare,
    Pair,
    TraceMatch,
    Work,
    WorkKey,
)

BLOCKS = tuple(
    BlockKey(f"{kind}/{file}.py", n) for kind in ("GAN", "VAE") for file in ("model", "trainer") for n in (1, 2, 3)
)
GIVEN = 'raise NotImplementedError("TODO: block is not filled in yet")\n'
CODE = """# the lattent code is drawn here
eps = torch.randn_like(mu)
sigma = log_sigma.exp()
for {name} in range(3):
\tz = mu + sigma * eps

if self.training:
    hidden = F.relu(self.fc_{name}(z), inplace=True).flatten(start_dim=1)
return z, hidden
"""


def work(person: str, year: str = THIS_YEAR, name: str = "i", code: str = CODE, repeat: int = 1, **more) -> Work:
    """A hand-in with all blocks."""
    text = GIVEN + code.replace("{name}", name) * repeat
    blocks = {block: BlockText(block, f"what block {block.number} does", text, 40, GIVEN) for block in BLOCKS}
    return Work(WorkKey(year, person), f"{person}.zip", blocks, **more)


def pair(
    a: WorkKey,
    b: WorkKey,
    similarity: float = 0.8,
    expected: float = 0.0005,
    blocks: tuple[BlockKey, ...] = BLOCKS[:4],
    has_lines: bool = True,
    **more,
) -> Pair:
    """A pair that shares something in some of the blocks."""
    scores = [
        BlockScore(block, 30.0 - n, {TEXT: 0.9, TOKENS: 0.75, STATEMENTS: 0.5, FLOW: 0.4})
        for n, block in enumerate(blocks)
    ]
    scores += [BlockScore(block, -1.0, {TEXT: 0.1, TOKENS: 0.2}) for block in BLOCKS if block not in blocks]
    matches = []
    for block in blocks:
        for view, first, last, at, weight, why in (
            (SLIPS, 41, 41, 41, 14.2, "the comment's “lattent”, in 2 of 400 works"),
            (TOKENS, 42, 43, 42, 11.0, "in 2 of 400 works"),
            (FLOW, 42, 43, 42, 9.5, "in 3 of 400 works"),
            (STATEMENTS, 44, 44, 45, 6.5, "in 9 of 400 works"),
            (TEXT, 47, 48, 47, 6.0, "in 12 of 400 works"),
        ):
            there = (at, at + last - first) if has_lines else (0, 0)
            matches.append(Match(view, block, (first, last), there, weight, why))
    matches.sort(key=lambda match: (-match.weight, match.block))
    more = {"is_listed": True, "score": 9.0, **more}
    return Pair(a, b, similarity, expected=expected, blocks=tuple(scores), matches=tuple(matches), **more)


def comparison(works: list[Work], pairs: list[Pair], **more) -> Comparison:
    """What was found among some works."""
    new = sorted(work.key for work in works if work.key.year == THIS_YEAR)
    old = sorted({key for pair in pairs for key in (pair.a, pair.b) if key.year} | {w.key for w in works if w.key.year})
    best = {key: pair for pair in reversed(pairs) for key in (pair.a, pair.b)}
    own = []
    for key in new:
        found = best.get(key)
        share = 0.35 if found and found.is_listed else 0.93
        source = None if found is None else (found.b if found.a == key else found.a)
        explained = {block: 0.9 for block in BLOCKS[:4]} if source else {}
        own.append(OwnShare(key, share, source, explained, share < 0.7))
    own.sort(key=lambda share: (share.share, share.key))
    fields = {
        "declared": (),
        "table": [(new[0], new[-1], 0.01, 300.0)],
        "cutoff": 0.5,
        "calibration": "The expected numbers come from 12,000 pairs of different years, which can't have copied.",
        "own": tuple(own),
        "scaffold": "0123456789abcdef",
        **more,
    }
    return Comparison(tuple(new), tuple(old), tuple(pairs), **fields)


def small() -> tuple[Comparison, dict[WorkKey, Work]]:
    """A few students, one of each kind that the report must show."""
    edits = (OutsideEdit("VAE/model.py", 7, ("import torch\n",), ("import torch, os\n", "HELPERS = {}\n")),)
    works = [
        work("2021000001", outside=edits, remarks=("an older hand-in, 2021000001-1.zip, was passed over",)),
        work("2021000002", name="step"),
        work("2021000003", name="k", references=((BLOCKS[0], "Ada Lovelace: 2021000004"),), partners=("2021000004",)),
        work("2021000004", name="j", partners=("2021000003",)),
        work("2021000005", name="q"),
        work("2021000006", name="r"),
        work("2021000007", name="s"),
    ]
    keys = [one.key for one in works]
    old, bare = work("2020999999", "2024"), WorkKey("2023", "2020000042")
    traces = (
        TraceMatch(REPORT_TEXT, 3, ("The posterior collapses, which one sees in figure 2.",), 0),
        TraceMatch(IMAGES, 1, ("figures/samples.png",), 2),
    )
    pairs = [
        pair(keys[0], keys[1], 0.93, 1e-9, traces=traces),
        pair(keys[0], old.key, 0.71, 0.0005, BLOCKS[3:6], marks=(DECLARED,)),
        pair(keys[4], bare, 0.64, 0.02, BLOCKS[1:2], has_lines=False, marks=(SAME_PERSON,)),
        pair(keys[1], keys[4], 0.5, 0.3, BLOCKS[8:9]),
        pair(keys[5], keys[6], 0.31, 0.45, BLOCKS[8:9]),
        pair(keys[3], keys[5], 0.2, 4.0, BLOCKS[10:11], is_listed=False),
    ]
    declared = (pair(keys[2], keys[3], 0.9, 0.0001, marks=(DECLARED_BOTH,)),)
    remarks = ("2021000008.zip can't be read: it is no zip",)
    found = comparison([*works, old], pairs, declared=declared, remarks=remarks)
    return found, {one.key: one for one in [*works, old]}


def of_400() -> tuple[Comparison, dict[WorkKey, Work]]:
    """A class of 400 with 60 listed pairs and 20 more, long blocks and many matches."""
    works = [work(f"2021{n:06}", name=f"n{n}", repeat=5) for n in range(400)]
    keys = [one.key for one in works]
    pairs = []
    for n in range(80):
        a, b = sorted((keys[n * 4], keys[n * 4 + 1])) if n % 3 else sorted((keys[n], keys[n + 3]))
        found = pair(a, b, 0.95 - n / 100, 1e-7 * 1.3**n, BLOCKS, is_listed=n < 60)
        many = tuple(
            Match(VIEWS[line % 5], block, (line, line + line % 3), (line, line + line % 3), 5.0, "in 2 of 400 works")
            for block in BLOCKS
            for line in range(41, 85)
        )
        pairs.append(Pair(a, b, found.similarity, 9.0, found.expected, n < 60, found.blocks, found.matches + many))
    return comparison(works, pairs), {one.key: one for one in works}
