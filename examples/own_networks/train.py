"""A checkpoint of one's own, from any training: a state dictionary, saved as PyTorch saves it."""

from pathlib import Path

import torch
from networks import make

from netalike import data

FILES = Path(__file__).parent / "files"
images = data.load(f"folder:{FILES / 'images'}", "train", FILES)
torch.manual_seed(0)
network = make(channels=3, classes=4)
optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
for _ in range(60):
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(network(images.inputs(0, len(images))), images.labels)
    loss.backward()
    optimizer.step()
torch.save(network.state_dict(), FILES / "mine.pt")
print(f"loss {loss.item():.3f}")
