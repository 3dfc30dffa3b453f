"""The last blocks of ViT-S/14 trained from kept tokens, leave-one-fold-out: what fine-tuning is worth on strangers.

    python -m experiments.finetune OUT [--folds fuse-flickr ...] [--epochs 5] [--rate 2e-5] [--mix 0.5 1]

Everything up to block 7 is frozen, so its tokens are kept once (`OUT/tokens.npy`) for three views of each photo: the
greyed box, the same mirrored under another light, and the middle 0.7 of it. A head is fitted on the frozen features, as
`handlens train` does; then blocks 8 to 11 and it are trained together (linear probing, then fine-tuning: A. Kumar et
al., ICLR 2022), each step on half of the patches of one of the views. The weights are mixed with the pretrained ones
(M. Wortsman et al., CVPR 2022), and a head is fitted anew on the features of each mixture. `OUT/<fold>-<mix>.npz` keeps
the held-out logits.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from numpy.typing import NDArray

from experiments.features import MANIFEST, VIEWS
from experiments.heads import report
from handlens.evaluation.protocol import photographer_folds
from handlens.identifier import ORIGIN_TEN
from handlens.photo import read_photo
from handlens.specimen_localiser import Localiser
from handlens.training.head import HeadSettings, LinearHead, fit_head
from handlens.training.samples import read_samples, with_split
from handlens.training.vit import BACKGROUND, EPSILON, INSIDE_FLOOR, NEAR, PATCH, WIDTH, _block, vit_backbone
from handlens.training.weights import load_weights
from handlens.views import Preprocessing, make_views

FROZEN: Final = 8
SIDE: Final = 224
GRID: Final = SIDE // PATCH
LOOKS: Final = ("plain", "lit", "centre")
HEAD: Final = HeadSettings(nuisance=16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--folds", nargs="+", default=["fuse-flickr", "rest", "kaggle-minet", "commons", "minerobo"])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=2e-5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--kept", type=float, default=0.5, help="of the patches in a step")
    parser.add_argument("--smoothing", type=float, default=0.1)
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--mix", type=float, nargs="+", default=[0.5, 1.0])
    parser.add_argument("--tokens", type=Path, help="where the tokens are, if not in OUT")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    samples = with_split(read_samples(MANIFEST), "train")
    keep(options.tokens or options.out, [sample.path for sample in samples])
    folder = options.tokens or options.out
    tokens, early, inside = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("tokens", "early", "inside"))
    labels = np.array([sample.label for sample in samples])
    usable = np.array([sample.usable for sample in samples])
    groups = np.array([sample.group for sample in samples])
    folds = photographer_folds(samples)
    names = np.unique(labels)
    found = {mix: np.full((len(labels), len(names)), -30.0) for mix in (0.0, *options.mix)}
    done = np.zeros(len(labels), bool)
    for fold in options.folds:
        here = folds == fold
        train = np.flatnonzero(~here & ~np.isin(groups, groups[here]))
        judged = np.flatnonzero(here & usable)
        done[judged] = True
        tuner = Tuner(options)
        first = tuner.features(tokens[:, 0], early[:, 0], inside[:, 0])
        head = fit_head(first[train], labels[train], HEAD, folds[train])
        put(found[0.0], judged, head, first, names)
        path = options.out / f"{fold}.weights.h5"
        if path.is_file():
            tuner.blocks.load_weights(path)
        else:
            tuner.train(tokens, early, inside, train, labels, head, fold)
            tuner.blocks.save_weights(path)
        tuned = [np.asarray(weight) for weight in tuner.blocks.get_weights()]
        for mix in options.mix:
            tuner.blocks.set_weights([a + mix * (b - a) for a, b in zip(tuner.pretrained, tuned, strict=True)])
            features = tuner.features(tokens[:, 0], early[:, 0], inside[:, 0])
            put(found[mix], judged, fit_head(features[train], labels[train], HEAD, folds[train]), features, names)
            np.savez(options.out / f"{fold}-{mix:g}.npz", logits=found[mix][judged], judged=judged)
        for mix, logits in found.items():
            print(f"{fold} {mix:g}", flush=True)
            show(logits[judged], labels[judged], folds[judged], names)
    for mix, logits in found.items():
        print(f"all folds, {mix:g} of the way", flush=True)
        show(logits[done], labels[done], folds[done], names)


def show(
    logits: NDArray[np.float64], labels: NDArray[np.str_], folds: NDArray[np.str_], names: NDArray[np.str_]
) -> None:
    report("all", logits, np.searchsorted(names, labels), folds)
    ten = np.array(sorted(ORIGIN_TEN))
    among = np.isin(labels, ten)
    report("ten", logits[among][:, np.searchsorted(names, ten)], np.searchsorted(ten, labels[among]), folds[among])


def put(
    found: NDArray[np.float64],
    judged: NDArray[np.intp],
    head: LinearHead,
    features: NDArray[np.float32],
    names: NDArray[np.str_],
) -> None:
    logits = head.logits(features[judged])
    logits = logits - np.log(np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True))
    found[np.ix_(judged, np.searchsorted(names, head.labels))] = logits - logits.max(axis=1, keepdims=True)


class Tuner:
    """The blocks after the frozen ones."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        net = vit_backbone(blocks=(11,))
        load_weights(net, "vits14")
        self.blocks = tail(1 + GRID * GRID)
        self.short = tail(1 + round(options.kept * GRID * GRID))
        copy(net, self.blocks)
        copy(net, self.short)
        self.pretrained = [np.asarray(weight) for weight in self.blocks.get_weights()]
        self._run = tf.function(lambda *given: self.blocks(given, training=False), reduce_retracing=True)

    def features(
        self, tokens: NDArray[np.float16], early: NDArray[np.float16], inside: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(n, 4608) of one look."""
        parts = []
        for start in range(0, len(tokens), 16):
            at = slice(start, start + 16)
            late = self._run(tf.constant(tokens[at].astype(np.float32)), tf.constant(inside[at]))
            parts.append(np.concatenate([early[at].astype(np.float32), np.asarray(late)], axis=1))
        return np.concatenate(parts)

    def train(self, tokens: Any, early: Any, inside: Any, train: Any, labels: Any, head: LinearHead, fold: str) -> None:
        """Trains the blocks on the photos `train`, with a copy of the head that is thrown away."""
        options = self.options
        rng = np.random.default_rng(0)
        truth = np.searchsorted(head.labels, labels)
        counts = np.bincount(truth[train], minlength=len(head.labels))
        weight = (len(train) / (len(head.labels) * counts)).astype(np.float32)
        net = self.short
        steps = options.epochs * (len(train) // options.batch)
        rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=options.rate, warmup_steps=steps // 10)
        optimiser = keras.optimizers.AdamW(rate, weight_decay=options.decay, clipnorm=1.0)
        optimiser.build([*net.trainable_variables])
        head_optimiser = keras.optimizers.Adam(rate)
        kinds = [keras.Variable(head.weights), keras.Variable(head.bias)]
        head_optimiser.build(kinds)
        matrix, bias = kinds

        @tf.function
        def step(part: Any, before: Any, within: Any, wanted: Any, weights: Any) -> Any:
            with tf.GradientTape() as tape:
                late = net((part, within), training=True)
                logits = tf.concat([before, late], axis=1) @ matrix.value + bias.value
                target = tf.one_hot(wanted, len(head.labels)) * (1 - options.smoothing)
                target += options.smoothing / len(head.labels)
                losses = tf.nn.softmax_cross_entropy_with_logits(target, logits)
                loss = tf.reduce_sum(losses * weights) / tf.reduce_sum(weights)
            both = tape.gradient(loss, [*[one.value for one in net.trainable_variables], matrix.value, bias.value])
            optimiser.apply(both[:-2])
            head_optimiser.apply(both[-2:])
            return loss, tf.reduce_mean(tf.cast(tf.argmax(logits, 1) == tf.cast(wanted, tf.int64), tf.float32))

        kept = round(options.kept * GRID * GRID)
        for epoch in range(options.epochs):
            begun, told = time.time(), []
            order = rng.permutation(train)
            for at in range(0, len(order) - options.batch + 1, options.batch):
                rows = order[at : at + options.batch]
                looks = rng.integers(0, len(LOOKS), len(rows))
                chosen = np.argsort(rng.random((len(rows), GRID * GRID)), axis=1)[:, :kept]
                part = np.stack(
                    [tokens[row, look][np.r_[0, 1 + some]] for row, look, some in zip(rows, looks, chosen, strict=True)]
                ).astype(np.float32)
                within = np.stack(
                    [inside[row, look][some] for row, look, some in zip(rows, looks, chosen, strict=True)]
                )
                within = within + 1e-6
                within /= within.sum(axis=1, keepdims=True)
                before = np.stack([early[row, look] for row, look in zip(rows, looks, strict=True)]).astype(np.float32)
                told.append([float(one) for one in step(part, before, within, truth[rows], weight[truth[rows]])])
            loss, right = np.mean(told, axis=0)
            print(f"{fold} epoch {epoch}: loss {loss:.3f} right {right:.3f} {time.time() - begun:.0f} s", flush=True)
        self.blocks.set_weights(net.get_weights())


def tail(tokens: int) -> keras.Model:
    """(tokens of block 7 (N, T, D), weights of the patches (N, T - 1)) → the features of blocks 9 and 11."""
    inputs = keras.Input((tokens, WIDTH)), keras.Input((tokens - 1,))
    x, inside = inputs[0], inputs[1][..., None]
    norm = layers.LayerNormalization(epsilon=EPSILON, name="norm", trainable=False)
    out = []
    for number in range(FROZEN, 12):
        x = _block(x, tokens, f"block{number:02d}")
        if number in {9, 11}:
            one = norm(x)
            out += [one[:, 0], ops.mean(one[:, 1:], axis=1), ops.sum(one[:, 1:] * inside, axis=1)]
    return keras.Model(inputs, ops.concatenate(out, axis=1))


def copy(source: keras.Model, target: keras.Model) -> None:
    for layer in target.layers:
        if layer.weights:
            layer.set_weights(source.get_layer(layer.name).get_weights())


def keep(out: Path, paths: list[Path]) -> None:
    """Writes tokens (n, looks, 257, 384) and early features (n, looks, 2304), float16, and patch weights, float32."""
    if (out / "done").is_file():
        return
    net = vit_backbone(blocks=(3, 6, 7))
    load_weights(net, "vits14")
    both = keras.Model(net.input, [net.output[:, : 6 * WIDTH], net.get_layer("block07_add2").output])
    run = tf.function(lambda shown: both(shown, training=False), reduce_retracing=True)
    shapes = {"tokens": (1 + GRID * GRID, WIDTH), "early": (6 * WIDTH,), "inside": (GRID * GRID,)}
    kept = {
        name: np.lib.format.open_memmap(
            out / f"{name}.npy",
            mode="w+",
            dtype=np.float32 if name == "inside" else np.float16,
            shape=(len(paths), len(LOOKS), *shape),
        )
        for name, shape in shapes.items()
    }
    localiser = Localiser.load(threads=1)
    asked = Preprocessing(side=SIDE, views=(VIEWS["grey-box"], VIEWS["grey-centre"]))
    rng = np.random.default_rng(0)
    with ThreadPoolExecutor(2) as pool:

        def seen(path: Path) -> NDArray[np.uint8]:
            rgb = read_photo(path, needed_side=asked.needed_side).rgb
            return np.asarray(make_views(rgb, localiser.locate(rgb), asked))

        for start in range(0, len(paths), 16):
            shown = np.stack(list(pool.map(seen, paths[start : start + 16])))
            looks = np.stack([shown[:, 0], np.stack([lit(one[0], rng) for one in shown]), shown[:, 1]], axis=1)
            flat = looks.reshape(-1, SIDE, SIDE, 3)
            early, tokens = run(tf.constant(flat))
            at = slice(start, start + len(shown))
            for name, values in (("tokens", tokens), ("early", early), ("inside", weights(flat))):
                kept[name][at] = np.asarray(values).reshape(len(shown), len(LOOKS), *shapes[name])
            if start % 320 == 0:
                print(f"tokens {start}", flush=True)
    for one in kept.values():
        one.flush()
    (out / "done").touch()


def away(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.abs(pixels.astype(np.float32) - BACKGROUND).max(axis=-1) > NEAR


def weights(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    share = away(pixels).reshape(-1, GRID, PATCH, GRID, PATCH).mean(axis=(2, 4)).reshape(len(pixels), -1)
    share = share + INSIDE_FLOOR
    return (share / share.sum(axis=1, keepdims=True)).astype(np.float32)


def lit(view: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """It mirrored, under a lamp of another colour and strength; the background stays as it is."""
    gain = np.exp(rng.normal(0, 0.10, 3) + rng.normal(0, 0.15))
    gamma = np.exp(rng.normal(0, 0.2))
    light = np.clip(255 * (view / 255.0) ** gamma * gain, 0, 255)
    out = np.where(away(view)[..., None], light.round(), view).astype(np.uint8)
    return np.ascontiguousarray(out[:, ::-1])


if __name__ == "__main__":
    main()
