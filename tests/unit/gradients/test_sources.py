"""Memory, disk and streaming: equal counts and similarities; the fast count is the sum over pairs (claim P7)."""

from __future__ import annotations

import json

import gradient_networks as networks
import numpy as np
import pytest
import torch

from netalike.errors import BadFileError, NetalikeError, ShapeError, UnknownNameError
from netalike.gradients import (
    DiskSource,
    LayerProducts,
    MemorySource,
    StreamingSource,
    model_source,
    per_sample_gradients,
    similarities_to,
    similarity,
    soft_counts,
    soft_counts_of,
    soft_counts_streamed,
)

LABELS = torch.arange(9) % 3


def gradients(n: int = 9, p: int = 40, d: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, p, d)) + np.random.default_rng(1).normal(size=(1, p, d))


def blocks(x: np.ndarray, size: int = 4):
    return lambda start=0: (x[i : i + size] for i in range(start, len(x), size))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_p7_fast_count_is_the_sum_over_pairs(d):
    x = gradients(d=d)
    expected = soft_counts(similarity(x))
    np.testing.assert_allclose(soft_counts_of(MemorySource(x)), expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(soft_counts_of(StreamingSource(blocks(x))), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", networks.BUILDERS)
@pytest.mark.parametrize("outputs", ["logits", "sum", "true-class"])
def test_p7_products_of_layers_give_the_sum_over_pairs(name, outputs):
    model, x = networks.build(name, n=9)
    labels = LABELS % 2
    k = similarity(per_sample_gradients(model, x, outputs, labels))
    for memory_gb in (0.25, 1e-6):  # with and without keeping factors for the second pass
        counts = soft_counts_streamed(model, x, outputs, labels, chunk=4, memory_gb=memory_gb)
        torch.testing.assert_close(counts, soft_counts(k), rtol=0, atol=1e-9)
    without = soft_counts_streamed(model, x, outputs, labels, include_self=False)
    torch.testing.assert_close(without, soft_counts(k, include_self=False), rtol=0, atol=1e-9)


@pytest.mark.parametrize("outputs", ["logits", "sum", "true-class", "log-softmax"])
def test_the_back_ends_agree(outputs, tmp_path):
    model, x = networks.build("norms", n=9, dtype=torch.float32)
    chosen = (lambda z: z.log_softmax(1)) if outputs == "log-softmax" else outputs
    k = similarity(per_sample_gradients(model.double(), x.double(), chosen, LABELS)).numpy()
    model.float()
    for store in ("memory", "disk", "streaming"):
        source = model_source(model, x, chosen, LABELS, store, tmp_path / outputs, chunk=4)
        assert (source.n, source.d) == (9, 1 if outputs in ("sum", "true-class") else 3)
        np.testing.assert_allclose(soft_counts_of(source), k.sum(1), rtol=0, atol=1e-5)
        np.testing.assert_allclose(soft_counts_of(source, False), k.sum(1) - k.diagonal(), rtol=0, atol=1e-5)
        np.testing.assert_allclose(similarities_to(source, [8, 0, 8]), k[[8, 0, 8]], rtol=0, atol=1e-5)


def test_units_stay_on_their_side_of_a_kink():
    """Float32 counts of a network of kinks differ by rounding alone: no unit has another sign than in a plain call."""
    torch.manual_seed(0)
    front = [torch.nn.Conv2d(1, 8, 5), torch.nn.PReLU(), torch.nn.AvgPool2d(2), torch.nn.Conv2d(8, 8, 3)]
    model = torch.nn.Sequential(*front, torch.nn.ReLU(), torch.nn.AvgPool2d(2), torch.nn.Flatten()).eval()
    x = torch.randn(40, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    gradients = networks.by_backward(model, x, lambda z: z.sum(1, keepdim=True)).double()[..., 0]
    unit = gradients / gradients.norm(dim=1, keepdim=True)
    for store in ("memory", "streaming"):
        counts = soft_counts_of(model_source(model, x, "sum", store=store, chunk=7))
        np.testing.assert_allclose(counts, (unit @ unit.sum(0)).numpy(), rtol=2e-6)


@pytest.mark.parametrize(("store", "passes"), [("kept", 1), ("little", 2), ("streaming", 2)])
def test_streaming_keeps_nothing(store, passes, monkeypatch):
    model, x = networks.build("conv", n=20, dtype=torch.float32)
    asked = []
    factors = LayerProducts.factors
    monkeypatch.setattr(LayerProducts, "factors", lambda self, *rows: asked.append(rows) or factors(self, *rows))
    if store == "streaming":
        soft_counts_of(model_source(model, x, "sum", chunk=4, memory_gb=0.25))
    else:
        soft_counts_streamed(model, x, chunk=4, memory_gb=0.25 if store == "kept" else 1e-6)
    assert asked == [(start, start + 4) for start in range(0, 20, 4)] * passes


def test_the_same_call_gives_the_same_bits(tmp_path):
    model, x = networks.build("conv", n=9, dtype=torch.float32)
    for store in ("memory", "disk", "streaming"):
        once, again = (
            soft_counts_of(model_source(model, x, store=store, folder=tmp_path / f"{store}{i}")) for i in range(2)
        )
        assert once.tobytes() == again.tobytes()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_samples(n, tmp_path):
    # published: a ValueError for fewer than 4 samples
    x = gradients(n)
    expected = similarity(x).sum(1)
    for source in (MemorySource(x), StreamingSource(blocks(x)), DiskSource.write(tmp_path / str(n), blocks(x))):
        np.testing.assert_allclose(soft_counts_of(source), expected, atol=1e-5)


def test_zero_gradients_count_nothing(tmp_path):
    x = gradients()
    x[4] = 0
    for source in (MemorySource(x), StreamingSource(blocks(x)), DiskSource.write(tmp_path, blocks(x))):
        assert soft_counts_of(source)[4] == 0
        assert soft_counts_of(source, include_self=False)[4] == 0
        assert not similarities_to(source, [4]).any()


def test_a_dead_network_counts_nothing():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4, bias=False), torch.nn.ReLU(), torch.nn.Linear(4, 1, bias=False))
    torch.nn.init.constant_(model[0].weight, -1)
    counts = soft_counts_streamed(model, torch.tensor([[1.0, 1, 1], [-1, -1, -1], [-1, -2, -1]]))
    assert counts[0] == 0
    torch.testing.assert_close(
        counts[1], 1 + similarity(torch.tensor([[1.0, 1, 1], [1, 2, 1]]))[0, 1], atol=0.1, rtol=0
    )


def test_shards_are_plain_float32_arrays(tmp_path):
    x = gradients()
    DiskSource.write(tmp_path, blocks(x))
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["gradients.00000000.npy", "gradients.00000004.npy", "gradients.00000008.npy", "index.json"]
    shard = np.load(tmp_path / files[1], allow_pickle=False)
    assert (shard.shape, shard.dtype) == ((4, 40, 3), np.float32)
    np.testing.assert_allclose(shard[0].T @ shard[0], np.eye(3), atol=1e-5)  # whitened


def test_writing_goes_on_where_it_stopped(tmp_path):
    x = gradients()
    asked = []

    def interrupted(start):
        asked.append(start)
        for i in range(start, 9, 4):
            if i == 8 and len(asked) == 1:
                raise KeyboardInterrupt
            yield x[i : i + 4]

    with pytest.raises(KeyboardInterrupt):
        DiskSource.write(tmp_path, interrupted, key="x")
    with pytest.raises(BadFileError, match="unfinished gradients"):
        DiskSource(tmp_path)
    source = DiskSource.write(tmp_path, interrupted, key="x")
    assert asked == [0, 8]
    np.testing.assert_allclose(soft_counts_of(source), similarity(x).sum(1), atol=1e-5)
    DiskSource.write(tmp_path, interrupted, key="x")
    assert asked == [0, 8]  # complete
    DiskSource.write(tmp_path, interrupted, key="y")
    assert asked == [0, 8, 0]  # other gradients


def test_shards_of_another_network_are_not_taken(tmp_path):
    model, x = networks.build("mlp", n=9, dtype=torch.float32)
    before = soft_counts_of(model_source(model, x, "sum", store="disk", folder=tmp_path))
    with torch.no_grad():
        model[0].weight.mul_(-1)
    after = soft_counts_of(model_source(model, x, "sum", store="disk", folder=tmp_path))
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, soft_counts_streamed(model, x), atol=1e-5)


