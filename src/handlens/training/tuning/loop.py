"""The last blocks of a network and a head trained together, from what is kept of the photos.

The head begins as the one that fits the frozen features best, so that its first, random gradients do not spoil them:
linear probing, then fine-tuning (A. Kumar et al., ICLR 2022). A step sees one look at each of its photos. The rate may
fall from block to block: layer-wise rate decay (J. Howard and S. Ruder, ACL 2018).
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from handlens.training.fitting.settings import fast_precision
from handlens.training.head import LinearHead
from handlens.training.precision import precision
from handlens.training.tuning.settings import TuneSettings
from handlens.training.tuning.targets import Targets
from handlens.training.tuning.tokens import Tokens
from handlens.training.tuning.trunk import Trunk, Weights

__all__ = ["tune"]

_BLOCK: Final = re.compile(r"block(\d+)")
_WARM_UP: Final = 10
"""Of so many steps one is of the rising rate."""


def tune(
    trunk: Trunk,
    tokens: Tokens,
    rows: NDArray[np.intp],
    targets: Targets,
    weights: Weights,
    head: LinearHead,
    settings: TuneSettings,
    *,
    told: str = "",
    quiet: bool = False,
) -> tuple[dict[str, NDArray[np.float32]], LinearHead]:
    """Trains on the photos `rows` of `tokens`, for which `targets` has a row each and a column for a label of `head`.

    `weights`: of the whole network; `head`: fitted on its features. Returns the trained weights and the trained head.
    `told`: what the progress is of.
    """
    with precision(fast_precision()):
        net = trunk.rest(weights, settings.kept)
    per_epoch = max(1, len(rows) // settings.batch)
    step = _Step(net, head, settings, per_epoch * settings.epochs)
    rng = np.random.default_rng(settings.seed)

    def batch(places: NDArray[np.intp]) -> tuple[Any, ...]:
        looks = rng.integers(0, tokens.looks, len(places))
        shown = trunk.shown(tokens, rows[places], looks, settings.kept, rng)
        return tuple(shown), targets.probabilities[places], targets.weights[places]

    # The next batch is read while this one is computed.
    with ThreadPoolExecutor(1) as pool, tqdm(total=settings.epochs, desc=told, unit="epoch", disable=quiet) as bar:
        for _ in range(settings.epochs):
            order = rng.permutation(len(rows))
            batches = np.array_split(order[: max(per_epoch * settings.batch, 1)], per_epoch)
            losses = []
            waiting = pool.submit(batch, batches[0])
            for following in [*batches[1:], None]:
                given = waiting.result()
                if following is not None:
                    waiting = pool.submit(batch, following)
                losses.append(float(step(*given)))
            bar.set_postfix(loss=f"{np.mean(losses):.3f}")
            bar.update()
    trained = {
        f"{layer.name}/{weight.name}": np.asarray(weight, np.float32)
        for layer in net.layers
        if layer.trainable
        for weight in layer.weights
    }
    return trained, LinearHead(head.labels, *step.head)


class _Step:
    """One step of gradient descent of the network and its head."""

    def __init__(self, net: keras.Model, head: LinearHead, settings: TuneSettings, steps: int) -> None:
        self._net = net
        self._head = [keras.Variable(head.weights), keras.Variable(head.bias)]
        self._blocks = _blocks(net, settings.layer_decay)
        self._of_blocks = [
            keras.optimizers.AdamW(_rate(part * settings.rate, steps), weight_decay=settings.decay, clipnorm=1.0)
            for part, _ in self._blocks
        ]
        self._of_head = keras.optimizers.Adam(_rate(settings.rate, steps))
        for optimizer, (_, variables) in zip(self._of_blocks, self._blocks, strict=True):
            optimizer.build(variables)
        self._of_head.build(self._head)
        self._run = tf.function(self._compute, reduce_retracing=True)

    def __call__(self, shown: tuple[Any, ...], target: Any, weight: Any) -> Any:
        """The loss of a batch before the step."""
        return self._run(tuple(map(tf.constant, shown)), tf.constant(target), tf.constant(weight))

    @property
    def head(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Its weights and bias as they are now."""
        matrix, bias = (np.asarray(one, np.float32) for one in self._head)
        return matrix, bias

    def _compute(self, shown: tuple[Any, ...], target: Any, weight: Any) -> Any:
        inner = [[one.value for one in variables] for _, variables in self._blocks]
        matrix, bias = (one.value for one in self._head)
        with tf.GradientTape() as tape:
            # Not as in training: statistics of batch normalisations stay what they are.
            given = shown[0] if len(shown) == 1 else list(shown)
            logits = self._net(given, training=False) @ matrix + bias
            losses = tf.nn.softmax_cross_entropy_with_logits(target, logits)
            loss = tf.reduce_sum(losses * weight) / tf.reduce_sum(weight)
        of_blocks, of_head = tape.gradient(loss, (inner, [matrix, bias]))
        for optimizer, gradients in zip(self._of_blocks, of_blocks, strict=True):
            optimizer.apply(gradients)
        self._of_head.apply(of_head)
        return loss


def _rate(highest: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    return keras.optimizers.schedules.CosineDecay(
        0.0 if steps >= _WARM_UP else highest,
        steps,
        warmup_target=highest if steps >= _WARM_UP else None,
        warmup_steps=steps // _WARM_UP,
    )


def _blocks(net: keras.Model, decay: float) -> list[tuple[float, list[keras.Variable]]]:
    """The trainable variables by how much of the rate they take; what is behind all blocks takes what the last does."""
    numbers = {layer.name: int(found[1]) for layer in net.layers if (found := _BLOCK.match(layer.name))}
    last = max(numbers[layer.name] for layer in net.layers if layer.trainable_variables and layer.name in numbers)
    parts: dict[float, list[keras.Variable]] = {}
    for layer in net.layers:
        if layer.trainable_variables:
            part = decay ** (last - numbers.get(layer.name, last))
            parts.setdefault(part, []).extend(layer.trainable_variables)
    return sorted(parts.items(), key=lambda item: item[0])
