"""The VAE's layers and what stands behind them, row by row of the table."""

import functools
import inspect
from collections.abc import Callable

import numpy as np
import pytest

from autograder.checks import Waits, Wrong, check, close, fail, holds, mistake, same
from autograder.evidence import NotSeen
from autograder.inputs import VAE_DEFAULTS
from autograder.networks import SOMETHING_ELSE, Network, between, made_of, vae_networks
from autograder.tables import CONNECTED

ENCODER, DECODER = 0, 1
ENC_6 = 5
PREFIX = {ENCODER: "vae.enc", DECODER: "vae.dec"}


def judge_row(network: Network, index: int, points: str, with_activation: bool = True) -> None:
    """Fail unless the layer of a row is as the table asks, and what stands behind it, too."""
    row = network.rows[index]
    try:
        differences = network.differences(index)
    except NotSeen:
        wait_for_an_earlier_row(network, index, points)
        raise
    if differences:
        fail(f"Row {row.name} {'; it '.join(differences)}", missing=not network.has(index))
    if not row.after or not with_activation:
        return
    try:
        behind = network.stands_behind(index)
    except NotSeen:
        wait_for_an_earlier_row(network, index + 2, points)  # or the layer after it, which could not take what came
        raise
    if behind != row.after:
        fail(f"Row {row.name} has {row.after} behind the layer; in your network there is {behind}")


def wait_for_an_earlier_row(network: Network, index: int, points: str) -> None:
    """Wait, where a wrong layer is very likely what stopped the network."""
    for earlier in range(min(index, len(network.rows))):
        try:
            wrong = network.differences(earlier)
        except NotSeen:
            return
        if wrong:
            raise Waits(f"{points}_{earlier + 1}")


@check(
    "Row Enc-{row} of the VAE's table is there, with what stands behind it", points="vae.enc_{row}", probe="vae_layers"
)
@pytest.mark.parametrize("row", range(1, 7))
def encoder_rows(submission, row):
    network = vae_networks(submission, 0, *VAE_DEFAULTS)[ENCODER]
    judge_row(network, row - 1, PREFIX[ENCODER])
    if row == 1:
        takes_the_images(submission, network.layer(0))


def takes_the_images(submission, layer: dict) -> None:
    """Fail unless a layer takes x, as it was given."""
    x, taken = submission["0.x.x"], submission[f"0.x.{layer['index']}.taken"]
    if close(taken, x):
        return
    if taken.shape == x.shape:
        mistake(taken, np.round(x), "Row Enc-1 takes x rounded to 0 or 1, and should take x as it is")
        factor, shift = np.polyfit(x.ravel(), taken.ravel(), 1)
        if close(taken, factor * x + shift):
            fail(f"Row Enc-1 takes {factor:.3g} x {shift:+.3g}, and should take x as it is")
    words = made_of(x, taken)
    if words:
        fail(f"Row Enc-1 takes x after {words}, and should take x as it is")
    fail("Row Enc-1 takes something else than the x that forward is given")


@check(
    "Row Dec-{row} of the VAE's table is there, with what stands behind it", points="vae.dec_{row}", probe="vae_layers"
)
@pytest.mark.parametrize("row", range(1, 7))
def decoder_rows(submission, row):
    network = vae_networks(submission, 0, *VAE_DEFAULTS)[DECODER]
    # Where only forward(z=z) does something else with the last layer, the check that compares the branches says so.
    is_right_for_x = row == len(network.rows) and stands_behind_the_last(submission, network) == network.rows[-1].after
    judge_row(network, row - 1, PREFIX[DECODER], with_activation=not is_right_for_x)


def stands_behind_the_last(findings, network: Network) -> str | None:
    """What forward(x) has behind the decoder's last layer."""
    last = network.layer(len(network.rows) - 1)
    ran = [n for n, layer in enumerate(findings.facts.get("0.x", [])) if last and layer["key"] == last["key"]]
    return between(findings, f"0.x.{ran[0]}.given", "0.x.recon_x") if ran else None


@check("The VAE has no layers that the table hasn't", points="vae.no_other_layers", probe="vae_layers")
def no_other_layers(submission):
    networks = vae_networks(submission, 0, *VAE_DEFAULTS)
    if not any(network.is_right(index) for network in networks for index in range(len(network.rows))):
        raise Waits("vae.enc_1")  # of no layers at all, none is too many
    encoder, decoder = networks
    for index, layer in enumerate(encoder.layers):
        for other, twin in enumerate(decoder.layers):
            if layer["key"] == twin["key"]:
                fail(
                    f"Row {decoder.row_of(other) or 'of the decoder'} has the weights of Row "
                    f"{encoder.row_of(index) or 'of the encoder'}: each row is a layer of its own"
                )
    for network, name in zip(networks, ("encoder", "decoder"), strict=True):
        for layer in network.left_over():
            if network.layers.index(layer) < len(network.rows) or not network.failure:
                fail(
                    f"your {name} has {layer['kind']} from {layer['inputs']} to {layer['outputs']} that no row asks for"
                )


