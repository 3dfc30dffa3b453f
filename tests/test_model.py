"""The runtime behind `Model`: its numbers, and that a graph it cannot use is a BadBundleError."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from bundles import LABELS, PREPROCESSING, expected_logits, model_proto, write_bundle
from handlens.bundle import BadBundleError, open_bundle
from handlens.model import Model

SHAPE = (len(PREPROCESSING.views), PREPROCESSING.side, PREPROCESSING.side, 3)


def some_views(count: int, seed: int = 0) -> Any:
    generator = np.random.default_rng(seed)
    # Each photo about another colour, so that mixed-up rows would be seen.
    return np.clip(
        generator.normal(size=(count, *SHAPE)) * 20 + generator.integers(0, 256, (count, 1, 1, 1, 3)), 0, 255
    )


@pytest.fixture(scope="module")
def model(tiny_bundle: Path) -> Model:
    return Model(open_bundle(tiny_bundle), threads=1)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_logits_and_embedding_are_those_of_the_graph(model: Model, count: int) -> None:
    views = some_views(count).astype(np.uint8)
    scores = model.run(views)
    assert scores.logits.dtype == scores.embedding.dtype == np.float32
    assert scores.logits.shape == (count, len(LABELS))
    assert scores.embedding.shape == (count, 3)
    np.testing.assert_allclose(scores.logits, expected_logits(views), atol=2e-3)
    np.testing.assert_allclose(scores.embedding, views.mean(axis=(1, 2, 3)) / 255, atol=1e-5)


def test_it_runs_on_the_processor_only(model: Model) -> None:
    assert model.providers == ["CPUExecutionProvider"]


def test_several_threads_may_run_it(model: Model) -> None:
    photos = [some_views(1, seed).astype(np.uint8) for seed in range(24)]
    alone = [model.run(views).logits for views in photos]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda views: model.run(views).logits, photos))
    np.testing.assert_array_equal(together, alone)


def opened(tmp_path: Path, proto: Any) -> Any:
    return open_bundle(write_bundle(tmp_path / "b", graph=proto.SerializeToString()))


def test_a_graph_with_an_operator_that_there_is_not(tmp_path: Path) -> None:
    proto = model_proto()
    proto.graph.node[1].op_type = "NoSuchOperator"
    bundle = opened(tmp_path, proto)
    with pytest.raises(BadBundleError, match="the runtime refuses the graph"):
        Model(bundle)


def test_a_graph_whose_parts_do_not_fit(tmp_path: Path) -> None:
    proto = model_proto()
    proto.graph.node[0].input[0] = "nowhere"
    bundle = opened(tmp_path, proto)
    with pytest.raises(BadBundleError, match="the runtime refuses the graph"):
        Model(bundle)


def test_a_graph_that_takes_floats(tmp_path: Path) -> None:
    """Views of uint8 are the promise; the check of shapes alone would let this one through to the first photo."""
    proto = model_proto()
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    bundle = opened(tmp_path, proto)
    with pytest.raises(BadBundleError, match="types"):
        Model(bundle)


def test_a_graph_that_fails_while_it_runs(tmp_path: Path) -> None:
    proto = model_proto()
    # 3 numbers of one photo are no 7 by 3: seen only when there is a photo.
    proto.graph.initializer.append(helper.make_tensor("shape", TensorProto.INT64, [2], [7, 3]))
    proto.graph.node.insert(3, helper.make_node("Reshape", ["embedding", "shape"], ["reshaped"]))
    proto.graph.node[4].input[0] = "reshaped"
    made = Model(opened(tmp_path, proto))
    with pytest.raises(BadBundleError, match="cannot run the graph"):
        made.run(np.zeros((1, *SHAPE), np.uint8))


def test_a_graph_that_gives_other_shapes_than_it_says(tmp_path: Path) -> None:
    """The runtime only warns of that."""
    proto = model_proto()
    proto.graph.node[3].output[0] = "all"
    # Through a shape that is computed, so that the loader cannot tell it beforehand.
    proto.graph.node.append(helper.make_node("Shape", ["all"], ["shape_of_all"]))
    proto.graph.node.append(helper.make_node("Mul", ["shape_of_all", "half"], ["wrong_shape"]))
    proto.graph.initializer.append(helper.make_tensor("half", TensorProto.INT64, [2], [2, 1]))
    proto.graph.node.append(helper.make_node("Expand", ["one", "wrong_shape"], ["logits"]))
    proto.graph.initializer.append(helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]))
    made = Model(opened(tmp_path, proto))
    with pytest.raises(BadBundleError, match="for 1 photos"):
        made.run(np.zeros((1, *SHAPE), np.uint8))


@pytest.mark.parametrize("white", [0.0, float("nan")])
def test_a_graph_that_gives_no_numbers(tmp_path: Path, white: float) -> None:
    proto = model_proto()
    proto.graph.initializer[2].CopyFrom(helper.make_tensor("white", TensorProto.FLOAT, [], [white]))
    made = Model(opened(tmp_path, proto))
    with pytest.raises(BadBundleError, match="no numbers"):
        made.run(np.zeros((1, *SHAPE), np.uint8))


def test_only_the_format_that_was_checked_is_loaded(tmp_path: Path) -> None:
    """The runtime's own format is told by "ORTM" in the middle of a file, which a field of an ONNX file can hold."""
    producer = b"\x12\x08ORTMORTM"
    proto = model_proto()
    data = b"\x08\x08" + producer + proto.SerializeToString()
    assert data[4:8] == b"ORTM"
    bundle = open_bundle(write_bundle(tmp_path / "b", graph=data))
    views = some_views(1).astype(np.uint8)
    np.testing.assert_allclose(Model(bundle).run(views).logits, expected_logits(views), atol=2e-3)
