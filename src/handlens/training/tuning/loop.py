"""The last blocks of a transformer and a head trained together, from kept tokens.

The head begins as the one that fits the frozen features best, so that its first, random gradients do not spoil them:
linear probing, then fine-tuning (A. Kumar et al., ICLR 2022). It is thrown away afterwards; one is fitted anew on the
tuned features. A step sees some of the patches of one look at each of its photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from numpy.typing import NDArray
from tqdm import tqdm

from handlens.training.fitting.settings import fast_precision
from handlens.training.head import LinearHead
from handlens.training.precision import precision
from handlens.training.tuning.settings import TuneSettings
from handlens.training.tuning.tokens import Tokens
from handlens.training.vit import DEPTH, EPSILON, WIDTH, vit_block
from handlens.training.vit_graph import TOKENS_BLOCK

__all__ = ["rest_of_vit", "tune"]

_WARM_UP: Final = 10
"""Of so many steps one is of the rising rate."""
_FLOOR: Final = 1e-6
Weights = dict[str, NDArray[np.float32]]


def rest_of_vit(tokens: int, blocks: Sequence[int], unfrozen: int = 0) -> keras.Model:
    """Tokens after TOKENS_BLOCK (N, `tokens`, D) and weights of the patches (N, `tokens` - 1), which sum to 1, → the
    features of `vit_backbone`. The last `unfrozen` blocks are trained, nothing else.
    """
    inputs = keras.Input((tokens, WIDTH)), keras.Input((tokens - 1,))
    x, inside = inputs[0], inputs[1][..., None]
    norm = layers.LayerNormalization(epsilon=EPSILON, name="norm")
    found = []
    for number in range(TOKENS_BLOCK, max(blocks) + 1):
        if number > TOKENS_BLOCK:
            x = vit_block(x, tokens, f"block{number:02d}")
        if number in blocks:
            one = norm(x)
            found += [
                one[:, 0],
                ops.mean(one[:, 1:], axis=1),
                ops.sum(one[:, 1:] * ops.cast(inside, one.dtype), axis=1),
            ]
    net = keras.Model(inputs, layers.Concatenate(name="features", dtype="float32")(found))
    trained = {f"block{number:02d}" for number in range(DEPTH - unfrozen, DEPTH)}
    for layer in net.layers:
        layer.trainable = layer.name.partition("_")[0] in trained
    return net


def tune(
    tokens: Tokens,
    rows: NDArray[np.intp],
    labels: NDArray[np.str_],
    weights: Weights,
    head: LinearHead,
    blocks: Sequence[int],
    settings: TuneSettings,
    *,
    told: str = "",
    quiet: bool = False,
) -> Weights:
    """Trains on the photos `rows` of `tokens`, whose labels are `labels` (rows,), all of them labels of `head`.

    `weights`: of the whole network, by `<layer>/<variable>`; `head`: fitted on its features of these `blocks`. Returns
    the trained weights. `told`: what the progress is of.
    """
    patches = tokens.inside.shape[-1]
    kept = max(1, round(settings.kept * patches))
    with precision(fast_precision()):
        net = rest_of_vit(1 + kept, blocks, settings.unfrozen)
    for layer in net.layers:
        if layer.weights:
            layer.set_weights([weights[f"{layer.name}/{weight.name}"] for weight in layer.weights])
    truth = np.searchsorted(head.labels, labels)
    counts = np.bincount(truth, minlength=len(head.labels))
    weighed = (len(rows) / (len(head.labels) * np.maximum(counts, 1))).astype(np.float32)[truth]
    per_epoch = max(1, len(rows) // settings.batch)
    step = _Step(net, head, settings, per_epoch * settings.epochs)
    rng = np.random.default_rng(settings.seed)

    def batch(places: NDArray[np.intp]) -> tuple[Any, ...]:
        looks = rng.integers(0, tokens.inside.shape[1], len(places))
        seen = np.argsort(rng.random((len(places), patches)), axis=1)[:, :kept]
        each = list(zip(rows[places], looks, seen, strict=True))
        shown = np.stack([tokens.at(row, look)[np.r_[0, 1 + some]] for row, look, some in each]).astype(np.float32)
        inside = np.stack([tokens.inside[row, look, 1, some] for row, look, some in each]) + _FLOOR
        target = np.full((len(places), len(head.labels)), settings.label_smoothing / len(head.labels), np.float32)
        target[np.arange(len(places)), truth[places]] += 1 - settings.label_smoothing
        return shown, inside / inside.sum(axis=1, keepdims=True), target, weighed[places]

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
    return {
        f"{layer.name}/{weight.name}": np.asarray(weight, np.float32)
        for layer in net.layers
        if layer.trainable
        for weight in layer.weights
    }


class _Step:
    """One step of gradient descent of the network and its head."""

    def __init__(self, net: keras.Model, head: LinearHead, settings: TuneSettings, steps: int) -> None:
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if steps >= _WARM_UP else settings.rate,
            steps,
            warmup_target=settings.rate if steps >= _WARM_UP else None,
            warmup_steps=steps // _WARM_UP,
        )
        self._net = net
        self._head = [keras.Variable(head.weights), keras.Variable(head.bias)]
        self._of_net = keras.optimizers.AdamW(rate, weight_decay=settings.decay, clipnorm=1.0)
        self._of_head = keras.optimizers.Adam(rate)
        self._of_net.build(net.trainable_variables)
        self._of_head.build(self._head)
        self._run = tf.function(self._compute, reduce_retracing=True)

    def __call__(self, shown: Any, inside: Any, target: Any, weight: Any) -> Any:
        """The loss of a batch before the step."""
        return self._run(*map(tf.constant, (shown, inside, target, weight)))

    def _compute(self, shown: Any, inside: Any, target: Any, weight: Any) -> Any:
        inner = [one.value for one in self._net.trainable_variables]
        matrix, bias = (one.value for one in self._head)
        with tf.GradientTape() as tape:
            logits = self._net((shown, inside), training=True) @ matrix + bias
            losses = tf.nn.softmax_cross_entropy_with_logits(target, logits)
            loss = tf.reduce_sum(losses * weight) / tf.reduce_sum(weight)
        gradients = tape.gradient(loss, [*inner, matrix, bias])
        self._of_net.apply(gradients[:-2])
        self._of_head.apply(gradients[-2:])
        return loss
