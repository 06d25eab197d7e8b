"""STAC paper, sections 3 and 4: what is defined, and the networks that it is tried on."""

import torch
from torch import nn

from rrahelpers.attention import STAC
from rrahelpers.class_similarity import class_similarity, scale_graphs
from rrahelpers.features import extract, layer_names
from rrahelpers.models import build
from rrahelpers.models.resnet import Block
from rrahelpers.neighbors import SCALES, knn_graph
from rrahelpers.study.claims.claim import entries
from rrahelpers.study.claims.curves import CIFAR, IMG64
from rrahelpers.study.claims.readings import each, value
from rrahelpers.study.claims.verbs import equals, every, holds, not_possible, number, stated, takes, trained_as

claim = entries("STAC paper", "000")


def _one_after_another():
    """Each layer's features come from the one before: layer 2 from layer 1's."""
    model = build("resnet20").eval()
    found = extract(model, torch.rand(2, 3, 8, 8), ["stem", "stages.0.0"])
    return torch.allclose(model.get_submodule("stages.0.0")(found["stem"]), found["stages.0.0"], atol=1e-5)


def _directed():
    """On 0, 1 and 3 the nearest of the third is the second, whose nearest is the first."""
    return knn_graph(torch.tensor([[0.0], [1.0], [3.0]]), 1).indices.tolist() == [[1], [0], [1]]


def _share_of_neighbours():
    """Points 0, 1, 10, 11 of the classes 0, 0, 1, 1: one of the nearest two of each has its class."""
    graph = knn_graph(torch.tensor([[0.0], [1.0], [10.0], [11.0]]), 2)
    return class_similarity(graph, torch.tensor([0, 0, 1, 1])) == 0.5


def _layers():
    return [name.partition(".")[0] for name in layer_names(build("resnet20"))] == [
        "input", "stem", *["stages"] * 9, "pool", "fc"]


def _formula(x=None):
    """The module's output is its input times the up-sampled answer of convolution, ReLU, convolution and sigmoid."""
    stac, x = STAC(4, window=2), torch.rand(1, 4, 8, 8)
    small = nn.functional.avg_pool2d(x, 2)
    first, _, second, _ = stac.attend
    gate = torch.sigmoid(second(torch.relu(first(small))))
    return torch.allclose(stac(x), x * nn.functional.interpolate(gate, scale_factor=2), atol=1e-6)


def _parts():
    stac = STAC(4, window=2)
    return (isinstance(stac.condense, nn.AvgPool2d) and stac.condense.stride == stac.condense.kernel_size == 2
            and [type(part) for part in stac.attend] == [nn.Conv2d, nn.ReLU, nn.Conv2d, nn.Sigmoid]
            and stac.expand.mode == "nearest")


def _placements():
    """A module that answers nothing leaves the shortcut alone in standard placement, and nothing in post placement."""
    x, nothing = torch.rand(1, 4, 5, 5), nn.Threshold(float("inf"), 0.0)
    standard, post = Block(4, 4, 1, standard=nothing), Block(4, 4, 1, post=nothing)
    return torch.equal(standard(x), x) and not post(x).any()


def _sees(stac, side=80):
    """The side of the part of the image that the gate in the middle depends on."""
    x = torch.rand(1, 1, side, side, requires_grad=True)
    for parameter in stac.parameters():
        nn.init.constant_(parameter, 0.01)
    stac.attention_map(x)[0, 0, side // 2, side // 2].backward()
    rows = x.grad[0, 0].abs().sum(1).nonzero()
    return int(rows.max() - rows.min()) + 1


CLAIMS = (
    claim("009", "3, equation 1", "A layer turns the representation before it into the next; the zeroth is the data",
          holds(_one_after_another)),
    claim("010", "3", "Neighbours make a directed graph with equally many edges from every sample", holds(_directed),
          note="the paper prints neither the number of neighbours nor the distance: here 10 and Euclidean"),
    claim("011", "3, equation 2", "Class similarity is the share of all neighbours that have the sample's class",
          holds(_share_of_neighbours)),
    claim("012", "3, algorithm 1; figure 2", "Layer by layer and scale by scale: features, pooling, neighbours, "
          "class similarity", every(*(equals(each(f, len), 65) for f in (CIFAR, IMG64)), kind="procedure")),
    claim("013", "3", "Features are pooled by a function that may be chosen",
          takes(scale_graphs, "operation")),
    claim("014", "3.1", "The network is a ResNet20 with CIFAR's blocks, its layers read behind the last activation "
          "of a block", holds(_layers)),
    claim("015", "3.1", "The second data set has 50 of the classes of ImageNet64x64",
          not_possible("the 50 classes are not printed, and ImageNet64x64 is not at hand; the first 50 of Tiny "
              "ImageNet stand in", "definition")),
    claim("016", "3.1", "SGD with momentum, a cosine down to 1 % of the first rate, weight decay 1e-4, a tenth of "
          "the epochs for warming up",
          every(*(trained_as(f, optimiser="sgd", schedule="cosine", final=0.01, weight_decay=1e-4, warmup=0.1)
                  for f in (CIFAR, IMG64)))),
    claim("017", "3.1; figure 4a", "The learning rate begins at 0.01", trained_as(CIFAR, learning_rate=0.01),
          note="section 5 names 0.1 for the same network on CIFAR-10"),
    claim("018a", "3.1; figure 4", "Networks are trained for 100 epochs",
          every(*(trained_as(f, epochs=100) for f in (CIFAR, IMG64)))),
    claim("018b", "3.1; figure 4", "Each result is a mean over 8 networks",
          every(*(trained_as(f, networks=8) for f in (CIFAR, IMG64)))),
    claim("019", "3.2", "Five scales: none, windows of 2, 4 and 8 that don't overlap, and global",
          holds(lambda: SCALES == (1, 2, 4, 8, "global"))),
    claim("020", "3.2; figure 4a", "Layer 0 is the data, 1 the stem, 2 to 10 three blocks in each of three stages",
          equals(each(CIFAR, lambda t: t.layer[t["index"].between(2, 10)].nunique(), scale="1"), 9,
                 kind="definition")),
    claim("021", "figure 3", "Two toy classes that lie apart have class similarity 1.0",
          number(value("classrepsim-figure-3", by="draw", transition=0), "1.0")),
    claim("022", "figure 3", "Where the two toy classes touch, class similarity has fallen to almost 0.9",
          number(value("classrepsim-figure-3", by="draw", transition=1), "0.9")),
    claim("023", "figure 3", "Where the two toy classes touch, a line still separates them",
          stated("agrees", "the two strips of points are drawn so that they touch and don't overlap", "direction")),
    claim("059", "4; figure 5", "STAC condenses the map, makes a gate of it, expands the gate to the map's size and "
          "multiplies the map with it", holds(_formula)),
    claim("060", "4; figure 5", "STAC condenses by averages over windows side by side, makes its gate by "
          "convolution, ReLU, convolution and sigmoid, and repeats it to expand", holds(_parts)),
    claim("062", "4; figure 6", "Standard placement is before the addition of a block, post placement behind it",
          holds(_placements),
          note="whether post placement is before or behind the last ReLU isn't printed; here behind"),
    claim("099", "6.1", "The two kernels of 3x3 widen what the gate sees beyond the pooling window: with a window of "
          "8 to 40 pixels", holds(lambda: _sees(STAC(1, window=8)) == 40)),
)
