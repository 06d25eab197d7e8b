"""What holds for any input: inputs drawn at random, the same ones every time (hypothesis), against what is exact.

Whole numbers are squared, summed, moved and scaled by powers of two without rounding, so ties stay ties.
"""

import copy
import itertools
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from rrahelpers.base import files
from rrahelpers.eigenspace import Covariance
from rrahelpers.neighbors import knn_graph, pyramid_graphs
from rrahelpers.receptive_field import receptive_fields
from rrahelpers.training.augmentation import AUGMENTATIONS
from rrahelpers.training.config import RunConfig

pytestmark = pytest.mark.usefixtures("one_thread")
here = settings(derandomize=True, deadline=None, max_examples=60)

# --- neighbours -----------------------------------------------------------------------------------------------------

rows = st.tuples(st.integers(2, 24), st.integers(1, 5)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.integers(-4, 4)))  # few values: many ties and duplicates
kinds = st.sampled_from(["float32", "float64", "int64", "int16"])


def brute_force(x):
    """All others of each row as (squared distance, index), nearest first, in whole numbers."""
    squared = ((x[:, None] - x[None]) ** 2).sum(2)
    return [sorted((int(squared[i, j]), j) for j in range(len(x)) if j != i) for i in range(len(x))]


@here
@given(rows, kinds, st.data())
def test_neighbours_are_those_of_whole_numbers_with_ties_to_the_lower_index(x, kind, data):
    k = data.draw(st.integers(1, len(x) - 1))
    graph, expected = knn_graph(x.astype(kind), k), brute_force(x)
    assert graph.indices.tolist() == [[j for _, j in row[:k]] for row in expected]
    np.testing.assert_allclose(graph.distances, [[d**0.5 for d, _ in row[:k]] for row in expected], rtol=1e-6)


@here
@given(rows, kinds, st.data())
def test_neighbours_do_not_depend_on_the_order_of_the_rows(x, kind, data):
    k, order = data.draw(st.integers(1, len(x) - 1)), np.array(data.draw(st.permutations(range(len(x)))))
    graph, moved = knn_graph(x.astype(kind), k), knn_graph(x[order].astype(kind), k)
    assert torch.equal(moved.distances, graph.distances[order])
    nearer = graph.distances[order] < graph.distances[order, -1:]  # of those as far as the last, others may be chosen
    for old, new, sure in zip(graph.indices[order].numpy(), order[moved.indices.numpy()], nearer.numpy()):
        assert set(old[sure]) == set(new[sure])


@here
@given(rows, st.sampled_from(["float32", "float64"]), st.integers(-20, 20), st.integers(-1000, 1000), st.data())
def test_neighbours_do_not_depend_on_place_or_unit(x, kind, exponent, place, data):
    k = data.draw(st.integers(1, len(x) - 1))
    graph = knn_graph(x.astype(kind), k)
    other = knn_graph(((x + place) * 2.0**exponent).astype(kind), k)
    assert torch.equal(other.indices, graph.indices)
    np.testing.assert_allclose(other.distances, graph.distances * 2.0**exponent, rtol=1e-6)


@here
@given(rows, st.data())
def test_the_first_neighbours_of_a_graph_are_the_graph_of_fewer(x, data):
    k = data.draw(st.integers(1, len(x) - 1))
    graph = knn_graph(x.astype(np.float32), k)
    for fewer in range(1, k + 1):
        first, expected = graph.first(fewer), knn_graph(x.astype(np.float32), fewer)
        assert torch.equal(first.indices, expected.indices) and torch.equal(first.distances, expected.distances)


sides = st.tuples(st.integers(2, 10), st.integers(1, 3), st.sampled_from([1, 2, 3, 4, 6]),
                  st.sampled_from([1, 2, 4, 6]))
maps = sides.flatmap(lambda shape: arrays(np.int64, shape, elements=st.integers(-3, 3)))


