"""Models of unusual make, in every measure: those whose layers can't be seen, and those that are used in unusual
places."""

import copy
import warnings

import pandas as pd
import pytest
import torch
from torch import nn

from rrahelpers.advisor import advise, propose, truncate, without_downsampling
from rrahelpers.base.modules import check_model
from rrahelpers.class_similarity import classrepsim, scale_graphs
from rrahelpers.complexity import count, per_layer
from rrahelpers.eigenspace import SaturationTracker, covariances, project, projected_accuracies
from rrahelpers.features import each_layer, extract, layer_names
from rrahelpers.probes import each_probe, probe_layers
from rrahelpers.receptive_field import receptive_fields
from rrahelpers.representational_response import representational_response

SHAPE = (3, 8, 8)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval()


def tracked(model, images):
    with SaturationTracker(model) as tracker, torch.no_grad():
        model(images)
    return tracker.table


def projected(model, images):
    with project(model, 0.8, covariances(model, images)), torch.no_grad():
        return model(images)


IMAGES, LABELS = torch.randn(12, *SHAPE, generator=torch.Generator().manual_seed(1)), torch.arange(12) % 2
OPTIONS = {"progress": False}
MEASURES = {  # of a model and images
    "layer names": lambda model, x: layer_names(model),
    "features": lambda model, x: extract(model, x, ["0", "3"]),
    "features one by one": lambda model, x: dict(each_layer(model, x, ["0", "3"], memory=0)),
    "class similarity": lambda model, x: classrepsim(model, x, LABELS, k=2, scales=(1, "global"), **OPTIONS),
    "response": lambda model, x: vars(representational_response(scale_graphs(model, x, k=3, scales=(1, "global"),
                                                                             **OPTIONS), LABELS)),
    "probes": lambda model, x: probe_layers(model, x, LABELS, x, LABELS, **OPTIONS).drop(columns=["gap", "seconds"]),
    "covariances": lambda model, x: {name: c.matrix() for name, c in covariances(model, x).items()},
    "saturation": tracked,
    "projection": projected,
    "projected accuracy": lambda model, x: projected_accuracies(model, x, LABELS, covariances(model, x), [0.9],
                                                                **OPTIONS),
    "receptive fields": lambda model, x: receptive_fields(model, SHAPE),
    "costs": lambda model, x: per_layer(model, SHAPE),
    "advice": lambda model, x: advise(model, SHAPE, {"0": 0.5}),
    "proposals": lambda model, x: propose(model, SHAPE, {"0": 0.5}),
    "cut": lambda model, x: list(truncate(model, "0", 2).state_dict()),
    "without stride": lambda model, x: without_downsampling(model, ["0"])[0].state_dict(),
}


# modules that run no hooks -------------------------------------------------------------------------------------------

def quantised(model):
    return torch.ao.quantization.quantize_dynamic(model, {nn.Linear})


def compiled_in_place(model):
    model.compile(backend="eager")
    return model


HOOKLESS = {"traced": (lambda model: torch.jit.trace(model, IMAGES), "is TorchScript.*give the module that was traced"),
            "scripted": (torch.jit.script, "is TorchScript"),
            "quantised": (quantised, "module '3' .Linear. is quantised.*give the model that was quantised"),
            "a traced part": (lambda model: nn.Sequential(torch.jit.trace(model, IMAGES)),
                              "module '0' .*is TorchScript"),
            "exported": (lambda model: torch.export.export(model, (IMAGES,)).module(), "is an exported graph"),
            "lazy": (lambda model: nn.Sequential(nn.LazyConv2d(4, 3), *list(model)[1:3], nn.LazyLinear(3)),
                     "module '0' .* is lazy"),
            "compiled": (lambda model: torch.compile(model, backend="eager"),
                         "is compiled.*give the model that was compiled"),
            "compiled in place": (compiled_in_place, "is compiled.*copy.deepcopy")}


@pytest.fixture(params=HOOKLESS)
def hookless(request):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these ways of making them are deprecated, and still in use
        make, message = HOOKLESS[request.param]
        return make(network()), message


@pytest.mark.parametrize("measure", MEASURES)
def test_a_model_whose_layers_cannot_be_seen_is_refused_by_every_measure(hookless, measure):
    model, message = hookless
    if ("compiled" in message or "lazy" in message) and measure == "saturation":
        return  # a tracker follows it from its first call
    with pytest.raises(ValueError, match=message):
        MEASURES[measure](model, IMAGES)


