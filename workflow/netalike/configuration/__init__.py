"""The configuration: presets, validation, and messages that say what to write. Needs no framework."""

from netalike.configuration.differences import Difference, explain
from netalike.configuration.loading import load, validated
from netalike.configuration.models import Configuration, NetworkFamily, network_id
from netalike.configuration.panels import Panel
from netalike.configuration.problems import ConfigurationError, Problem
from netalike.configuration.reading import parse, read

__all__ = [
    "Configuration",
    "ConfigurationError",
    "Difference",
    "NetworkFamily",
    "Panel",
    "Problem",
    "explain",
    "load",
    "network_id",
    "parse",
    "read",
    "validated",
]
