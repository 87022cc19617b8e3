"""Record what the layers of a network compute."""

from netalike.activations.recording import ActivationStore, Recorder, record

__all__ = ["ActivationStore", "Recorder", "record"]
