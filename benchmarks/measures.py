"""The CKA family beside simtorch and pytorch-cka: same activations, same layers, one process.

    python benchmarks/measures.py [--threads 2] [--images 2048]

Two Tiny10 networks, all 25 layers, batches of 128.  The networks run once, timed apart; then every library reads the
same recorded activations through its own public interface, from a module that replays them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import warnings
from collections.abc import Callable, Iterator
from itertools import combinations

import cka as pytorch_cka
import numpy as np
import torch
from pairing import Row, difference, paired, seconds, write
from simtorch.model.sim_model import SimilarityModel as TheirModel
from simtorch.similarity import CKA as TheirCKA
from simtorch.similarity import DeltaCKA as TheirDeltaCKA
from torch import Tensor, nn

from netalike import data, networks
from netalike.activations import Recorder
from netalike.compat.simtorch import CKA, DeltaCKA, SimilarityModel
from netalike.measures.layer_grams import LayerGrams
from netalike.measures.streaming import PairwiseCKA

BATCH = 128


class Replay(nn.Module):
    """A network that has run already: its layers give back what they gave then, batch after batch."""

    def __init__(self, recorded: list[list[Tensor]], number: dict[int, int]) -> None:
        super().__init__()
        self.recorded, self.number = recorded, number
        self.names = [f"layer{i:02d}" for i in range(len(recorded[0]))]
        for name in self.names:
            self.add_module(name, nn.Identity())

    @classmethod
    def of(cls, other: Replay, dtype: torch.dtype) -> Replay:
        """The same activations in another precision."""
        return cls([[layer.to(dtype) for layer in batch] for batch in other.recorded], other.number)

    @classmethod
    def record(cls, model: nn.Module, batches: list[Tensor]) -> Replay:
        """Run a network once; a batch is known again by its memory."""
        names = [name for name, _ in model.named_modules() if name]
        recorded = []
        for batch in batches:
            kept: dict[str, Tensor] = {}
            # contiguous, since simtorch views its activations
            with Recorder(model, names, lambda name, out, kept=kept: kept.update({name: out.contiguous()})) as recorder:
                recorder.forward(batch)
            recorded.append([kept[name] for name in names])
        return cls(recorded, {batch.data_ptr(): i for i, batch in enumerate(batches)})

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = self.recorded[self.number[inputs.data_ptr()]]
        for name, output in zip(self.names, outputs, strict=True):
            result: Tensor = getattr(self, name)(output)
        return result


class Batches:
    """A data loader that is no list: pytorch-cka takes a list for several loaders."""

    def __init__(self, batches: list[Tensor]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.batches)


def trained_networks(count: int, images: int) -> tuple[list[nn.Module], Tensor]:
    """The stitching authors' networks and CIFAR-10 test images; without a mirror, untrained networks and digits."""
    mirror = os.environ.get("NETALIKE_MIRROR")
    if mirror is None:
        print("no mirror (NETALIKE_MIRROR): untrained networks on digits")
        digits = data.load("digits", "train").inputs().repeat(2, 1, 1, 1)[:images]
        return [networks.build("tiny10", channels=1, seed=seed).eval() for seed in range(count)], digits
    files = [f"{mirror}/networks/tiny10/in{seed}-gn{seed}.pt" for seed in range(count)]
    models = [networks.load(file, "tiny10")[0].eval() for file in files]
    return models, data.load("cifar10", "test", mirror, limit=images).inputs()


def quietly(run: Callable[[], object]) -> Callable[[], object]:
    """Progress bars and warnings are not what is timed."""

    def quiet() -> object:
        with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return run()

    return quiet


def against_simtorch(one: Replay, two: Replay, batches: list[Tensor]) -> list[Row]:
    loader, single = [(batch,) for batch in batches], [(batches[0],)]
    ours = SimilarityModel(one, "1", ["layer"]), SimilarityModel(two, "2", ["layer"])
    theirs = TheirModel(one, "1", ["layer"]), TheirModel(two, "2", ["layer"])
    tasks = {
        "CKA, mean over 16 batches": (CKA(*ours, bug_compat=True), TheirCKA(*theirs), loader, 10, 3),
        "deconfounded CKA, one batch": (DeltaCKA(*ours, bug_compat=True), TheirDeltaCKA(*theirs), single, 200, 5),
    }
    rows = []
    for work, (mine, other, loaded, asked, repeats) in tasks.items():

        def run(metric: CKA, data: list[tuple[Tensor]] = loaded) -> object:
            return metric.compute(data)

        found = [quietly(lambda m=m, run=run: run(m))() for m in (mine, other)]
        rows.append(difference(work, "simtorch", float(np.abs(found[0] - found[1]).max()), 1e-5))
        timed = [quietly(lambda m=m, run=run: run(m)) for m in (mine, other)]
        rows.append(paired(work, "simtorch", *timed, asked=asked, repeats=repeats))
    return rows


