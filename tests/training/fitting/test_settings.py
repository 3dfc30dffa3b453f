"""Settings are strict and come back from JSON as they were."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handlens.errors import HandlensError, UsageError
from handlens.training.fitting.settings import FitSettings, fast_precision
from handlens.training.networks import NETWORKS, UnknownNetworkError


@pytest.mark.parametrize("name", NETWORKS)
def test_defaults_of_every_network_survive_json(name: str) -> None:
    settings = FitSettings.of(name, labels=("quartz", "calcite"), seed=5, rate=None)
    assert FitSettings.from_dict(json.loads(json.dumps(settings.as_dict()))) == settings
    assert settings.side == NETWORKS[name].side
    assert settings.precision == fast_precision()
    assert settings.seed == 5


def test_the_origins_way_is_the_default_of_its_networks() -> None:
    settings = FitSettings.of("cnn-final")
    assert (settings.optimizer, settings.schedule, settings.patience, settings.augment) == (
        "adam",
        "plateau",
        9,
        ("origin",),
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"picture": "round"},
        {"optimizer": "sgd2"},
        {"schedule": "never"},
        {"precision": "float8"},
        {"augment": ("origin", "paint")},
        {"side": 16},
        {"epochs": 0},
        {"batch": 1},
        {"patience": 0},
        {"seed": -1},
        {"rate": 0.0},
        {"rate": float("nan")},
        {"validation": 0.0},
        {"validation": 0.6},
        {"label_smoothing": 1.0},
        {"weight_decay": -1.0},
        {"l2": -0.1},
        {"dropout": 1.0},
        {"unfrozen": -1},
    ],
)
def test_wrong_values_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong)) if "augment" not in wrong else "paint"):
        FitSettings(network="cnn-2", **wrong)


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(UnknownNetworkError, match="cnn-7"):
        FitSettings(network="cnn-7")
    with pytest.raises((TypeError, HandlensError)):
        FitSettings.from_dict({"network": "cnn-2", "colour": "blue"})


def test_the_masked_picture_is_in_the_preprocessing() -> None:
    assert FitSettings(network="cnn-2", picture="origin-mask").preprocessing.mask == "origin"
    assert FitSettings(network="cnn-2").preprocessing.mask == "none"
