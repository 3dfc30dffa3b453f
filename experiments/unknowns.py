"""Scores that tell what the model does not know from what it knows, on the embeddings of the bundle that ships.

    python -m experiments.unknowns OUT [--far FOLDER ...]
    python -m experiments.unknowns OUT --write

Known: photos of the split `train` by photographers that the head of their fold has not seen. Near unknowns: half B of
`others`, without varieties and members of known species, compared within one origin and weighed by its known photos.
Far unknowns: pictures that scikit-image, scikit-learn and matplotlib ship, their quarters, and drawn ones (blank,
noise, clouds, gradients, text, shapes, plots); `--far` adds those of folders. All are made 256 px and one JPEG quality
first, or the file is told in place of what it shows.

Scores that learn from unknowns (`exposed`) see half A of `others`: of all origins, or (`strict`) of none that is
judged; `exposed to far` also sees the pictures of the first `--far` folder, whose area is then no test. OUT keeps
embeddings.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from experiments.features import MANIFEST
from handlens.evaluation.protocol import photographer_folds
from handlens.evaluation.unknowns import unknown_minerals
from handlens.identifier import Identifier
from handlens.minerals import KnowledgeBase
from handlens.photo import PhotoError
from handlens.training.head import HeadSettings, fit_head
from handlens.training.samples import read_samples, with_split

SIDE: Final = 256
QUALITY: Final = 85
DIRECTIONS: Final = 256
LEAST: Final = 5
PICTURES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif"})
Scores = dict[str, NDArray[np.float64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--far", type=Path, nargs="*", default=[])
    parser.add_argument("--write", action="store_true", help="only write the far pictures into OUT, for other judges")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.write:
        for at, (_, picture) in enumerate(shipped()):
            picture.convert("RGB").save(options.out / f"{at:04d}.png")
        return
    with MANIFEST.open(newline="", encoding="utf-8") as file:
        rows = {row["file"]: row for row in csv.DictReader(file) if row["split"] in {"train", "others"}}
    names, embeddings = kept(options.out / "photos.npz", ((name, opened(MANIFEST.parent / name)) for name in rows))
    far = {"far, shipped and drawn": kept(options.out / "far.npz", shipped())[1]}
    for folder in options.far:
        far[folder.name] = kept(options.out / f"far-{folder.name}.npz", found(folder))[1]

    table = [rows[str(name)] for name in names]
    label, origin, group, half, split, usable = (
        np.array([row[key] for row in table]) for key in ("label", "origin", "group", "half", "split", "usable")
    )
    train = np.flatnonzero(split == "train")
    samples = {sample.file: sample for sample in with_split(read_samples(MANIFEST), "train")}
    folds = photographer_folds([samples[str(name)] for name in names[train]])
    listed = with_split(read_samples(MANIFEST), "others")
    unknown_files = {one.file for one in unknown_minerals(listed, sorted(set(label[train])), KnowledgeBase.load())}
    unknown = np.array([str(name) in unknown_files for name in names])
    seen, unseen = np.flatnonzero(unknown & (half == "A")), np.flatnonzero(unknown & (half == "B"))
    print(f"{len(train)} known, {len(seen)} and {len(unseen)} near unknowns; far {', '.join(map(str, far))}")

    areas: dict[str, list[tuple[str, int, float]]] = defaultdict(list)
    for fold in np.unique(folds):
        here = folds == fold
        judged = train[here & (usable[train] != "no")]
        learnt = ~here & ~np.isin(group[train], group[train[here]])
        taught = train[learnt]
        strict = seen[~np.isin(origin[seen], origin[judged])]
        asked = {"known": embeddings[judged], "near": embeddings[unseen], **far}
        models = Models(embeddings[taught], label[taught], folds[learnt])
        exposure = {
            "exposed, strict": embeddings[strict],
            "exposed": embeddings[seen],
        }
        if options.far:
            exposure["exposed to far"] = np.concatenate([embeddings[seen], far[options.far[0].name]])
        models.expose(exposure)
        scores = {key: models.scores(values) for key, values in asked.items()}
        for name in scores["known"]:
            for one in np.unique(origin[judged]):
                ours, theirs = origin[judged] == one, origin[unseen] == one
                if min(ours.sum(), theirs.sum()) >= LEAST:
                    area = separation(scores["known"][name][ours], scores["near"][name][theirs])
                    areas[name].append((f"near {one}", int(ours.sum()), area))
            for key in far:
                areas[name].append((key, len(judged), separation(scores["known"][name], scores[key][name])))
    print("area under the ROC curve; near is the mean over origins, weighed by their known photos")
    for name, told in areas.items():
        near = [(size, area) for key, size, area in told if key.startswith("near ")]
        line = f"{name:16} near {np.average([area for _, area in near], weights=[size for size, _ in near]):.3f}"
        for key in far:
            line += f"  {key} {np.mean([area for its, _, area in told if its == key]):.3f}"
        print(line, " ".join(f"{key[5:]} {area:.2f}" for key, size, area in told if key[:5] == "near " and size > 20))


class Models:
    """What is fitted on the embeddings of known photos; every score is higher for what is known."""

    def __init__(self, shown: NDArray[np.float32], labels: NDArray[np.str_], folds: NDArray[np.str_]) -> None:
        self.head = fit_head(shown, labels, HeadSettings(nuisance=16), folds)
        self.mean, self.deviation = shown.mean(axis=0), shown.std(axis=0) + 1e-6
        self.shown = (shown - self.mean) / self.deviation
        self.pca = PCA(DIRECTIONS, random_state=0).fit(self.shown)
        inner = self.pca.transform(self.shown)
        _, places = np.unique(labels, return_inverse=True)
        self.centres = np.stack([inner[places == place].mean(axis=0) for place in range(places.max() + 1)])
        self.within = LedoitWolf().fit(inner - self.centres[places]).precision_
        self.all = LedoitWolf().fit(inner).precision_
        self.neighbours = inner / np.linalg.norm(inner, axis=1, keepdims=True)
        self.exposed: dict[str, LogisticRegression] = {}

    def expose(self, exposure: dict[str, NDArray[np.float32]]) -> None:
        """Fits, for each, what tells the known photos from these; both sides weigh the same."""
        for name, others in exposure.items():
            both = np.concatenate([self.shown, (others - self.mean) / self.deviation])
            is_known = np.arange(len(both)) < len(self.shown)
            regression = LogisticRegression(C=3e-4, max_iter=300, class_weight="balanced")
            self.exposed[name] = regression.fit(both, is_known)

    def scores(self, embeddings: NDArray[np.float32]) -> Scores:
        """All scores of photos."""
        asked = (embeddings - self.mean) / self.deviation
        inner = self.pca.transform(asked)
        logits = self.head.logits(embeddings) / 0.7
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        best = -np.sort(-shares, axis=1)[:, :20]
        away = inner[:, np.newaxis] - self.centres
        distance = np.stack([((one @ self.within) * one).sum(axis=1) for one in away])
        overall = ((inner @ self.all) * inner).sum(axis=1)
        near = np.sort((inner / np.linalg.norm(inner, axis=1, keepdims=True)) @ self.neighbours.T, axis=1)
        return {
            "probability": best[:, 0],
            "energy": np.log(np.exp(logits).sum(axis=1)),
            "GEN": -((best**0.1) * ((1 - best) ** 0.1)).sum(axis=1),
            "10th neighbour": near[:, -10],
            "Mahalanobis": -distance.min(axis=1),
            "relative Mah.": -(distance.min(axis=1) - overall),
            "residual": -np.square(asked - self.pca.inverse_transform(inner)).sum(axis=1),
            "norm": -np.square(asked).sum(axis=1),
            **{name: one.decision_function(asked) for name, one in self.exposed.items()},
        }


def separation(known: NDArray[np.float64], unknown: NDArray[np.float64]) -> float:
    truth = np.arange(len(known) + len(unknown)) < len(known)
    return float(roc_auc_score(truth, np.concatenate([known, unknown])))


def kept(path: Path, pictures: Iterator[tuple[str, Image.Image]]) -> tuple[NDArray[np.str_], NDArray[np.float32]]:
    """Names and embeddings (n, D) of pictures, from `path` where they were kept."""
    if not path.is_file():
        identifier = Identifier.load()
        names, embeddings = [], []
        for name, picture in tqdm(pictures, desc=path.name, unit="picture"):
            picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
            file = io.BytesIO()
            picture.save(file, "JPEG", quality=QUALITY)
            try:
                _, views = identifier.views(file.getvalue(), name=name)
            except PhotoError as error:
                print(name, error)
                continue
            names.append(name)
            embeddings.append(identifier.score(views).embedding[0].astype(np.float16))
        temporary = path.with_suffix(".part.npz")
        np.savez(temporary, names=np.array(names), embeddings=np.stack(embeddings))
        temporary.replace(path)
    stored = np.load(path)
    return stored["names"], stored["embeddings"].astype(np.float32)


def opened(path: Path) -> Image.Image:
    """RGB; what is transparent lies on white."""
    with Image.open(path) as picture:
        coloured = picture.convert("RGBA")
    white = Image.new("RGBA", coloured.size, "white")
    white.alpha_composite(coloured)
    return white.convert("RGB")


def found(folder: Path) -> Iterator[tuple[str, Image.Image]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in PICTURES and path.is_file():
            yield str(path.relative_to(folder)), opened(path)


def shipped() -> Iterator[tuple[str, Image.Image]]:
    """Pictures of libraries and drawn ones, always the same."""
    import matplotlib
    import skimage.data
    import sklearn

    matplotlib.use("Agg")
    folders = {
        "skimage": Path(skimage.data.__file__).parent,
        "sklearn": Path(sklearn.__file__).parent / "datasets" / "images",
        "matplotlib": Path(matplotlib.__file__).parent / "mpl-data" / "sample_data",
    }
    for library, folder in folders.items():
        for name, picture in found(folder):
            yield f"{library}/{name}", picture.copy()
            width, height = picture.size
            if min(width, height) >= 300:
                for x in (0, width // 2):
                    for y in (0, height // 2):
                        quarter = picture.crop((x, y, x + width // 2, y + height // 2))
                        yield f"{library}/{name} at {x}, {y}", quarter
    faces = np.load(folders["skimage"] / "lfw_subset.npy")
    for place in range(0, 100, 20):
        face = Image.fromarray((255 * faces[place]).astype(np.uint8)).convert("RGB")
        yield f"skimage/face {place}", face.resize((250, 250), Image.Resampling.BICUBIC)
    yield from drawn()


def drawn() -> Iterator[tuple[str, Image.Image]]:
    rng = np.random.default_rng(0)

    def colour() -> tuple[int, ...]:
        return tuple(int(one) for one in rng.integers(0, 256, 3))

    for at, name in enumerate(("white", "black", "grey", "firebrick", "royalblue", "seagreen", "wheat")):
        yield f"blank {at}", Image.new("RGB", (320, 240), name)
    for at in range(6):
        yield f"noise {at}", Image.fromarray(rng.integers(0, 256, (240, 320, 3), np.uint8))
        few = Image.fromarray(rng.integers(0, 256, (4 << at % 3, 4 << at % 3, 3), np.uint8))
        yield f"cloud {at}", few.resize((320, 240), Image.Resampling.BICUBIC)
        slope = np.linspace(0, 255, 320)[np.newaxis, :, np.newaxis] * rng.random(3) * np.ones((240, 1, 1))
        yield f"gradient {at}", Image.fromarray(slope.astype(np.uint8))
    words = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "nobody", "answers"]
    for at in range(8):
        page = Image.new("RGB", (400, 300), "white" if at % 2 else "linen")
        pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=12 + 4 * at)
        for y in range(10, 300, 16 + 5 * at):
            pen.text((10, y), " ".join(rng.choice(words, 10)), fill="black", font=font)
        yield f"text {at}", page
    for at in range(8):
        page = Image.new("RGB", (320, 240), colour())
        pen = ImageDraw.Draw(page)
        for _ in range(3 + 4 * at):
            x, y, side = (int(one) for one in rng.integers((0, 0, 10), (300, 220, 120)))
            (pen.ellipse if rng.random() < 0.5 else pen.rectangle)((x, y, x + side, y + side), fill=colour())
        yield f"shapes {at}", page
    from matplotlib import pyplot

    for at in range(6):
        figure, axes = pyplot.subplots(figsize=(5, 4))
        axes.plot(rng.random(50).cumsum()) if at % 2 else axes.bar(range(8), rng.random(8))
        file = io.BytesIO()
        figure.savefig(file, format="png")
        pyplot.close(figure)
        yield f"plot {at}", Image.open(file).convert("RGB")


if __name__ == "__main__":
    main()