@here
@given(maps, st.sampled_from(["float32", "float64", "int64"]), st.data())
def test_a_pyramid_is_the_graphs_of_the_pooled_maps(x, kind, data):
    x = x * 144  # the mean of any window is a whole number
    n, c, height, width = x.shape
    divisors = [scale for scale in (1, 2, 3, 4, 6) if height % scale == width % scale == 0]
    scales = data.draw(st.lists(st.sampled_from([*divisors, "global"]), min_size=1, max_size=4, unique=True))
    k = data.draw(st.integers(1, n - 1))
    graphs = pyramid_graphs(x.astype(kind), scales, k)
    assert list(graphs) == scales
    for scale, graph in graphs.items():
        h, w = (height, width) if scale == "global" else (scale, scale)
        pooled = x.reshape(n, c, height // h, h, width // w, w).sum((3, 5)) // (h * w)
        expected = knn_graph(pooled.reshape(n, -1).astype(kind), k)
        assert torch.equal(graph.indices, expected.indices)
        torch.testing.assert_close(graph.distances, expected.distances, rtol=1e-6, atol=0)


# --- covariances ----------------------------------------------------------------------------------------------------


@here
@given(st.integers(1, 6), st.integers(1, 40), st.sampled_from([0, 1000]), st.data())
def test_covariances_are_merged_in_any_split_and_order(dim, n, mean, data):
    x = data.draw(arrays(np.int64, (n, dim), elements=st.integers(-9, 9))) + mean
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=6)))
    parts = []
    for start, stop in itertools.pairwise([0, *cuts, n]):
        parts.append(Covariance(dim))
        for at in range(start, stop, size := data.draw(st.integers(1, n))):
            parts[-1].update(x[at:min(at + size, stop)].astype(np.float64))
    while len(parts) > 1:  # any two, in any order
        one, other = data.draw(st.permutations(range(len(parts))))[:2]
        parts[one].merge(parts[other])
        del parts[other]
    merged, = parts
    assert merged.observations == n
    np.testing.assert_allclose(merged.mean, x.mean(0), rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(merged.matrix(), np.cov(x, rowvar=False, bias=True).reshape(dim, dim), rtol=1e-9,
                               atol=1e-9)


@here
@given(st.integers(1, 4), st.integers(1, 9))
def test_a_covariance_merged_into_itself_has_seen_everything_twice(dim, n):
    x = np.random.default_rng(n).normal(size=(n, dim))
    twice = Covariance(dim)
    twice.update(x)
    twice.merge(twice)
    assert twice.observations == 2 * n
    np.testing.assert_allclose(twice.matrix(), np.cov(x, rowvar=False, bias=True).reshape(dim, dim), rtol=1e-9,
                               atol=1e-12)


# --- receptive fields -----------------------------------------------------------------------------------------------

LENGTH = 300  # pixels of a strip that is one pixel wide


class Fork(nn.Module):
    """Branches side by side, added or put behind one another; ``only`` leaves the answer of one of them."""

    def __init__(self, branches, joined):
        super().__init__()
        self.branches, self.joined, self.only = nn.ModuleList(branches), joined, None

    def forward(self, x):
        answers = [branch(x) for branch in self.branches]
        if self.only is not None:
            answers = [answer * (number == self.only) for number, answer in enumerate(answers)]
        return torch.cat(answers, 1) if self.joined == "cat" else sum(answers)


@st.composite
def window(draw, channels, stride=None, same=False):
    """A convolution or a pooling along the strip; ``same``: one that leaves the places where they are."""
    kind = draw(st.sampled_from([nn.Conv2d, nn.Conv2d, nn.AvgPool2d, nn.MaxPool2d]))
    size = draw(st.sampled_from([1, 3, 5]) if same else st.integers(1, 5))
    stride = draw(st.integers(1, 3)) if stride is None else stride
    if kind is not nn.Conv2d:
        return kind((size, 1), (stride, 1), (size // 2, 0) if same else 0)
    dilation = draw(st.integers(1, 3))
    padding = dilation * (size - 1) // 2 if same else draw(st.integers(0, 2))
    return nn.Conv2d(channels, channels, (size, 1), (stride, 1), (padding, 0), (dilation, 1))


@st.composite
def block(draw, depth=0):
    """A window, or a fork of branches that all have one stride and are centred on the same places."""
    channels = 2
    if depth == 2 or draw(st.booleans()):
        return draw(window(channels))
    stride, joined = draw(st.integers(1, 2)), draw(st.sampled_from(["add", "cat"]))
    branches = []
    for _ in range(draw(st.integers(2, 3))):
        steps = [draw(window(channels, stride=1, same=True)) for _ in range(draw(st.integers(0, 2)))]
        place = draw(st.integers(0, len(steps)))
        if stride > 1 or draw(st.booleans()):
            steps.insert(place, draw(window(channels, stride=stride, same=True)))
        branches.append(nn.Sequential(*steps))
    fork = Fork(branches, joined)
    return nn.Sequential(fork, nn.Conv2d(channels * len(branches), channels, 1)) if joined == "cat" else fork


@st.composite
def networks(draw):
    return nn.Sequential(nn.Conv2d(1, 2, 1), *draw(st.lists(block(), min_size=1, max_size=4)), nn.Conv2d(2, 1, 1))


def support(model, axis, length=2 * LENGTH):
    """How many pixels of a strip along ``axis`` its middle place depends on."""
    image = torch.ones(1, 1, *((length, 1) if axis == 0 else (1, length)), dtype=torch.double, requires_grad=True)
    answer = model(image)
    gradient, = torch.autograd.grad(answer.select(2 + axis, answer.shape[2 + axis] // 2).sum(), image)
    seen = gradient.flatten().nonzero().flatten()
    return int(seen[-1] - seen[0]) + 1


def turn(model):
    """Windows along the width instead of the height."""
    for module in model.modules():
        for name in ("kernel_size", "stride", "padding", "dilation"):
            if isinstance(value := getattr(module, name, None), tuple):
                setattr(module, name, value[::-1])
        if isinstance(module, nn.Conv2d):
            module.weight = nn.Parameter(module.weight.mT.clone())


def positive(model):
    """The network as a positive linear map of the same windows: nothing cancels in its gradient."""
    model = copy.deepcopy(model).double().requires_grad_(False)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
    for parameter in model.parameters():
        parameter.fill_(0.5)
    return model


@here
@given(networks(), st.integers(0, 1))
def test_receptive_fields_are_the_support_of_the_gradient_over_all_paths_and_over_the_least(model, axis):
    """r_max: of the whole network. r_min: the least of the networks that have one branch of each fork."""
    if axis == 1:
        turn(model)
    linear = positive(model)
    try:
        whole = support(linear, axis)
        # else it reaches over the ends, where padding hides a part of it
        assume(whole == support(linear, axis, LENGTH))
    except RuntimeError:  # the strip is used up
        assume(False)
    last = receptive_fields(model, (LENGTH, 1) if axis == 0 else (1, LENGTH)).iloc[-1]
    assert last[f"r_max_{'hw'[axis]}"] == whole
    forks = [module for module in linear.modules() if isinstance(module, Fork)]
    least = whole
    for choice in itertools.product(*(range(len(fork.branches)) for fork in forks)):
        for fork, only in zip(forks, choice):
            fork.only = only
        least = min(least, support(linear, axis))
    assert last[f"r_min_{'hw'[axis]}"] == least


# --- configurations and files ---------------------------------------------------------------------------------------

words = st.text("abcdefgh-_0123456789", min_size=1, max_size=12)
plain = st.recursive(st.none() | st.booleans() | st.integers(-2**40, 2**40) | words | st.floats(-1e6, 1e6),
                     lambda part: st.lists(part, max_size=3) | st.dictionaries(words, part, max_size=3), max_leaves=5)
rates = st.floats(1e-6, 10) | st.integers(1, 10)
configs = st.builds(
    RunConfig, model=words, data=words, options=st.dictionaries(words, plain, max_size=4),
    image_size=st.none() | st.integers(1, 512) | st.lists(st.integers(1, 99), min_size=1, max_size=3)
    | st.builds(lambda side: [32, {"canvas": side}], st.integers(32, 200)),
    limit=st.none() | st.integers(1, 10**6), epochs=st.integers(1, 1000), batch_size=st.integers(1, 4096),
    learning_rate=rates, momentum=st.floats(0, 1), weight_decay=st.floats(0, 1), warmup=st.floats(0, 0.99),
    final=st.floats(0, 1),
    augmentation=st.lists(st.sampled_from(AUGMENTATIONS), unique=True).map(tuple),
    seed=st.integers(0, 2**32 - 1), data_checksum=st.text("0123456789abcdef", min_size=12, max_size=12))


@here
@given(configs)
def test_a_configuration_comes_back_from_its_record_with_its_name(config):
    again = RunConfig(**json.loads(json.dumps(config.as_dict())))
    assert again == config and again.name == config.name and again.as_dict() == config.as_dict()
    assert not set(config.name) & set('/\\:*?"<>|') and config.name == config.name.strip()


@here
@given(configs, configs)
def test_two_configurations_have_one_name_only_if_they_are_one(one, other):
    assert (one.name == other.name) == (one == other)


@here
@given(st.lists(st.tuples(st.binary(max_size=200), st.sampled_from(["written", "cut off", "never begun"])), max_size=6))
def test_a_file_has_the_last_content_that_was_written_whole(writes):
    with tempfile.TemporaryDirectory() as folder:
        path, expected = Path(folder) / "deep" / "file", None
        for content, end in writes:
            try:
                with files.atomic(path) as temporary:
                    if end == "never begun":
                        raise InterruptedError
                    temporary.write_bytes(content)
                    if end == "cut off":
                        temporary.write_bytes(content[:len(content) // 2])
                        raise InterruptedError
                expected = content
            except InterruptedError:
                pass
            assert (path.read_bytes() if path.exists() else None) == expected
        assert [each.name for each in path.parent.glob("*")] == ["file"] * (expected is not None)


@here
@given(plain)
def test_json_comes_back_as_it_was_written(content):
    with tempfile.TemporaryDirectory() as folder:
        files.write_json(Path(folder) / "file.json", content)
        assert json.loads((Path(folder) / "file.json").read_text(encoding="utf-8")) == content
