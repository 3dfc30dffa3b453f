"""The last blocks of ViT-S/14 trained from kept tokens, leave-one-fold-out: what fine-tuning is worth on strangers.

    python -m experiments.finetune OUT --tokens KEPT [--first 8] [--folds fuse-flickr ...] [--epochs 5] [--rate 5e-5]

Everything up to block 5 is frozen, so its tokens are kept once (`KEPT/tokens.npy`) for several looks at each photo: the
greyed box, the middle 0.7 of it, and random parts of the box, mirrored or not, under other lights. A head is fitted on
the frozen features, as `handlens train` does; then the blocks from `--first` on and it are trained together (linear
probing, then fine-tuning: A. Kumar et al., ICLR 2022), each step on some of the patches of one of the looks. The
weights are mixed with the pretrained ones (`--mix`; M. Wortsman et al., CVPR 2022), and a head is fitted anew on the
features of each mixture. With `--exposure` half A of `others` is shown too, for which all labels shall be alike (D.
Hendrycks, M. Mazeika and T. Dietterich, ICLR 2019); none of the origins that are held out. `OUT/<fold>-<mix>.npz` keeps
the held-out log-probabilities, of the greyed box and (`centre`) of its middle.
"""

from __future__ import annotations

import argparse
import csv
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
from PIL import Image

from experiments.features import MANIFEST, VIEWS
from experiments.heads import report
from handlens.evaluation.protocol import photographer_folds
from handlens.identifier import ORIGIN_TEN
from handlens.photo import read_photo
from handlens.specimen_localiser import Localiser
from handlens.training.head import HeadSettings, LinearHead, fit_head
from handlens.training.samples import read_samples, with_split
from handlens.training.vit import BACKGROUND, EPSILON, INSIDE_FLOOR, NEAR, PATCH, WIDTH, vit_backbone, vit_block
from handlens.training.weights import load_weights
from handlens.views import Preprocessing, make_views

FROZEN: Final = 6
SIDE: Final = 224
LARGE: Final = 320
"""Pixels of the greyed box that random parts are cut from."""
GRID: Final = SIDE // PATCH
LOOKS: Final = 6
"""The greyed box, its middle, and random parts."""
HEAD: Final = HeadSettings(nuisance=16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokens", type=Path, required=True)
    parser.add_argument("--folds", nargs="+", default=["fuse-flickr", "rest", "kaggle-minet", "commons", "minerobo"])
    parser.add_argument("--first", type=int, default=8, help="the first block that is trained")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=5e-5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--kept", type=float, default=0.5, help="of the patches in a step")
    parser.add_argument("--smoothing", type=float, default=0.1)
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--exposure", type=float, default=0.0, help="weight of unknown minerals")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mix", type=float, nargs="+", default=[1.0])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    samples = with_split(read_samples(MANIFEST), "train")
    with MANIFEST.open(newline="", encoding="utf-8") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    others = [name for name, row in rows.items() if row["split"] == "others" and row["half"] == "A"]
    keep(options.tokens, [*(sample.path for sample in samples), *(MANIFEST.parent / name for name in others)])
    looks = tuple(np.load(options.tokens / f"{name}.npy", mmap_mode="r") for name in ("tokens", "early", "inside"))
    count = len(samples)
    labels = np.array([sample.label for sample in samples])
    usable = np.array([sample.usable for sample in samples])
    groups = np.array([sample.group for sample in samples])
    origin = np.array([rows[sample.file]["origin"] for sample in samples])
    theirs = np.array([rows[name]["origin"] for name in others])
    folds = photographer_folds(samples)
    names = np.unique(labels)
    kinds = [(mix, look) for mix in (0.0, *options.mix) for look in ("box", "centre", "both")]
    found = {kind: np.full((len(labels), len(names)), -30.0) for kind in kinds}
    done = np.zeros(len(labels), bool)
    for fold in options.folds:
        here = folds == fold
        train = np.flatnonzero(~here & ~np.isin(groups, groups[here]))
        judged = np.flatnonzero(here & usable)
        done[judged] = True
        tuner = Tuner(options)
        first = [tuner.features(*(part[:count, look] for part in looks)) for look in (0, 1)]
        head = fit_head(first[0][train], labels[train], HEAD, folds[train])
        put(found, 0.0, first, train, judged, labels, folds, names)
        path = options.out / f"{fold}.weights.h5"
        if path.is_file():
            tuner.blocks.load_weights(path)
        else:
            shown = count + np.flatnonzero(~np.isin(theirs, origin[judged]))
            tuner.train(looks, train, labels, head, shown, fold)
            tuner.blocks.save_weights(path)
        tuned = [np.asarray(weight) for weight in tuner.blocks.get_weights()]
        for mix in options.mix:
            tuner.blocks.set_weights([a + mix * (b - a) for a, b in zip(tuner.pretrained, tuned, strict=True)])
            features = [tuner.features(*(part[:count, look] for part in looks)) for look in (0, 1)]
            put(found, mix, features, train, judged, labels, folds, names)
            kept = {look: found[mix, look][judged] for look in ("box", "centre")}
            np.savez(options.out / f"{fold}-{mix:g}.npz", judged=judged, **kept)
        for kind, logits in found.items():
            print(fold, *kind, flush=True)
            show(logits[judged], labels[judged], folds[judged], names)
    for kind, logits in found.items():
        print("all folds, of the way:", *kind, flush=True)
        show(logits[done], labels[done], folds[done], names)