@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_damaged_shards_are_named(damage, tmp_path):
    source = DiskSource.write(tmp_path, blocks(gradients()))
    shard = tmp_path / "gradients.00000004.npy"
    if damage == "missing":
        shard.unlink()
    elif damage == "cut":
        shard.write_bytes(shard.read_bytes()[:200])
    else:
        np.save(shard, np.zeros(3))
    with pytest.raises(BadFileError, match=r"gradients.00000004.npy .*write it again"):
        soft_counts_of(source)


def test_mistakes_are_named(tmp_path):
    x = gradients()
    model, images = networks.build("mlp")
    (tmp_path / "index.json").write_text(json.dumps([1]))
    with pytest.raises(BadFileError, match="no index of gradients"):
        DiskSource(tmp_path)
    with pytest.raises(BadFileError, match="holds no gradients"):
        DiskSource(tmp_path / "none")
    with pytest.raises(NetalikeError, match="expected positions from 0 to 8, got 9"):
        similarities_to(MemorySource(x), [9])
    with pytest.raises(NetalikeError, match="expected positions from 0 to 4, got none"):
        similarities_to(model_source(model, images), [])
    with pytest.raises(UnknownNameError, match="Did you mean 'disk'"):
        model_source(model, images, store="disc")
    with pytest.raises(NetalikeError, match="needs a folder"):
        model_source(model, images, store="disk")
    with pytest.raises(ShapeError, match=r"from sample 1 have shape \(p, d\) \(39, 3\), those before \(40, 3\)"):
        soft_counts_of(StreamingSource(lambda: [x[:1], x[1:, 1:]]))


def test_a_stream_that_can_be_read_only_once_is_refused():
    once = iter([gradients()])
    with pytest.raises(ShapeError, match="return new ones at each call"):
        soft_counts_of(StreamingSource(lambda: once))