def test_layers_beside_a_part_that_cannot_be_seen_can_be_looked_at():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = quantised(network())
    found, expected = extract(model, IMAGES, ["0"]), extract(network(), IMAGES, ["0"])
    torch.testing.assert_close(found, expected)
    assert list(covariances(model, IMAGES, ["0"])) == ["0"]
    with SaturationTracker(model, ["0"]) as tracker:
        model(IMAGES)
    assert tracker.table.layer.tolist() == ["0"]
    with pytest.raises(ValueError, match="quantised"):
        extract(model, IMAGES, ["0", "3"])


def test_a_copy_of_what_was_compiled_in_place_can_be_looked_at():
    model = compiled_in_place(network())
    assert count(copy.deepcopy(model), SHAPE) == count(network(), SHAPE)


def test_a_lazy_network_is_left_lazy_and_followed_in_its_loop():
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(3))
    with pytest.raises(ValueError, match="is lazy.*run the model once"):
        count(model, SHAPE)
    assert isinstance(model[0], nn.LazyConv2d)
    assert tracked(model, IMAGES).layer.tolist() == ["0", "2"]
    assert count(model, SHAPE).params == 112 + 435


def test_float_networks_made_to_be_quantised_are_none():
    from rrahelpers.base.torchvision import torchvision

    check_model(torchvision.models.quantization.resnet18(quantize=False))


def test_a_network_without_layers_is_refused_where_none_are_named():
    class Functional(nn.Module):

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 3, 3, 3))

        def forward(self, x):
            return nn.functional.conv2d(x, self.weight).mean((2, 3))

    for measure in ("class similarity", "response", "probes"):
        with pytest.raises(ValueError, match="Functional has no convolution or linear layer that runs"):
            MEASURES[measure](Functional(), IMAGES)


@pytest.mark.parametrize("measure", MEASURES)
def test_what_is_no_module_is_refused_by_every_measure(measure):
    with pytest.raises(TypeError, match="expected a torch.nn.Module, got str"):
        MEASURES[measure]("resnet18", IMAGES)


# inside torch.inference_mode -----------------------------------------------------------------------------------------

def equal(a, b):
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, pd.DataFrame):
        pd.testing.assert_frame_equal(a, b)
    elif isinstance(a, torch.Tensor):
        torch.testing.assert_close(a.clone(), b.clone())
    else:
        assert a == b
    return True


@pytest.mark.parametrize("built", ["outside", "inside"])
@pytest.mark.parametrize("measure", MEASURES)
def test_inside_inference_mode_every_measure_is_the_same(measure, built):
    expected = MEASURES[measure](network(), IMAGES)
    with torch.inference_mode():
        model = network() if built == "inside" else None
    model = model or network()
    with torch.inference_mode():
        found = MEASURES[measure](model, IMAGES.clone())
    assert equal(found, expected)
    assert equal(MEASURES[measure](model, IMAGES), expected)


def test_networks_and_features_made_inside_serve_outside():
    with torch.inference_mode():
        model = network()
        cut = truncate(nn.Sequential(nn.Conv2d(3, 3, 3), *model), "1")
        dense = without_downsampling(nn.Sequential(nn.Conv2d(3, 3, 7, stride=2)), ["0"])
        features = extract(model, IMAGES, ["0"])["0"]
    for changed in (cut, dense):
        assert not any(p.is_inference() for p in changed.parameters())
        changed(IMAGES).sum().backward()
    features.relu_()
    torch.testing.assert_close(features, network()[:2](IMAGES).detach())


# inside torch.vmap and torch.utils.checkpoint ------------------------------------------------------------------------

class Wrapped(nn.Module):
    """Two convolutions and a linear layer, of which ``way`` runs some in a way of its own."""

    def __init__(self, way=lambda function, x: function(x)):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.fc, self.way = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 5), nn.Linear(5, 3), way

    def forward(self, x):
        return self.way(lambda x: self.fc(self.b(self.a(x).relu()).mean((-2, -1))), x)


WAYS = {"plain": lambda function, x: function(x),
        "vmap": lambda function, x: torch.vmap(function)(x),
        "vmap in vmap": lambda function, x: torch.vmap(torch.vmap(function))(x.unflatten(0, (1, -1))).flatten(0, 1),
        "checkpoint": lambda function, x: torch.utils.checkpoint.checkpoint(function, x, use_reentrant=False),
        "reentrant": lambda function, x: torch.utils.checkpoint.checkpoint(function, x.requires_grad_(),
                                                                           use_reentrant=True)}
OF_LAYERS = {**MEASURES, "features": lambda model, x: extract(model, x, ["a", "b", "fc"]),
             "features one by one": lambda model, x: dict(each_layer(model, x, ["a", "b"], memory=0)),
             "projected accuracy": lambda model, x: projected_accuracies(  # random bases can't be drawn inside of vmap
                 model, x, LABELS, covariances(model, x), [0.9], draws=0, **OPTIONS),
             "advice": lambda model, x: advise(model, SHAPE, {"a": 0.5})}
