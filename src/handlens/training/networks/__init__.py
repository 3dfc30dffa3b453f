"""Networks by name: the origin's CNNs, ImageNet transfer, keras-hub presets."""

from handlens.training.networks.registry import (
    NETWORKS,
    Network,
    UnknownNetworkError,
    build_network,
    load_network,
    network,
)

__all__ = ["NETWORKS", "Network", "UnknownNetworkError", "build_network", "load_network", "network"]
