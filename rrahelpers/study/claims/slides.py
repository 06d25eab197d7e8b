"""Lecture slides, section 3.2: separation and smoothness from layer to layer, rankings and guarantees."""

import pandas as pd
import torch

from rrahelpers.neighbors import knn_graph
from rrahelpers.probes.dense import EPOCHS
from rrahelpers.separation import (
    confidence,
    error_bound,
    guarantee,
    margins,
    margins_of,
    rank_models,
    separation_index,
)
from rrahelpers.study.claims.claim import entries
from rrahelpers.study.claims.layers import SAME
from rrahelpers.study.claims.readings import Reading, correlation, each
from rrahelpers.study.claims.tables import Missing, Tables, Where
from rrahelpers.study.claims.verbs import (
    equals,
    every,
    holds,
    rises,
    shows,
    stated,
    within,
)
from rrahelpers.study.orders import bound_against_order, gamma_against_order

LAYERS, RANKING, SMOOTH = "separation-layers", "separation-ranking", "smoothness-layers"
DENSE, ATTACK = "separation-dense", "separation-attack"
LINE = 0.005  # what a curve may fall and still be called rising
SI, CCR = "separation index", "correct classification rate"
VGG16, RESNET18 = "VGG16*CIFAR-10", "ResNet18*"
claim = entries("Lecture slides", "002")


def index(split: str = "test", network: str = "*") -> Where:
    """Rows of SI, layer by layer."""
    return {"measure": SI, "order": 1, "split": split, "network": network}


def course(table: pd.DataFrame) -> pd.Series:
    return table.groupby("index")["value"].mean().sort_index()


def filters(table: pd.DataFrame) -> pd.Series:
    """SI over the layers that are no dense ones."""
    return course(table[~table.layer.str.contains("classifier|fc")])


def together(network: str, split: str) -> Reading:
    """How SI and the rate of right classifications correlate over the layers."""
    def of(measure):
        return lambda tables: course(tables.read(LAYERS, measure=measure, split=split, network=network))
    return correlation(of(SI), of(CCR), networks=1)


def with_dense(column: str, split: str = "test") -> Reading:
    """How SI and what the slides' own classifier has right correlate over the layers of VGG16."""
    return correlation(lambda t: course(t.read(LAYERS, **index(split, VGG16))),
                       lambda t: t.read(DENSE, classifier="dense", network=VGG16).groupby("index")[column].mean(),
                       networks=1)


def within_guarantee(tables: Tables) -> float:
    """The largest share of predictions that an attack flips within the guaranteed error."""
    rows = tables.read(ATTACK)
    if (rows.SI < 1).any():
        raise Missing(f"{ATTACK}.csv guarantees nothing: data with SI = 1 are needed")
    return float(rows[rows.factor < 1].flipped.max())


def _flat():
    maps = torch.randn(6, 2, 3, 3)
    return torch.equal(knn_graph(maps, 2).indices, knn_graph(maps.flatten(1), 2).indices)


def _every_layer(split):
    """Each network has more than ten layers in the table."""
    return lambda tables: tables.read(LAYERS, **index(split)).groupby("network").size().min() > 10


def _points():
    """0, 1, 10 and 11 of the classes 0, 0, 1 and 0: of the last two the nearest neighbour has the other class."""
    x, labels = torch.tensor([[0.0], [1.0], [10.0], [11.0]]), torch.tensor([0, 0, 1, 0])
    return x, labels, knn_graph(x, 1)


def _index():
    _, labels, graph = _points()
    return separation_index(graph, labels) == 0.5


def _confidence():
    _, labels, graph = _points()
    return confidence(graph, labels) == separation_index(graph, labels)


def _guarantee():
    """Classes 9 apart whose samples are 1 apart: half of the 8 between is the limit."""
    known = margins(torch.tensor([[0.0], [1.0], [10.0], [11.0]]), torch.tensor([0, 0, 1, 1]))
    return bool(guarantee(known, 3.9)) and not bool(guarantee(known, 4.1))


