"""Pairs of mistakes, each probed and judged without pytest: what each gives alone, and both together.

`python tests/kit/mistake_pairs.py VAE|GAN NUMBER PART/PARTS [SEED]` prints which of so many pairs, drawn by the seed,
score above one of their mistakes alone; two processes may take the parts 0/2 and 1/2.
"""

import importlib
import inspect
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from types import ModuleType

import numpy as np
from changed_solutions import GAN_MODEL, GAN_TRAINER, REFERENCE, REPOSITORY, VAE_MODEL, VAE_TRAINER, Change
from hand_ins import solution, write_codes

from autograder import evidence
from autograder.checks import Check, NotLookedAt, Waits, Wrong
from autograder.course import COURSE_FILE, read_course
from autograder.credible import believable
from autograder.evidence import Findings, NotSeen
from autograder.gan_steps import steps_seen

# Of one project only these are run: whose findings each file has a part in.
FILES = {
    "VAE": {
        VAE_MODEL: ("vae_layers", "vae_forward", "vae_reparameterize", "vae_step"),
        VAE_TRAINER: ("vae_losses", "vae_step"),
    },
    "GAN": {GAN_MODEL: ("gan_generator",), GAN_TRAINER: ("gan_step",)},
}
# The second takes away what makes the first one a mistake: together they are one less, and not one more.
UNDONE = {
    frozenset(("summed losses", "G's loss divided by the batch")),
    frozenset(("summed losses", "D's losses divided by the batch once more")),
    frozenset(("a loss of D as a float", "no backward pass for D")),
    frozenset(("gradients cleared between the halves", "D's gradient penalised")),
    frozenset(("zero_grad of D between", "D's gradient penalised")),
    frozenset(("Dec-6's probabilities are clamped", "logits in place of a reconstruction")),
    frozenset(("D_x from after", "D_x is forgotten")),
    frozenset(("KL for every instance", "the batch is 32")),
    frozenset(("a reconstruction loss for every instance", "the batch is 32")),
    # A batch of another size stops before it could be averaged over the first one's.
    *(
        frozenset((f"labels cached {where}", "BCE averaged over the first batch"))
        for where in ("on the Trainer", "in a global", "on the class", "in a default argument")
    ),
    # Of judgements that small weights keep near a half none is clamped.
    *(
        frozenset((f"D's weights clipped in block {number}", f"D's judgements clamped{whose}"))
        for number in (1, 2, 3)
        for whose in ("", " for G")
    ),
}
Mistake = tuple[str, Sequence[Change]]  # the file, and how it is changed
ROUNDING = 1e-9


class Judge:
    """Scores changed solutions of one project, in this process and its forks.

    Args:
        project: "VAE" or "GAN".
        seed: of the inputs.
        scratch: an empty folder.
    """

    def __init__(self, project: str, seed: int, scratch: Path):
        from autograder.inputs import draw_inputs
        from autograder.probing import inputs_by_probe

        self.project, self._scratch = project, scratch
        self._points = read_course(REPOSITORY / COURSE_FILE).points
        self._inputs = draw_inputs(seed)
        self._folder = scratch / "inputs"
        self._folder.mkdir()
        for probe, content in inputs_by_probe(seed).items():
            (self._folder / f"{probe}.npz").write_bytes(content)
        self._checks = list(checks_of(project))
        probes = [probe for probes in FILES[project].values() for probe in probes]
        self._reference = {probe: None for probe in probes}
        self._reference = self._seen(REFERENCE, list(self._reference))

    def seen_alone(self, mistake: Mistake) -> dict[str, Findings]:
        """Give what the probes see of a solution with one mistake, of those that its file has a part in."""
        file, changes = mistake
        return self._seen_of(solution({file: changes}, projects=[self.project]), FILES[self.project][file])

    def seen_together(
        self, one: Mistake, other: Mistake, alone: tuple[Mapping[str, Findings], Mapping[str, Findings]]
    ) -> dict[str, Findings]:
        """Give the same for two mistakes; a probe that one of them has no part in sees what it saw of the other."""
        both = [probe for probe in alone[0] if probe in alone[1]]
        again = self._seen_of(together(one, other), both) if both else {}
        return {**alone[0], **alone[1], **again}

    def score(self, seen: Mapping[str, Findings]) -> tuple[float, dict[str, str]]:
        """Give the points for what was seen of a changed solution, and what each failed check says."""
        said = dict(self._verdicts({**self._reference, **seen}))
        return sum(self._points[check] for check, wrong in said.items() if not wrong), said

    def _seen_of(self, sources: Mapping[str, bytes], probes: Sequence[str]) -> dict[str, Findings]:
        with tempfile.TemporaryDirectory(dir=self._scratch) as codes:
            write_codes(Path(codes), sources)
            return self._seen(Path(codes), probes)

    def _seen(self, codes: Path, probes: Sequence[str]) -> dict[str, Findings]:
        from test_graders import run_probes

        with tempfile.TemporaryDirectory(dir=self._scratch) as kept:
            evidence.keep(Path(kept, "found"), run_probes(codes, probes, self._folder, self._scratch))
            found = evidence.load(Path(kept, "found"), probes).findings
        return {probe: believable(one, self._reference[probe] or one, self._inputs) for probe, one in found.items()}

    def _verdicts(self, found: Mapping[str, Findings]) -> Iterator[tuple[str, str]]:
        """Give the id of each check, and "" where it passed, or what is wrong."""
        failed: list[str] = []
        fixtures = {"inputs": self._inputs, "remark": lambda text: None, "failed_before": failed}
        fixtures["graded"] = found, self._reference
        if "gan_step" in found:
            fixtures["steps"] = cache(lambda: steps_seen(found["gan_step"], self._inputs))
        for declared, function, parameters in self._checks:
            given = {**fixtures, "submission": found[declared.probe], "reference": self._reference[declared.probe]}
            wanted = {name: given[name] for name in inspect.signature(function).parameters if name in given}
            try:
                function(**wanted, **parameters)
            except (Wrong, Waits, NotLookedAt) as wrong:
                said = f"{type(wrong).__name__}: {wrong}"
            except NotSeen as unseen:
                said = f"not seen: {unseen.failure or unseen}"
            else:
                said = ""
            points_id = declared.points.format(**parameters)
            failed += [points_id] if said else []
            yield points_id, said


