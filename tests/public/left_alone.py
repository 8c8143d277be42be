"""What the student's code is to leave as it finds it: training modes, weights, and the settings of optimizers."""

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer


class State:
    """A model, and its optimizer where there is one, as they are now."""

    def __init__(self, model: nn.Module, optimizer: Optimizer | None = None):
        self._modes, self._weights = modes(model), weights(model)
        self._settings = settings(optimizer) if optimizer else []
        self._gradients_on = torch.is_grad_enabled()

    def change_to(self, later: "State", what: str) -> str | None:
        """The end of a sentence where a later state is another one; `what` is the model, in words."""
        return (
            other_settings(what, self._settings, later._settings)
            or other_mode(what, self._modes, later._modes)
            or other_weights(what, self._weights, later._weights)
            or gradients_off(self._gradients_on, later._gradients_on)
        )


def gradients_off(before: bool, after: bool) -> str | None:
    """The end of a sentence where no gradients are computed any more."""
    return "switches gradients off for good; 'with torch.no_grad():' ends by itself" if before and not after else None


def modes(model: nn.Module) -> dict[str, bool]:
    """Whether each part of a model is in training mode."""
    return {name: part.training for name, part in model.named_modules()}


def weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of a model's weights; a lazy layer has none yet, and batch normalisation's statistics are none."""
    given = {name: parameter for name, parameter in model.named_parameters() if not is_lazy(parameter)}
    return {name: parameter.detach().clone() for name, parameter in given.items()}


def settings(optimizer: Optimizer) -> list[dict[str, object]]:
    """An optimizer's learning rates and other settings."""
    return [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]


def other_mode(what: str, before: dict[str, bool], after: dict[str, bool]) -> str | None:
    """The end of a sentence where a model's mode is no longer the one that was found."""
    changed = [after[name] for name in before.keys() & after.keys() if after[name] != before[name]]
    if not changed:
        return None
    return f"leaves {what} in {'training' if changed[0] else 'evaluation'} mode, which it was not in before"


def other_weights(what: str, before: dict[str, Tensor], after: dict[str, Tensor]) -> str | None:
    """The end of a sentence where a model's weights are no longer those that were found."""
    pairs = [(before[name], after[name]) for name in before.keys() & after.keys()]
    if all(torch.equal(old, new) for old, new in pairs):
        return None
    bound = max(new.abs().max().item() for _, new in pairs)
    if all(torch.equal(old.clamp(-bound, bound), new) for old, new in pairs):
        return f"clips {what}'s weights to ±{bound:.3g}"
    return f"overwrites {what}'s weights (are they initialised anew?)"


def other_settings(what: str, before: list[dict[str, object]], after: list[dict[str, object]]) -> str | None:
    """The end of a sentence where an optimizer's settings are no longer those that were found."""
    for old, new in zip(before, after, strict=True):
        changed = next((name for name, value in old.items() if new[name] != value), None)
        if changed:
            shown = "learning rate" if changed == "lr" else changed
            return f"changes the {shown} of {what}'s optimizer from {old[changed]} to {new[changed]}"
    return None