def against_pytorch_cka(one: Replay, two: Replay, batches: list[Tensor]) -> list[Row]:
    work = "unbiased CKA, 16 batches"
    mine = CKA(SimilarityModel(one, "1", ["layer"]), SimilarityModel(two, "2", ["layer"]), unbiased=True)
    loader = [(batch,) for batch in batches]

    def ours() -> np.ndarray:
        return mine.compute(loader)

    def theirs() -> np.ndarray:
        return their_unbiased(one, two, batches)

    # in float32 it does not centre, and loses digits in layers with a large mean; in float64 it is the reference
    exact = Replay.of(one, torch.float64), Replay.of(two, torch.float64)
    gap = np.abs(quietly(ours)() - their_unbiased(*exact, batches)).max()
    return [
        difference(f"{work}, theirs in float64", "pytorch_cka", float(gap), 1e-5),
        paired(work, "pytorch_cka", quietly(ours), quietly(theirs), asked=1, repeats=9),
    ]


def with_forward_passes(one: nn.Module, two: nn.Module, batches: list[Tensor]) -> Row:
    names = [name for name, _ in one.named_modules() if name]
    pair = [SimilarityModel(model, None, names, matching="exact") for model in (one, two)]
    loader = [(batch,) for batch in batches]

    def theirs() -> object:
        return pytorch_cka.compute_cka(one, two, Batches(batches), layers=names, device="cpu", progress=False)

    work = "unbiased CKA, 16 batches, with the forward passes"
    ours = CKA(*pair, unbiased=True)
    return paired(work, "pytorch_cka", quietly(lambda: ours.compute(loader)), quietly(theirs), asked=None, repeats=5)


def their_unbiased(one: Replay, two: Replay, batches: list[Tensor]) -> np.ndarray:
    (matrix,) = pytorch_cka.compute_cka(one, two, Batches(batches), layers=one.names, device="cpu", progress=False)
    return matrix.numpy()


def all_pairs(replays: list[Replay], batches: list[Tensor]) -> list[Row]:
    work = f"unbiased CKA, all pairs of {len(replays)} networks, {len(batches)} batches"
    layers = len(replays[0].names)

    def ours() -> np.ndarray:
        pairwise = PairwiseCKA(["unbiased"])
        readers = [LayerGrams(replay, replay.names) for replay in replays]
        for batch in batches:
            pairwise.update(torch.cat([reader(batch) for reader in readers]))
        return pairwise.result().values["unbiased"].numpy()

    def theirs() -> list[np.ndarray]:
        return [their_unbiased(one, two, batches) for one, two in combinations(replays, 2)]

    exact = [Replay.of(replay, torch.float64) for replay in replays]
    mine, others = ours(), [their_unbiased(one, two, batches) for one, two in combinations(exact, 2)]
    del exact
    gaps = [
        np.abs(mine[layers * i : layers * (i + 1), layers * j : layers * (j + 1)] - other).max()
        for (i, j), other in zip(combinations(range(len(replays)), 2), others, strict=True)
    ]
    return [
        difference(f"{work}, theirs in float64", "pytorch_cka", float(max(gaps)), 1e-5),
        paired(work, "pytorch_cka", ours, theirs, asked=10, repeats=3, warm_up=False),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--networks", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    models, images = trained_networks(options.networks, options.images)
    batches = list(images.split(BATCH))
    with torch.no_grad():
        forward = seconds(lambda: [model(batch) for model in models[:2] for batch in batches])
    print(f"forward passes of two networks on {options.images} images: {forward:.2f} s, timed apart")

    one, two = (Replay.record(model, batches) for model in models[:2])
    rows = against_pytorch_cka(one, two, batches) + against_simtorch(one, two, batches)
    rows.append(with_forward_passes(*models[:2], batches))
    del one, two
    few = batches[:2]
    rows += all_pairs([Replay.record(model, few) for model in models], few)
    write("measures", rows)


if __name__ == "__main__":
    main()
