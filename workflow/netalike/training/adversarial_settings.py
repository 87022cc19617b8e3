"""Settings of adversarial training; no framework is imported here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from netalike.training.settings import Settings, learning_rate

Constraint = Literal["2", "inf"]
Method = Literal["pgd", "free", "fast"]

# Shares of the training at which a cyclic learning rate is 0, at its height, and 0 again, as robustness has it.
_RISE = 4 / 15


class AdversarialSettings(Settings):
    """How a robust network is trained; the defaults are those of the library robustness 1.2 for CIFAR-10."""

    eps: float = Field(
        ge=0, description="Radius of the attack, in pixels from 0 to 1; 0 is standard training.", examples=[0.5]
    )
    constraint: Constraint = Field("2", description="Norm of the attack: 2 (Euclidean) or inf (largest change).")
    method: Method = Field(
        "pgd",
        description="pgd: projected gradient descent on each batch. fast: one step from a random start (Wong et al. "
        "2020). free: each batch is seen `steps` times, and one gradient moves both weights and images (Shafahi et al. "
        "2019).",
    )
    steps: int = Field(7, ge=1, description="Steps of the attack; for free, how often each batch is seen.")
    step_size: float | None = Field(
        None, gt=0, description="Length of a step; null is 2.5 eps / steps (pgd), 1.25 eps (fast), eps (free)."
    )
    random_start: bool = Field(False, description="Start pgd at a random place within eps; fast always does.")
    use_best: bool = Field(True, description="Train on the iterate with the largest loss, not on the last (pgd).")
    epochs: int = Field(150, ge=1, description="Passes over the training images.")
    lr: float = Field(0.1, gt=0, description="Learning rate: at the start (step), or the largest (cyclic).")
    schedule: Literal["step", "cyclic"] = Field(
        "step", description="step: a tenth after 1/3 and after 2/3 of the epochs. cyclic: up and down, step by step."
    )
    weight_decay: float = Field(5e-4, ge=0, description="L2 penalty on all parameters, batch norm included.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of SGD (not Nesterov's).")

    @property
    def attack_steps(self) -> int:
        """How many gradients the attack on a batch takes."""
        return 1 if self.method == "fast" else self.steps

    @property
    def attack_step_size(self) -> float:
        """The length of a step of the attack."""
        if self.step_size is not None:
            return self.step_size
        return {"pgd": 2.5 * self.eps / self.steps, "fast": 1.25 * self.eps, "free": self.eps}[self.method]


def rate_at(settings: AdversarialSettings, epoch: int, share: float = 0.0) -> float:
    """Return the learning rate at a moment of the training.

    Parameters
    ----------
    settings : AdversarialSettings
    epoch : int
        Counted from 0.
    share : float
        Of the epoch that is done, in [0, 1); only the cyclic schedule looks at it.

    Returns
    -------
    float
        ``step``: as `netalike.training.learning_rate`. ``cyclic``: from 0 up to `lr` over the first 4/15 of all steps,
        and straight down to 0 over the rest (robustness does so too, but changes the rate once an epoch).
    """
    if settings.schedule == "step":
        return learning_rate(settings, epoch)
    done = (epoch + share) / settings.epochs
    return settings.lr * min(done / _RISE, (1 - done) / (1 - _RISE))