SEE = ["features", "features one by one", "class similarity", "response", "probes", "covariances", "saturation",
       "projection",
       "projected accuracy", "receptive fields", "costs", "advice"]


@pytest.mark.parametrize("measure", SEE)
@pytest.mark.parametrize("way", ["vmap", "checkpoint", "reentrant"])
def test_in_whichever_way_layers_are_run_every_measure_is_the_same(way, measure):
    with warnings.catch_warnings():
        # which torch says of reentrant checkpoints
        warnings.filterwarnings("ignore", "None of the inputs have requires_grad")
        found, expected = (OF_LAYERS[measure](Wrapped(WAYS[name]).eval(), IMAGES) for name in (way, "plain"))
    assert equal(found, expected)


def test_of_nested_vmaps_the_images_come_first():
    expected = covariances(Wrapped(), IMAGES)
    found = covariances(Wrapped(WAYS["vmap in vmap"]), IMAGES)
    assert [found[name].observations for name in found] == [c.observations for c in expected.values()]
    assert equal({n: c.matrix() for n, c in found.items()}, {n: c.matrix() for n, c in expected.items()})
    pd.testing.assert_frame_equal(receptive_fields(Wrapped(WAYS["vmap in vmap"]), SHAPE),
                                  receptive_fields(Wrapped(), SHAPE))


def test_several_passes_at_once_count_each():
    class Both(Wrapped):
        def forward(self, x):
            x = torch.vmap(self.b)(torch.stack([self.a(x), -self.a(x)]))
            return self.fc(x.sum(0).mean((2, 3)))

    table = per_layer(Both(), SHAPE).groupby("layer").flops.sum()
    assert table.to_dict() == {"a": 2 * 36 * 4 * 27, "b": 2 * 4 * 5 * 4 * 25, "fc": 15}
    assert receptive_fields(Both(), SHAPE).set_index("layer").r_max.to_dict() == {"a": 3, "b": 7, "fc": 8}
    with pytest.raises(ValueError, match=r"layer 'b' answers with shape \(2, 12, 5, 2, 2\) for 12 images"):
        extract(Both(), IMAGES, ["b"])


@pytest.mark.parametrize("way", ["checkpoint", "reentrant"])
@pytest.mark.parametrize("outside", [False, True])
def test_what_a_backward_pass_computes_again_is_not_observed_again(way, outside):
    """``outside``: the whole network runs in a checkpoint, instead of its layers in its forward."""
    model = Wrapped(WAYS["plain" if outside else way]).train()
    run = (lambda x: WAYS[way](model, x)) if outside else model
    expected = {"a": 12 * 36, "b": 12 * 4, "fc": 12}
    with SaturationTracker(model, every=2) as tracker, project(model, 0.9) as projections:
        for _ in range(4):  # of which the first and the third are taken
            run(IMAGES.clone()).sum().backward()
        assert {n: c.observations for n, c in tracker.covariances["train"].items()} == {n: 2 * k
                                                                                        for n, k in expected.items()}
        seen = {name: layer._seen.observations for name, layer in projections._layers.items()}
    assert seen == {name: 4 * k for name, k in expected.items()}


def test_a_projected_network_learns_the_same_under_a_checkpoint():
    gradients = []
    for way in ("plain", "checkpoint"):
        model = Wrapped(WAYS[way]).eval()
        with project(model, 0.6, covariances(model, IMAGES)):
            model(IMAGES).square().sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    assert equal(*gradients)


@pytest.mark.parametrize("measure", [
    lambda model, layers: extract(model, IMAGES, layers),
    lambda model, layers: list(each_layer(model, IMAGES, layers)),
    lambda model, layers: classrepsim(model, IMAGES, LABELS, layers=layers, k=2, **OPTIONS),
    lambda model, layers: probe_layers(model, IMAGES, LABELS, IMAGES, LABELS, layers, **OPTIONS),
    lambda model, layers: list(each_probe(model, IMAGES, LABELS, IMAGES, LABELS, layers)),
    lambda model, layers: covariances(model, IMAGES, layers),
    lambda model, layers: SaturationTracker(model, layers),
    lambda model, layers: project(model, 0.9, layers=layers),
    lambda model, layers: receptive_fields(model, SHAPE, layers=layers),
    lambda model, layers: without_downsampling(model, layers),
])
@pytest.mark.parametrize("layers, told", [("03", r"such as \['03'\], got the text"), (3, "names of layers, got 3")])
def test_a_text_is_not_read_as_the_names_of_layers_that_its_letters_are(measure, layers, told):
    with pytest.raises(TypeError, match=told):
        measure(network(), layers)
