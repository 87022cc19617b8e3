"""The CKA family beside simtorch and pytorch-cka: same activations, same layers, one process.

    python benchmarks/measures.py [--threads 2] [--images 2048]

Two Tiny10 networks, all 25 layers, batches of 128.  The networks run once, timed apart; then every library reads the
same recorded activations through its own public interface, from a module that replays them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
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

from netalike import networks
from netalike.activations import Recorder
from netalike.compat.simtorch import CKA, DeltaCKA, SimilarityModel
from netalike.measures.gram import centred_gram
from netalike.measures.streaming import PairwiseCKA

BATCH = 128


class Replay(nn.Module):
    """A network that has run already: its layers give back what they gave then, batch after batch."""

    def __init__(self, model: nn.Module, batches: list[Tensor]) -> None:
        super().__init__()
        names = [name for name, _ in model.named_modules() if name]
        self.names = [f"layer{number:02d}" for number, _ in enumerate(names)]
        self.recorded: list[list[Tensor]] = []
        for batch in batches:
            kept: dict[str, Tensor] = {}
            # contiguous, since simtorch views its activations
            with Recorder(model, names, lambda name, out, kept=kept: kept.update({name: out.contiguous()})) as recorder:
                recorder.forward(batch)
            self.recorded.append([kept[name] for name in names])
        for name in self.names:
            self.add_module(name, nn.Identity())
        self.turn = 0

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = self.recorded[self.turn % len(self.recorded)]
        self.turn += 1
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
        "deconfounded CKA, one batch": (DeltaCKA(*ours, bug_compat=True), TheirDeltaCKA(*theirs), single, 200, 1),
    }
    rows = []
    for work, (mine, other, data, asked, repeats) in tasks.items():
        one.turn = two.turn = 0

        def run(metric: CKA, data: list[tuple[Tensor]] = data) -> object:
            one.turn = two.turn = 0
            return metric.compute(data)

        found = [quietly(lambda m=m, run=run: run(m))() for m in (mine, other)]
        rows.append(difference(work, "simtorch", float(np.abs(found[0] - found[1]).max()), 1e-5))
        timed = [quietly(lambda m=m, run=run: run(m)) for m in (mine, other)]
        rows.append(paired(work, "simtorch", *timed, asked=asked, repeats=repeats, warm_up=False))
    return rows


def against_pytorch_cka(one: Replay, two: Replay, batches: list[Tensor]) -> list[Row]:
    work = "unbiased CKA, 16 batches"
    mine = CKA(SimilarityModel(one, "1", ["layer"]), SimilarityModel(two, "2", ["layer"]), unbiased=True)
    loader = [(batch,) for batch in batches]

    def ours() -> np.ndarray:
        one.turn = two.turn = 0
        return mine.compute(loader)

    def theirs() -> np.ndarray:
        one.turn = two.turn = 0
        return their_unbiased(one, two, batches)

    gap = np.abs(quietly(ours)() - quietly(theirs)()).max()
    return [
        difference(work, "pytorch_cka", float(gap), 1e-5),
        paired(work, "pytorch_cka", quietly(ours), quietly(theirs), asked=1, repeats=9),
    ]


def their_unbiased(one: Replay, two: Replay, batches: list[Tensor]) -> np.ndarray:
    one.turn = two.turn = 0
    (matrix,) = pytorch_cka.compute_cka(one, two, Batches(batches), layers=one.names, device="cpu", progress=False)
    return matrix.numpy()


def all_pairs(replays: list[Replay], batches: list[Tensor]) -> list[Row]:
    work = f"unbiased CKA, all pairs of {len(replays)} networks, {len(batches)} batches"
    layers = len(replays[0].names)

    def ours() -> np.ndarray:
        pairwise = PairwiseCKA(["unbiased"])
        for replay in replays:
            replay.turn = 0
        for batch in batches:
            grams: list[Tensor] = []
            for replay in replays:
                with Recorder(replay, replay.names, lambda _, out, grams=grams: grams.append(centred_gram(out))) as run:
                    run.forward(batch)
            pairwise.update(torch.stack(grams))
        return pairwise.result().values["unbiased"].numpy()

    def theirs() -> list[np.ndarray]:
        return [their_unbiased(one, two, batches) for one, two in combinations(replays, 2)]

    mine, others = ours(), theirs()
    gaps = [
        np.abs(mine[layers * i : layers * (i + 1), layers * j : layers * (j + 1)] - other).max()
        for (i, j), other in zip(combinations(range(len(replays)), 2), others, strict=True)
    ]
    return [
        difference(work, "pytorch_cka", float(max(gaps)), 1e-5),
        paired(work, "pytorch_cka", ours, theirs, asked=10, repeats=3, warm_up=False),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--networks", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    images = torch.randn(options.images, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    batches = list(images.split(BATCH))
    models = [networks.build("tiny10", seed=seed).eval() for seed in range(options.networks)]
    with torch.no_grad():
        forward = seconds(lambda: [model(batch) for model in models[:2] for batch in batches])
    print(f"forward passes of two networks on {options.images} images: {forward:.2f} s, timed apart")

    one, two = (Replay(model, batches) for model in models[:2])
    rows = against_pytorch_cka(one, two, batches) + against_simtorch(one, two, batches)
    del one, two
    few = batches[:2]
    rows += all_pairs([Replay(model, few) for model in models], few)
    write("measures", rows)


if __name__ == "__main__":
    main()