@check("latent_dim is honoured, whatever it is", points="vae.latent_dim", probe="vae_layers")
def latent_dim_is_honoured(submission, inputs, remark):
    channels, latent_dim = inputs["vae_layers.settings"][1].tolist()
    usual = vae_networks(submission, 0, *VAE_DEFAULTS)
    other = vae_networks(submission, 1, channels, latent_dim)
    has_seen = False
    for at_default, at_other in zip(usual, other, strict=True):
        for index, row in enumerate(at_other.rows):
            try:
                is_wrong_anyway = bool(at_default.differences(index))  # and told so by its own check
                wrong = written_down(at_default, at_other, index) if is_wrong_anyway else at_other.differences(index)
            except NotSeen:
                for network, points in zip(usual, PREFIX.values(), strict=True):
                    wait_for_an_earlier_row(network, len(network.rows), points)
                raise
            if wrong:
                fail(f"with latent_dim {latent_dim} row {row.name} {wrong[0]}: latent_dim is written into the code")
            has_seen |= row.kind == CONNECTED and not is_wrong_anyway
    if not has_seen:
        raise Waits("vae.enc_5")  # no right row tells
    for part in ("1.x", "1.z"):
        if part in submission.failures and part.replace("1", "0", 1) not in submission.failures:
            raise NotSeen(part, submission.failures[part])
    if any(
        part.startswith("2.") and part.replace("2", "1", 1) not in submission.failures for part in submission.failures
    ):
        remark("Remark: your VAE ignores num_channels; with one image channel that is no fault.")


def written_down(usual: Network, other: Network, index: int) -> list[str]:
    """The sizes of a wrong row that stay as they are at another latent_dim, where the table's don't."""
    layers = usual.layer(index), other.layer(index)
    if None in layers or len(usual.layers) != len(other.layers):
        return []
    one, same = layers
    return [
        f"keeps {one[what]} {what}"
        for what in ("inputs", "outputs")
        if getattr(usual.rows[index], what) != getattr(other.rows[index], what) and one[what] == same[what]
    ]


@check(
    "Of what Enc-6 gives, the first half is μ and the second half log σ",
    points="vae.posterior_split",
    probe="vae_layers",
)
def posterior_split(submission):
    network = vae_networks(submission, 0, *VAE_DEFAULTS)[ENCODER]
    if "0.x.mu" not in submission:  # a wrong layer may have stopped it, behind the encoder too
        for either, points in zip(vae_networks(submission, 0, *VAE_DEFAULTS), PREFIX.values(), strict=True):
            wait_for_an_earlier_row(either, len(either.rows), points)
    if network.differences(ENC_6):
        raise Waits("vae.enc_6")
    mu, log_sigma = submission["0.x.mu"], submission["0.x.log_sigma"]
    first, second = halves_of_enc_6(submission, network.layer(ENC_6), mu)
    if close(mu, second) and close(log_sigma, first):
        fail("μ and log σ are the other way round: the first half of Enc-6 is μ")
    both = np.concatenate([first, second], axis=1)
    mistake(mu, both[:, ::2], "μ gets the even numbers of Enc-6 and log σ the odd ones: split it into halves")
    mistake(mu, first.clip(0), "there is a ReLU behind Enc-6: μ and log σ can't be negative")
    if words := made_of(first, mu):
        fail(f"what is returned for μ is the first half of what Enc-6 gives after {words}")
    same(mu, first, "μ, against the first half of what Enc-6 gives,")
    mistake(log_sigma, second.clip(0), "there is a ReLU behind Enc-6: log σ can't be negative")
    mistake(log_sigma, np.exp(second), "what is returned for log σ is exponentiated: it is σ, not log σ")
    mistake(log_sigma, second / 2, "what is returned for log σ is halved: Enc-6 gives log σ, not log σ²")
    mistake(log_sigma, second * 2, "what is returned for log σ is doubled: it is log σ²")
    mistake(log_sigma, first, "what is returned for log σ is μ")
    if words := made_of(second, log_sigma):
        fail(f"what is returned for log σ is the second half of what Enc-6 gives after {words}")
    same(log_sigma, second, "log σ, against the second half of what Enc-6 gives,")


