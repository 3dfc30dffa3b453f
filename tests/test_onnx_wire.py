"""`read_graph`: true shapes, external data wherever the format lets it hide, and damage of every kind."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from bundles import LABELS, PREPROCESSING, as_model, graph_bytes, model_proto
from handlens.onnx_wire import BadGraphError, read_graph


def serialized(model: Any) -> bytes:
    return bytes(model.SerializeToString(deterministic=True))


def outside(name: str = "w") -> TensorProto:
    """A tensor whose numbers are in another file."""
    tensor = TensorProto(name=name, dims=[3], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../secret"
    return tensor


def inside(name: str = "w") -> TensorProto:
    return numpy_helper.from_array(np.ones(3, np.float32), name)


def info(name: str, *shape: int | str | None) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def a_graph(*nodes: Any, **options: Any) -> Any:
    nodes = nodes or (helper.make_node("Identity", ["x"], ["y"]),)
    return helper.make_graph(list(nodes), "g", [info("x", 3)], [info("y", 3)], **options)


def constant(tensor: TensorProto) -> Any:
    return helper.make_node("Constant", [], ["y"], value=tensor)


def in_initializer(tensor: TensorProto) -> ModelProto:
    return as_model(a_graph(initializer=[tensor]))


def in_sparse_values(tensor: TensorProto) -> ModelProto:
    indices = numpy_helper.from_array(np.arange(3), "i")
    return as_model(a_graph(sparse_initializer=[helper.make_sparse_tensor(tensor, indices, [9])]))


def in_sparse_indices(tensor: TensorProto) -> ModelProto:
    return as_model(a_graph(sparse_initializer=[helper.make_sparse_tensor(inside(), tensor, [9])]))


def in_node(tensor: TensorProto) -> ModelProto:
    return as_model(a_graph(constant(tensor)))


def in_list_attribute(tensor: TensorProto) -> ModelProto:
    return as_model(a_graph(helper.make_node("Odd", [], ["y"], values=[inside(), tensor])))


def in_sparse_attribute(tensor: TensorProto) -> ModelProto:
    indices = numpy_helper.from_array(np.arange(3), "i")
    sparse = helper.make_sparse_tensor(tensor, indices, [9])
    return as_model(a_graph(helper.make_node("Constant", [], ["y"], sparse_value=sparse)))


def in_sparse_list_attribute(tensor: TensorProto) -> ModelProto:
    indices = numpy_helper.from_array(np.arange(3), "i")
    sparse = helper.make_sparse_tensor(tensor, indices, [9])
    return as_model(a_graph(helper.make_node("Odd", [], ["y"], values=[sparse, sparse])))


def in_branch(tensor: TensorProto) -> ModelProto:
    branch = helper.make_graph([constant(tensor)], "branch", [], [info("y", 3)])
    twice = helper.make_graph(
        [helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)], "twice", [], [info("y", 3)]
    )
    return as_model(a_graph(helper.make_node("If", ["c"], ["y"], then_branch=twice, else_branch=twice)))


def in_list_of_graphs(tensor: TensorProto) -> ModelProto:
    branch = helper.make_graph([constant(tensor)], "branch", [], [info("y", 3)])
    return as_model(a_graph(helper.make_node("Odd", [], ["y"], branches=[branch])))


def a_function(*nodes: Any) -> Any:
    return helper.make_function("own", "f", ["x"], ["y"], list(nodes), [helper.make_opsetid("", 17)])


def in_function(tensor: TensorProto) -> ModelProto:
    model = as_model(a_graph())
    model.functions.append(a_function(constant(tensor)))
    return model


def in_function_default(tensor: TensorProto) -> ModelProto:
    model = as_model(a_graph())
    function = a_function(helper.make_node("Identity", ["x"], ["y"]))
    function.attribute_proto.append(helper.make_attribute("value", tensor))
    model.functions.append(function)
    return model


def in_training(tensor: TensorProto) -> ModelProto:
    model = as_model(a_graph())
    model.training_info.add().algorithm.CopyFrom(a_graph(initializer=[tensor]))
    model.training_info.add().initialization.CopyFrom(a_graph(initializer=[tensor]))
    return model


PLACES = [
    in_initializer,
    in_sparse_values,
    in_sparse_indices,
    in_node,
    in_list_attribute,
    in_sparse_attribute,
    in_sparse_list_attribute,
    in_branch,
    in_list_of_graphs,
    in_function,
    in_function_default,
    in_training,
]


@pytest.mark.parametrize("place", PLACES)
def test_a_tensor_is_fine_everywhere_and_external_data_nowhere(place: Any) -> None:
    assert read_graph(serialized(place(inside()))).inputs == {"x": (3,)}
    with pytest.raises(BadGraphError, match="external data"):
        read_graph(serialized(place(outside())))


def test_either_sign_of_external_data_is_enough() -> None:
    for flag_only in (True, False):
        tensor = outside()
        tensor.ClearField("external_data" if flag_only else "data_location")
        with pytest.raises(BadGraphError, match="external data"):
            read_graph(serialized(in_initializer(tensor)))


def test_the_place_that_says_inside_is_no_external_data() -> None:
    tensor = inside()
    tensor.data_location = TensorProto.DEFAULT
    assert read_graph(serialized(in_initializer(tensor))).outputs == {"y": (3,)}


# Shapes


def test_the_shapes_of_a_classifier() -> None:
    found = read_graph(graph_bytes())
    assert found.inputs == {"views": (None, 2, PREPROCESSING.side, PREPROCESSING.side, 3)}
    assert found.outputs == {"logits": (None, len(LABELS)), "embedding": (None, 3)}


def test_free_and_missing_dimensions() -> None:
    graph = helper.make_graph([], "g", [info("a", "N", None, 7), info("b")], [info("c", 2**40)])
    found = read_graph(serialized(as_model(graph)))
    assert found.inputs == {"a": (None, None, 7), "b": ()}
    assert found.outputs == {"c": (2**40,)}


def test_a_thousand_initializers() -> None:
    model = as_model(a_graph(initializer=[inside(f"w{number}") for number in range(1000)]))
    assert read_graph(serialized(model)).inputs == {"x": (3,)}


# Damage


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(tag: int, content: bytes) -> bytes:
    return varint(tag) + varint(len(content)) + content


MODEL_GRAPH, GRAPH_INITIALIZER = 7 << 3 | 2, 5 << 3 | 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\xff",
        b"\x80" * 11,
        b"PK\3\4 an archive",
        b"<html></html>",
        b"\x89HDF\r\n\x1a\n",
        bytes(4096),
        field(MODEL_GRAPH, b"") * 2,
        varint(MODEL_GRAPH) + varint(2**63) + b"x",
        varint(MODEL_GRAPH) + b"\x05abc",
        varint(7 << 3 | 3),
        varint(7 << 3 | 4),
        varint(7 << 3 | 7),
        field(MODEL_GRAPH, field(11 << 3 | 2, field(1 << 3 | 2, b"\xff\xfe is no text"))),
    ],
)
def test_other_bytes_are_no_graph(data: bytes) -> None:
    with pytest.raises(BadGraphError):
        read_graph(data)


def test_a_tag_longer_than_32_bits_hides_no_tensor() -> None:
    """Runtimes keep 32 bits of a tag: to them it is the tag of an initializer, to a careless reader another field."""
    graph = serialized(a_graph())
    plain = field(MODEL_GRAPH, graph + field(GRAPH_INITIALIZER, serialized(outside())))
    hidden = field(MODEL_GRAPH, graph + field(GRAPH_INITIALIZER + 2**32, serialized(outside())))
    hidden_graph = field(MODEL_GRAPH, graph) + field(MODEL_GRAPH + 2**32, plain)
    for data in (plain, hidden, hidden_graph):
        with pytest.raises(BadGraphError):
            read_graph(data)


def nested(levels: int) -> bytes:
    """Branches within branches, built from the inside out."""
    graph = serialized(a_graph())
    for _ in range(levels):
        attribute = field(6 << 3 | 2, graph)
        graph = field(1 << 3 | 2, field(5 << 3 | 2, attribute))
    return field(MODEL_GRAPH, graph)


def test_deep_nesting_is_refused_before_the_stack_ends() -> None:
    assert read_graph(nested(8)).inputs == {}
    for levels in (12, 400, 3000):
        with pytest.raises(BadGraphError, match="deeply"):
            read_graph(nested(levels))


def test_every_cut_is_refused_or_read() -> None:
    data = graph_bytes()
    whole = read_graph(data)
    refused = 0
    for length in range(len(data)):
        try:
            assert read_graph(data[:length]) == whole  # only what follows the graph is missing
        except BadGraphError:
            refused += 1
    assert refused > 0.9 * len(data)


@pytest.mark.parametrize("seed", range(4))
def test_mutations_raise_nothing_but_bad_graph(seed: int) -> None:
    chance = random.Random(seed)
    originals = [graph_bytes(), *(serialized(place(inside())) for place in PLACES)]
    refused = 0
    for _ in range(500):
        data = bytearray(chance.choice(originals))
        for _ in range(chance.choice((1, 2, 8))):
            place = chance.randrange(len(data))
            match chance.randrange(4):
                case 0:
                    data[place] ^= 1 << chance.randrange(8)
                case 1:
                    data[place] = chance.choice((0, 127, 128, 255))
                case 2:
                    data[place:place] = chance.randbytes(chance.randrange(1, 9))
                case _:
                    del data[place : place + chance.randrange(1, 9)]
        try:
            read_graph(bytes(data))
        except BadGraphError:
            refused += 1
    assert 50 < refused < 500


@pytest.mark.parametrize("seed", range(2))
def test_noise_raises_nothing_but_bad_graph(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(500):
        with pytest.raises(BadGraphError):
            read_graph(chance.randbytes(chance.randrange(200)))


def test_the_model_proto_and_its_bytes_agree() -> None:
    """The reader's field numbers are those of the installed onnx.proto."""
    model = model_proto()
    found = read_graph(serialized(model))
    for values, read in ((model.graph.input, found.inputs), (model.graph.output, found.outputs)):
        for value in values:
            sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim]
            assert read[value.name] == tuple(sizes)
