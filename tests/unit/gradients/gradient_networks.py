"""Small networks of every kind of layer, and their gradients by plain backward calls."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel


class Residual(nn.Module):
    """A block that works in place on the output of a recorded layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        y += x
        return functional.relu_(self.second(functional.relu_(y)))


class Twice(nn.Module):
    """The same layer called two times."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.last = nn.Linear(6, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.inner(torch.tanh(self.inner(x)))))


class Tied(nn.Module):
    """A weight that two layers share, one used outside its module, and a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 6, bias=False), nn.Linear(6, 2)
        self.b.weight = self.a.weight
        self.outside = nn.Linear(6, 6)
        self.scale = nn.Parameter(torch.tensor([1.0, 2.0]))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.b(torch.tanh(self.a(x))))
        hidden = self.outside(hidden) + functional.linear(hidden, self.outside.weight)
        return self.c(hidden) * self.scale


class Attention(nn.Module):
    """Tokens, layer norm, and an attention whose output layer never runs as a module."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Linear(4, 8), nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(self.embed(x))
        with sdpa_kernel(SDPBackend.MATH):  # the fast one has no batching rule, and warns of it
            attended = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return self.head(attended.mean(1))


def _conv() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1),
        nn.Tanh(),
        nn.Conv2d(4, 3, 2, dilation=2),
        nn.Flatten(),
        nn.Linear(12, 3),
    )


def _padded() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, (3, 2), padding="same", padding_mode="reflect"),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, 3, padding=(1, 0), stride=(2, 1), groups=2, bias=False),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 2, (2, 3)),
        nn.Flatten(),
    )


def _norms() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 4, 3),
        nn.GroupNorm(2, 4),
        nn.Flatten(),
        nn.Linear(64, 5),
        nn.BatchNorm1d(5),
        nn.LayerNorm(5),
        nn.Linear(5, 3),
    )


def _prelu() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.PReLU(), nn.Conv2d(3, 4, 3), nn.PReLU(4), nn.Flatten(), nn.Linear(64, 3)
    )


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8, bias=False), nn.ReLU(), nn.Linear(8, 3))


def _residual() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 3, 1), Residual(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 3))


IMAGE = (2, 8, 8)
BUILDERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (_mlp, (6,)),
    "conv": (_conv, IMAGE),
    "padded": (_padded, IMAGE),
    "norms": (_norms, IMAGE),
    "prelu": (_prelu, IMAGE),
    "residual": (_residual, IMAGE),
    "twice": (Twice, (6,)),
    "tied": (Tied, (6,)),
    "attention": (Attention, (3, 4)),
}


def build(name: str, n: int = 5, dtype: torch.dtype = torch.float64) -> tuple[nn.Module, Tensor]:
    """A network in eval mode with running statistics that are not trivial, and n inputs."""
    maker, shape = BUILDERS[name]
    torch.manual_seed(0)
    model = maker().to(dtype).eval()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight)
    return model, torch.randn(n, *shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


def by_backward(model: nn.Module, inputs: Tensor, choose: Callable[[Tensor], Tensor] = lambda z: z) -> Tensor:
    """Gradients (n, p, d), one backward call for each sample and output."""
    rows = []
    for i in range(len(inputs)):
        outputs = choose(model(inputs[i : i + 1]))[0]
        columns = []
        for a in range(len(outputs)):
            grads = torch.autograd.grad(outputs[a], list(model.parameters()), retain_graph=True, allow_unused=True)
            pairs = zip(grads, model.parameters(), strict=True)
            columns.append(torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs]))
        rows.append(torch.stack(columns, dim=1))
    return torch.stack(rows).detach()


def pairwise(gradients: Tensor) -> Tensor:
    """K_ij = X_i' X_j, pair by pair."""
    return torch.stack([torch.stack([x.T @ y for y in gradients]) for x in gradients])


def pairwise_similarity(gradients: Tensor) -> Tensor:
    """Tr(K_ii^(-1/2) K_ij K_jj^(-1/2)) / d, pair by pair, in float64, for kernels of full rank."""
    kernel = pairwise(gradients.double())
    roots = []
    for i in range(len(kernel)):
        values, vectors = torch.linalg.eigh(kernel[i, i])
        roots.append(vectors @ torch.diag(values**-0.5) @ vectors.T)
    n, d = len(kernel), kernel.shape[-1]
    return torch.stack(
        [torch.stack([torch.trace(roots[i] @ kernel[i, j] @ roots[j]) / d for j in range(n)]) for i in range(n)]
    )