def waits_for_rows(function: Callable) -> Callable:
    """Let a check wait for a row that is wrong where the network stops; what else may stop it is told where it is.

    The check must ask for `graded`.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def waiting(*args: object, **kwargs: object) -> object:
        try:
            return function(*args, **kwargs)
        except NotSeen:
            findings = signature.bind(*args, **kwargs).arguments["graded"][0]["vae_layers"]
            stops = [part for part in findings.failures if part[:2] in ("0.", "1.")]
            if stops and (wrong := first_wrong_row(findings)):
                raise Waits(wrong) from None
            raise

    return waiting


def first_wrong_row(findings) -> str:
    """The points id of the first row that is not as the table asks, "" where all are."""
    try:
        networks = vae_networks(findings, 0, *VAE_DEFAULTS)
    except NotSeen:
        return ""
    for network, points in zip(networks, PREFIX.values(), strict=True):
        for index in range(len(network.rows)):
            try:
                judge_row(network, index, points)
            except Wrong:
                return f"{points}_{index + 1}"
            except (Waits, NotSeen):
                continue
    return "vae.latent_dim" if ignores_latent_dim(findings) else ""


def ignores_latent_dim(findings) -> bool:
    """Whether the network runs with the default latent_dim only."""
    return any(f"1.{branch}" in findings.failures and f"0.{branch}" not in findings.failures for branch in "xz")


def encoder_is_as_asked(graded) -> bool:
    """Whether the encoder is the table's, with x at its beginning and μ and log σ at its end, at any latent_dim."""
    findings = graded[0]["vae_layers"]
    if not holds(encoder_rows, findings, 1) or not holds(posterior_split, findings):
        return False
    return vae_networks(findings, 0, *VAE_DEFAULTS)[ENCODER].is_as_asked() and not is_special(findings)


def decoder_is_as_asked(graded) -> bool:
    """Whether the decoder is the table's, at any latent_dim."""
    findings = graded[0]["vae_layers"]
    try:
        network = vae_networks(findings, 0, *VAE_DEFAULTS)[DECODER]
    except NotSeen:
        return False
    return network.is_as_asked() and not is_special(findings)


def decoder_is_random(graded) -> bool:
    """Whether the decoder gives something else each time: by dropout, a random choice, or what is not known."""
    try:
        network = vae_networks(graded[0]["vae_layers"], 0, *VAE_DEFAULTS)[DECODER]
    except NotSeen:
        return True
    return any(
        words is None or words == SOMETHING_ELSE or "dropout" in words or "random" in words for words in network.behind
    )


def must_be_there(graded, *halves: int) -> None:
    """Wait unless a layer of the encoder, or of the decoder, was seen to compute what the table asks.

    What follows from the student's own numbers alone, anybody can write down; what layers with drawn weights give, not.
    """
    try:
        networks = vae_networks(graded[0]["vae_layers"], 0, *VAE_DEFAULTS)
    except NotSeen:
        networks = ()
    for half in halves:
        if not networks or not any(map(networks[half].is_right, range(len(networks[half].rows)))):
            raise Waits(f"{PREFIX[half]}_1")


def left_out(graded) -> dict[str, int]:
    """The first of the decoder's rows, from 1, whose layer a branch of forward leaves out: "x" or "z" -> the row."""
    findings = graded[0]["vae_layers"]
    try:
        network = vae_networks(findings, 0, *VAE_DEFAULTS)[DECODER]
    except NotSeen:
        return {}
    rows = range(len(network.rows))
    unused = [index for index in rows if network.layer(index) is None and network.is_idle(index)]
    found = {"z": unused[0] + 1} if unused else {}
    ran = {layer["key"] for layer in findings.facts.get("0.x", [])}
    missing = [index for index in rows if network.has(index) and network.layer(index)["key"] not in ran]
    if missing and "0.x" not in findings.failures:
        found["x"] = missing[0] + 1
    return found


def is_special(findings) -> bool:
    """Whether the network can't be compared with the same weights: some are shared, or latent_dim is ignored."""
    encoder, decoder = vae_networks(findings, 0, *VAE_DEFAULTS)
    shared = {layer["key"] for layer in encoder.layers} & {layer["key"] for layer in decoder.layers}
    return bool(shared) or ignores_latent_dim(findings)


def depends_on_the_mode(findings) -> bool:
    """Whether there is something in the encoder that has two modes, such as batch normalisation or dropout."""
    try:
        network = vae_networks(findings, 0, *VAE_DEFAULTS)[ENCODER]
    except NotSeen:
        return True
    unknown = any(words is None or "dropout" in words or words == SOMETHING_ELSE for words in network.behind[:-1])
    return unknown or any(map(len, network.normed))


def halves_of_enc_6(submission, layer: dict, mu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is μ and what is log σ of one layer, or of two heads, which may run in any order."""
    given = submission[f"0.x.{layer['index']}.given"]
    if given.shape[1] == layer["outputs"]:
        first, second = np.split(given, 2, axis=1)
        return first, second
    other = submission[f"0.x.{layer['index'] + 1}.given"]
    return (other, given) if close(mu, other) else (given, other)