def _guarantee_of_one():
    """A new sample at 2: 1 from its class, 8 from the other."""
    known = margins_of(torch.tensor([[2.0]]), torch.tensor([[0.0], [1.0], [10.0], [11.0]]), torch.tensor([0, 0, 1, 1]))
    return known.prediction.item() == 0 and bool(guarantee(known, 3.4)) and not bool(guarantee(known, 3.6))


def _gamma_by_order():
    """Twice as much where SI is 1 up to an order of 20 at least as where it is 1 up to 3 at most."""
    table = gamma_against_order((0.05, 0.1, 0.8), (0, 1, 2))
    low, high = table[table.order.between(1, 3)].gamma, table[table.order >= 20].gamma
    return len(low) > 0 and len(high) > 0 and high.mean() > 2 * low.mean()


def _bound_by_order():
    """Half as much where SmI is all but 1 up to an order of 20 at least as where it is up to 3 at most."""
    table = bound_against_order((0.0, 0.006), (0, 1, 2), gamma=0.002)
    low, high = table[table.order.between(1, 3)].bound, table[table.order >= 20].bound
    return len(low) > 0 and len(high) > 0 and high.mean() < low.mean() / 2


def _bound():
    """Targets equal to the place: the bound grows with what the input may be wrong by, and holds."""
    x = torch.arange(10.0)[:, None]
    few, many = (error_bound(torch.tensor([[4.2]]), x, x[:, 0], gamma).item() for gamma in (0.1, 2.0))
    return 0.2 <= few < many


def _rank():
    torch.manual_seed(0)
    labels = torch.arange(40) % 2
    useless, useful = torch.randn(40, 3), torch.randn(40, 3)
    useful[:, 1] += 10 * labels
    found = rank_models({"useless": useless, "useful": useful}, labels)
    return found.model.tolist()[0] == "useful"


