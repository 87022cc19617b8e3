"""Inversion beside robustness's Attacker with the article's settings: time per iteration, images, and the fast mode.

    python benchmarks/inversion.py [--threads 2] [--repeats 3] [--pairs 32] [--iterations 400] [--only PART ...]

One network and one set of pairs for both.  With a mirror (NETALIKE_MIRROR) the networks are the stitching paper's and
the images CIFAR-10's; without one both are random.  The Attacker is called as the article of Jones et al. (2022) calls
it: momentum, relative L2 loss of the representation, pixels in [0, 1], normalised inside, the best iterate.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import torch
from pairing import Row, difference, paired, write
from torch import Tensor, nn

import netalike
from netalike import data, inversion, networks

PEER = "robustness"
SEED = 0
PARTS = ("step", "fast")
ARCHITECTURES = ("tiny10", "resnet20_w1")
STEP, MOMENTUM, EPS, BATCH = 1 / 8, 0.9, 1000.0, 32
EQUAL_AFTER, EQUAL_WITHIN = 40, 0.005
TIMED = 100


@dataclass(frozen=True)
class Work:
    """A network that takes normalised images, and pairs of images in [0, 1]."""

    name: str
    network: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    seeds: Tensor
    targets: Tensor

    @property
    def model(self) -> nn.Module:
        return inversion.Normalised(self.network, self.mean, self.std)

    def ours(self, mode: str, iterations: int, exact: bool = True) -> Tensor:
        options = {"mode": mode, "iterations": iterations, "batch_size": BATCH, "exact": exact}
        return inversion.invert_images(self.model, self.seeds, self.targets, **options).images

    def theirs(self, iterations: int) -> Tensor:
        parts = zip(self.seeds.split(BATCH), self.targets.split(BATCH), strict=True)
        return torch.cat([attacked(self, seeds, targets, iterations) for seeds, targets in parts])

    def median_loss(self, images: Tensor) -> float:
        found, wanted = (inversion.represent(self.model, part) for part in (images, self.targets))
        return float(((found - wanted).norm(dim=1) / wanted.norm(dim=1)).median())


def work(architecture: str, pairs: int) -> Work:
    """A network of the stitching paper and pairs of CIFAR-10; without a mirror, random ones."""
    mirror = os.environ.get("NETALIKE_MIRROR")
    if mirror is None:
        print("no mirror (NETALIKE_MIRROR): a random network and random images", file=sys.stderr)
        images = torch.rand(2, pairs, 3, 32, 32, generator=torch.Generator().manual_seed(SEED))
        network = networks.build(architecture, seed=SEED)
        return Work(architecture, network.eval(), (0.5,) * 3, (0.25,) * 3, images[0], images[1])
    network, _ = networks.load(Path(mirror) / "networks" / architecture / "in0-gn0.pt", architecture)
    found = data.load("cifar10", "test", mirror, limit=10 * pairs)
    seeds, targets = inversion.inversion_pairs(found.labels, pairs, SEED)
    pixels, spec = found.resized.float() / 255, found.spec
    return Work(architecture, network.eval(), spec.mean, spec.std, pixels[seeds], pixels[targets])


# --- the peer -------------------------------------------------------------------------------------------------------


class WithLatent(nn.Module):
    """The network as robustness's own are: asked for, the input of the last linear layer comes with the logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.network.fc.register_forward_pre_hook(self._keep)

    def _keep(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.latent = inputs[0]

    def forward(self, images: Tensor, with_latent: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        logits = self.network(images)
        return (logits, self.latent) if with_latent else logits


def attacked(task: Work, seeds: Tensor, targets: Tensor, iterations: int) -> Tensor:
    """One batch through robustness's Attacker."""
    torch.Tensor.cuda = lambda self, *_args, **_options: self  # it wants a GPU unconditionally
    from robustness.attack_steps import AttackerStep
    from robustness.attacker import AttackerModel

    class MomentumStep(AttackerStep):
        """The article's step: a moving average of unit gradients."""

        average: Tensor | float = 0.0

        def step(self, x: Tensor, gradient: Tensor) -> Tensor:
            unit = gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
            self.average = MOMENTUM * self.average + (1 - MOMENTUM) * unit
            return x + self.step_size * self.average

        def project(self, x: Tensor) -> Tensor:
            return torch.clamp(self.orig_input + (x - self.orig_input).renorm(2, 0, self.eps), 0, 1)

    def relative_loss(model: nn.Module, images: Tensor, wanted: Tensor) -> tuple[Tensor, None]:
        _, latent = model(images, with_latent=True)
        return (latent - wanted).norm(dim=1) / wanted.norm(dim=1), None

    statistics = SimpleNamespace(mean=torch.tensor(task.mean), std=torch.tensor(task.std))
    peer = AttackerModel(WithLatent(task.network), statistics).eval()
    with torch.no_grad():
        _, wanted = peer.model(peer.normalizer(targets), with_latent=True)
    options = {"constraint": MomentumStep, "eps": EPS, "step_size": STEP, "iterations": iterations}
    found: Tensor = peer.attacker(seeds, wanted, targeted=True, custom_loss=relative_loss, **options)
    task.network.fc._forward_pre_hooks.clear()
    return found


# --- times ----------------------------------------------------------------------------------------------------------


def step(task: Work, repeats: int) -> list[Row]:
    """Time per iteration of the published mode, and how far the images are apart.

    With batch norm folded there is another rounding, which ReLUs near their kinks make visible in a few images; the
    Attacker in single and in double precision is as far from itself.  No limit is asked of that row.
    """
    reference = task.theirs(EQUAL_AFTER)
    rows = []
    for exact in (True, False):
        label = f"{task.name}, {len(task.seeds)} pairs, published mode" + ("" if exact else ", batch norm folded")
        ours, theirs = partial(task.ours, "published", TIMED, exact), partial(task.theirs, TIMED)
        row = paired(label, PEER, ours, theirs, asked=1.6, repeats=repeats)
        each = TIMED * -(-len(task.seeds) // BATCH)
        rows.append(replace(row, figure="time per iteration and batch", ours=row.ours / each, theirs=row.theirs / each))
        gap = float((task.ours("published", EQUAL_AFTER, exact) - reference).abs().max())
        apart = difference(f"{label}, pixels after {EQUAL_AFTER} iterations", PEER, gap, EQUAL_WITHIN)
        rows.append(apart if exact else replace(apart, asked=None))
    return rows


def fast(task: Work, iterations: int, repeats: int) -> list[Row]:
    """Time and median loss of the fast mode, beside the iterations of the Attacker and of the published mode."""
    found: dict[str, Tensor] = {}

    def timed(name: str, run: Callable[[], Tensor]) -> Callable[[], None]:
        def call() -> None:
            found[name] = run()

        return call

    ours = timed("ours", lambda: task.ours("fast", iterations))
    peers = {
        PEER: timed(PEER, lambda: task.theirs(iterations)),
        "torch": timed("torch", lambda: task.ours("published", iterations)),
    }
    rows = []
    for peer, theirs in peers.items():
        label = f"{task.name}, {len(task.seeds)} pairs, fast mode beside {iterations} iterations"
        row = paired(label, peer, ours, theirs, asked=3.0, repeats=repeats, warm_up=False)
        pair = [row, loss_row(label, row, task.median_loss(found["ours"]), task.median_loss(found[peer]))]
        if peer != PEER:
            pair = [replace(r, peer="netalike, published mode", version=netalike.__version__) for r in pair]
        rows += pair
    return rows


def loss_row(label: str, row: Row, ours: float, theirs: float) -> Row:
    """The median relative losses; the same loss, or a smaller one, is a ratio of 1 or more."""
    print(f"{label}: median relative loss {ours:.5f}, {row.peer} {theirs:.5f}", flush=True)
    ratio = theirs / ours
    return Row(label, row.peer, row.version, "median relative loss", "1", ours, theirs, ratio, ratio, ratio, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=32)
    parser.add_argument("--iterations", type=int, default=400, help="of the Attacker, beside the fast mode")
    parser.add_argument("--architectures", nargs="+", default=list(ARCHITECTURES), choices=networks.names())
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=list(PARTS), help="these parts alone; nothing is written"
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows: list[Row] = []
    for architecture in options.architectures:
        task = work(architecture, options.pairs)
        if "step" in options.only:
            rows += step(task, options.repeats)
        if "fast" in options.only:
            rows += fast(task, options.iterations, options.repeats)
    if set(options.only) == set(PARTS):  # a part alone does not replace the whole
        write("inversion", rows)


if __name__ == "__main__":
    main()