def show(
    logits: NDArray[np.float64], labels: NDArray[np.str_], folds: NDArray[np.str_], names: NDArray[np.str_]
) -> None:
    report("all", logits, np.searchsorted(names, labels), folds)
    ten = np.array(sorted(ORIGIN_TEN))
    among = np.isin(labels, ten)
    report("ten", logits[among][:, np.searchsorted(names, ten)], np.searchsorted(ten, labels[among]), folds[among])


def put(
    found: dict[tuple[float, str], NDArray[np.float64]],
    mix: float,
    features: list[NDArray[np.float32]],
    train: NDArray[np.intp],
    judged: NDArray[np.intp],
    labels: NDArray[np.str_],
    folds: NDArray[np.str_],
    names: NDArray[np.str_],
) -> None:
    """Log-probabilities of the two looks, each with a head of its own, and their mean."""
    for look, shown in zip(("box", "centre"), features, strict=True):
        head = fit_head(shown[train], labels[train], HEAD, folds[train])
        logits = head.logits(shown[judged])
        logits = logits - logits.max(axis=1, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
        found[mix, look][np.ix_(judged, np.searchsorted(names, head.labels))] = logits
    found[mix, "both"][judged] = (found[mix, "box"][judged] + found[mix, "centre"][judged]) / 2


class Tuner:
    """The blocks after the frozen ones."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        net = vit_backbone(blocks=(11,))
        load_weights(net, "vits14")
        self.blocks = tail(1 + GRID * GRID)
        keras.config.set_dtype_policy("mixed_bfloat16")
        self.short = tail(1 + round(options.kept * GRID * GRID), first=options.first)
        keras.config.set_dtype_policy("float32")
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

    def train(
        self,
        looks: tuple[Any, ...],
        train: NDArray[np.intp],
        labels: NDArray[np.str_],
        head: LinearHead,
        others: NDArray[np.intp],
        fold: str,
    ) -> None:
        """Trains the blocks on the photos `train`, with a copy of the head that is thrown away."""
        options = self.options
        rng = np.random.default_rng(options.seed)
        truth = np.searchsorted(head.labels, labels)
        counts = np.bincount(truth[train], minlength=len(head.labels))
        weight = (len(train) / (len(head.labels) * counts)).astype(np.float32)
        net = self.short
        classes = len(head.labels)
        steps = options.epochs * (len(train) // options.batch)
        rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=options.rate, warmup_steps=steps // 10)
        optimiser = keras.optimizers.AdamW(rate, weight_decay=options.decay, clipnorm=1.0)
        optimiser.build([*net.trainable_variables])
        head_optimiser = keras.optimizers.Adam(rate)
        matrix, bias = keras.Variable(head.weights), keras.Variable(head.bias)
        head_optimiser.build([matrix, bias])
        more = round(options.batch / 4) if options.exposure else 0

        @tf.function
        def step(part: Any, before: Any, within: Any, target: Any, weights: Any) -> Any:
            with tf.GradientTape() as tape:
                late = tf.cast(net((part, within), training=True), tf.float32)
                logits = tf.concat([before, late], axis=1) @ matrix.value + bias.value
                losses = tf.nn.softmax_cross_entropy_with_logits(target, logits)
                loss = tf.reduce_sum(losses * weights) / tf.reduce_sum(weights)
            both = tape.gradient(loss, [*[one.value for one in net.trainable_variables], matrix.value, bias.value])
            optimiser.apply(both[:-2])
            head_optimiser.apply(both[-2:])
            return loss, tf.reduce_mean(tf.cast(tf.argmax(logits, 1) == tf.argmax(target, 1), tf.float32))

        kept = round(options.kept * GRID * GRID)
        tokens, early, inside = looks
        with ThreadPoolExecutor(1) as pool:

            def batch(rows: NDArray[np.intp]) -> tuple[Any, ...]:
                known = len(rows)
                rows = np.r_[rows, rng.choice(others, more)] if more else rows
                ways = rng.integers(0, LOOKS, len(rows))
                chosen = np.argsort(rng.random((len(rows), GRID * GRID)), axis=1)[:, :kept]
                each = list(zip(rows, ways, chosen, strict=True))
                part = np.stack([tokens[row, way][np.r_[0, 1 + some]] for row, way, some in each]).astype(np.float32)
                within = np.stack([inside[row, way][some] for row, way, some in each]) + 1e-6
                within /= within.sum(axis=1, keepdims=True)
                before = np.stack([early[row, way] for row, way, _ in each]).astype(np.float32)
                target = np.full((len(rows), classes), 1 / classes, np.float32)
                target[:known] *= options.smoothing
                target[np.arange(known), truth[rows[:known]]] += 1 - options.smoothing
                weights = np.full(len(rows), options.exposure, np.float32)
                weights[:known] = weight[truth[rows[:known]]]
                return part, before, within, target, weights

            for epoch in range(options.epochs):
                begun, told = time.time(), []
                order = rng.permutation(train)
                starts = range(0, len(order) - options.batch + 1, options.batch)
                waiting = pool.submit(batch, order[: options.batch])
                for at in starts:
                    given = waiting.result()
                    waiting = pool.submit(batch, order[at + options.batch : at + 2 * options.batch])
                    told.append([float(one) for one in step(*given)])
                waiting.result()
                loss, right = np.mean(told, axis=0)
                print(
                    f"{fold} epoch {epoch}: loss {loss:.3f} right {right:.3f} {time.time() - begun:.0f} s", flush=True
                )
        copy(net, self.blocks)


def tail(tokens: int, *, first: int = FROZEN) -> keras.Model:
    """(tokens of block 5 (N, T, D), weights of the patches (N, T - 1)) → the features of blocks 6, 9 and 11.

    What is before the block `first` is not trained.
    """
    inputs = keras.Input((tokens, WIDTH)), keras.Input((tokens - 1,))
    x, inside = inputs[0], inputs[1][..., None]
    norm = layers.LayerNormalization(epsilon=EPSILON, name="norm", trainable=False)
    out = []
    for number in range(FROZEN, 12):
        x = vit_block(x, tokens, f"block{number:02d}")
        if number in {6, 9, 11}:
            one = norm(x)
            weight = ops.cast(inside, one.dtype)
            out += [one[:, 0], ops.mean(one[:, 1:], axis=1), ops.sum(one[:, 1:] * weight, axis=1)]
    net = keras.Model(inputs, ops.concatenate(out, axis=1))
    for layer in net.layers:
        if layer.name[:5] == "block" and int(layer.name[5:7]) < first:
            layer.trainable = False
    return net


def copy(source: keras.Model, target: keras.Model) -> None:
    for layer in target.layers:
        if layer.weights:
            layer.set_weights(source.get_layer(layer.name).get_weights())


def keep(out: Path, paths: list[Path]) -> None:
    """Writes tokens (n, looks, 257, 384) and early features (n, looks, 1152), float16, and patch weights, float32."""
    if (out / "done").is_file():
        return
    out.mkdir(parents=True, exist_ok=True)
    net = vit_backbone(blocks=(3, 5))
    load_weights(net, "vits14")
    both = keras.Model(net.input, [net.output[:, : 3 * WIDTH], net.get_layer(f"block{FROZEN - 1:02d}_add2").output])
    run = tf.function(lambda shown: both(shown, training=False), reduce_retracing=True)
    shapes = {"tokens": (1 + GRID * GRID, WIDTH), "early": (3 * WIDTH,), "inside": (GRID * GRID,)}
    kept = {
        name: np.lib.format.open_memmap(
            out / f"{name}.npy",
            mode="w+",
            dtype=np.float32 if name == "inside" else np.float16,
            shape=(len(paths), LOOKS, *shape),
        )
        for name, shape in shapes.items()
    }
    localiser = Localiser.load(threads=1)
    asked = Preprocessing(side=SIDE, views=(VIEWS["grey-box"], VIEWS["grey-centre"]))
    large = Preprocessing(side=LARGE, views=(VIEWS["grey-box"],))
    with ThreadPoolExecutor(2) as pool:

        def seen(place: int) -> NDArray[np.uint8]:
            rng = np.random.default_rng(place)
            rgb = read_photo(paths[place], needed_side=large.needed_side).rgb
            specimen = localiser.locate(rgb)
            whole = make_views(rgb, specimen, large)[0]
            parts = [lit(part(whole, rng), rng) for _ in range(LOOKS - 2)]
            return np.stack([*make_views(rgb, specimen, asked), *parts])

        for start in range(0, len(paths), 8):
            shown = np.stack(list(pool.map(seen, range(start, min(start + 8, len(paths))))))
            flat = shown.reshape(-1, SIDE, SIDE, 3)
            early, tokens = run(tf.constant(flat))
            at = slice(start, start + len(shown))
            for name, values in (("tokens", tokens), ("early", early), ("inside", weights(flat))):
                kept[name][at] = np.asarray(values).reshape(len(shown), LOOKS, *shapes[name])
            if start % 320 == 0:
                print(f"tokens {start}", flush=True)
    for one in kept.values():
        one.flush()
    (out / "done").touch()


def part(view: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A random square of it, (SIDE, SIDE, 3), mirrored or not."""
    side = rng.uniform(0.55, 1) * len(view)
    left, top = rng.uniform(0, len(view) - side, 2)
    area = (left, top, left + side, top + side)
    out = np.asarray(Image.fromarray(view).resize((SIDE, SIDE), Image.Resampling.BICUBIC, area))
    return np.ascontiguousarray(out[:, ::-1]) if rng.random() < 0.5 else out


def away(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.abs(pixels.astype(np.float32) - BACKGROUND).max(axis=-1) > NEAR


def weights(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    share = away(pixels).reshape(-1, GRID, PATCH, GRID, PATCH).mean(axis=(2, 4)).reshape(len(pixels), -1)
    share = share + INSIDE_FLOOR
    return (share / share.sum(axis=1, keepdims=True)).astype(np.float32)


def lit(view: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """It under a lamp of another colour and strength; the background stays as it is."""
    gain = np.exp(rng.normal(0, 0.10, 3) + rng.normal(0, 0.15))
    gamma = np.exp(rng.normal(0, 0.2))
    light = np.clip(255 * (view / 255.0) ** gamma * gain, 0, 255)
    return np.where(away(view)[..., None], light.round(), view).astype(np.uint8)


if __name__ == "__main__":
    main()