CLAIMS = (
    claim("001", "3.2, dataflow", "A layer's output is read as a vector", holds(_flat)),
    claim("002", "3.2, dataflow", "A layer may be a recurrent one as well",
          stated("partly", "saturation follows them; features for neighbours are read of layers with one output",
                 "definition")),
    claim("003", "3.2", "Separation is computed for every layer, of training and of test images",
          every(*(equals(_every_layer(split), True, kind="procedure") for split in ("train", "test")))),
    claim("023", "3.2, definitions", "That a layer makes data less complex means that separation rises",
          stated("agrees", "separation is what notebook 11 follows", "definition")),
    claim("004a", "3.2, notes 1 and 2; figures 10 to 12", "Separation rises from layer to layer of the filters",
          shows(LAYERS, lambda t: (filters(t).diff().dropna() > -LINE).all(), by="network", **index())),
    claim("004b", "3.2, notes 1 and 2; figures 10 to 12", "Behind the last filter separation is higher than at the "
          "input",
          rises(each(LAYERS, lambda t: filters(t).iloc[-1] - filters(t).iloc[0], by="network", **index()))),
    claim("005", "3.2, notes; figures 10 to 12", "Courses of separation differ: it rises, stays, or goes up and down",
          shows(LAYERS, lambda t: (course(t).diff() > LINE).any() and (course(t).diff() < -LINE).any(), by="network",
                **index())),
    claim("006", "3.2, notes; figure 11", "Dense layers are not to raise separation; in VGG16 they don't",
          within(each(LAYERS, lambda t: course(t).iloc[-1] - filters(t).iloc[-1], **index(network=VGG16)), SAME)),
    claim("007", "figure 10", "In ResNet18 on Fashion-MNIST separation is higher at the end than at the input", rises(
        each(LAYERS, lambda t: course(t).iloc[-1] - course(t).iloc[0], **index(network="ResNet18*Fashion-MNIST"))),
          note="no numbers are printed"),
    claim("008a", "figure 11", "In VGG16 on CIFAR-10 separation and right classifications rise together, of test "
          "images",
          rises(together(VGG16, "test"))),
    claim("008b", "figure 11", "In VGG16 on CIFAR-10 separation and right classifications rise together, of training "
          "images", rises(together(VGG16, "train"))),
    claim("008c", "figure 11", "With the slides' own classifier separation and right classifications rise together "
          "in VGG16 on CIFAR-10, of test images", rises(with_dense("value"))),
    claim("008d", "figure 11", "With the slides' own classifier separation and right classifications rise together "
          "in VGG16 on CIFAR-10, of training images", rises(with_dense("train", "train"))),
    claim("009a", "figure 12", "In ResNet18 on Fashion-MNIST separation and right classifications rise together, of "
          "test images", rises(together(RESNET18,
          "test")),
          note="of MNIST where Fashion-MNIST isn't measured"),
    claim("009b", "figure 12", "In ResNet18 on Fashion-MNIST separation and right classifications rise together, of "
          "training images", rises(together(RESNET18, "train"))),
    claim("010", "figures 11 and 12", "Classifications behind a layer are those of two dense layers with batch norm "
          "and softmax, trained by squared error and Adam for more than 100 epochs", every(
              equals(lambda t: "dense" in set(t.read(DENSE).classifier), True, kind="procedure"),
              holds(lambda: EPOCHS > 100, f"{EPOCHS} epochs")),
          note="the figures' is a logistic regression at its optimum; the slides' own stands beside it"),
    claim("011", "3.2, definitions", "SI is the share of samples whose nearest neighbour has their label",
          holds(_index)),
    claim("012", "3.2, Algorithm 2", "Pretrained networks are ranked by the SI of the best features of the last "
          "layer before the dense ones", holds(_rank, kind="procedure"), note="features are chosen one by one, "
          "forward"),
    claim("012b", "3.2, Algorithm 2", "The networks were trained on M data sets by others",
          stated("partly", "they are this collection's, of two data sets, trained and untrained", "procedure")),
    claim("013", "3.2, Algorithm 2", "The ranking tells which network is the best to go on from: its order is that "
          "of a classifier's accuracies", rises(correlation(lambda t: t.read(RANKING)["value"].rank(),
                                                       lambda t: t.read(RANKING).accuracy.rank()), kind="ordering"),
          note="own networks, a logistic regression on the new data"),
    claim("014", "3.2, Confidence and guarantee", "The confidence of a prediction is the SI of the data",
          holds(_confidence)),
    claim("022", "3.2, Confidence and guarantee", "With training data the confidence is their SI, for each prediction",
          holds(_confidence)),
    claim("015", "3.2, Confidence and guarantee", "Without training data a prediction is sure while the input is "
          "wrong by less than half of what is between the classes beyond what is within", holds(_guarantee)),
    claim("016", "3.2, Confidence and guarantee", "With training data the same holds with each sample's own distances",
          holds(_guarantee_of_one)),
    claim("017", "3.2, Confidence and guarantee", "What is guaranteed is right: within its error no prediction flips",
          equals(within_guarantee, 0.0, kind="direction"),
          note="pixels of two digits, which have SI = 1, under attack; no layer of the networks has"),
    claim("018", "3.2, Confidence and guarantee", "Where SI of a high order is 1 too, inputs may be wrong by much "
          "more before a guarantee ends", holds(_gamma_by_order, kind="direction"),
          note="made-up data, three classes at growing distances: more than twice as much"),
    claim("019", "3.2, Confidence and guarantee", "In regression the error is bounded by the targets of all that "
          "could be the nearest", holds(_bound)),
    claim("020", "3.2, Confidence and guarantee", "Where SmI of a high order is 1 the bound of the error is much "
          "lower", holds(_bound_by_order, kind="direction"),
          note="made-up data, targets with less and less noise: by half where inputs are wrong by 0.002 of their "
          "range, by a tenth where by 0.05"),
    claim("021a", "3.2, smoothness", "SmI rises from layer to layer of a regression network, of training data",
          rises(each(SMOOTH, lambda t: course(t).iloc[-1] - course(t).iloc[0], measure="smoothness index",
                     split="train"))),
    claim("021b", "3.2, smoothness", "SmI rises from layer to layer of a regression network, of test data",
          rises(each(SMOOTH, lambda t: course(t).iloc[-1] - course(t).iloc[0], measure="smoothness index",
                     split="test"))),
)