def checks_of(project: str) -> Iterator[tuple[Check, Callable, dict[str, object]]]:
    """All the checks of a project: the declaration, the function, and its parameters."""
    for path in sorted((REPOSITORY / "tests" / "hidden").glob(f"test_{project.lower()}_*.py")):
        module = hidden(path.stem)
        for function in vars(module).values():
            if not isinstance(getattr(function, "check", None), Check) or function.__module__ != module.__name__:
                continue
            marks = [mark for mark in getattr(function, "pytestmark", ()) if mark.name == "parametrize"]
            for value in marks[0].args[1] if marks else (None,):
                yield function.check, function, {marks[0].args[0]: value} if marks else {}


def hidden(name: str) -> ModuleType:
    """A module of the graders."""
    if str(REPOSITORY / "tests") not in sys.path:
        sys.path.append(str(REPOSITORY / "tests"))
    return importlib.import_module(f"hidden.{name}")


def together(one: Mistake, other: Mistake) -> dict[str, bytes] | None:
    """The solution with both mistakes; None where one leaves nothing of the other."""
    project = one[0].split("/")[0]
    try:
        both = solution(_joined(one, other), projects=[project])
        alone = [solution({file: some}, projects=[project]) for file, some in (one, other)]
        back = solution(_joined(other, one), projects=[project])
    except (AssertionError, IndexError, ValueError):  # a change that changes nothing, or finds no block to fill
        return None
    return both if both not in alone and both == back else None


def _joined(one: Mistake, other: Mistake) -> dict[str, list[Change]]:
    changes: dict[str, list[Change]] = {}
    for file, some in (one, other):
        changes.setdefault(file, []).extend(some)
    return changes


def pairs(mistakes: Mapping[str, Mistake], most: int, seed: int = 0) -> list[tuple[str, str]]:
    """Some of the pairs of mistakes that can be made together, in an order that is drawn."""
    found = []
    for one, other in np.random.default_rng(seed).permutation(list(combinations(mistakes, 2))).tolist():
        if len(found) == most:
            break
        if frozenset((one, other)) not in UNDONE and together(mistakes[one], mistakes[other]) is not None:
            found.append((one, other))
    return found


def rises(
    judge: Judge, mistakes: Mapping[str, Mistake], chosen: Sequence[tuple[str, str]]
) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Give the pairs that score above one of their mistakes alone, and what is said of each of the three."""
    seen: dict[str, dict[str, Findings]] = {}
    alone: dict[str, tuple[float, dict[str, str]]] = {}
    for pair in chosen:
        for name in pair:
            if name not in alone:
                seen[name] = judge.seen_alone(mistakes[name])
                alone[name] = judge.score(seen[name])
        one, other = pair
        both, said = judge.score(judge.seen_together(mistakes[one], mistakes[other], (seen[one], seen[other])))
        lowest = min(alone[name][0] for name in pair)
        if both > lowest + ROUNDING:
            lost = {name: {check: wrong for check, wrong in alone[name][1].items() if wrong} for name in pair}
            yield *pair, {"alone": lost, "together": {check: wrong for check, wrong in said.items() if wrong}}


def mistakes_of(project: str) -> dict[str, Mistake]:
    """The corpus of one project."""
    from wrong_solutions import MUTANTS

    return {name: (file, changes) for name, (file, changes, *_) in MUTANTS.items() if file.startswith(project)}


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    corpus, wanted = mistakes_of(sys.argv[1]), int(sys.argv[2])
    part, parts = (int(one) for one in sys.argv[3].split("/"))
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge(sys.argv[1], 0, Path(folder))
        chosen = pairs(corpus, wanted, int(sys.argv[4]) if sys.argv[4:] else 0)[part::parts]
        print(len(chosen), "pairs", flush=True)
        for one, other, said in rises(judge, corpus, chosen):
            print(f"{one} + {other}: {said}", flush=True)
        print("done")
