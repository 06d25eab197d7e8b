"""``python -m rrahelpers analyse``: networks by name, their weights and images; layers listed, a page written."""

import re

import pytest
import torch
from safetensors.torch import save_file

from rrahelpers import models
from rrahelpers.__main__ import main
from rrahelpers.report import Report, analyse, build_network
from rrahelpers.report.networks import load_weights
from tests.data.test_folders import photograph
from tests.report.networks import network

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = {"width": 0.25, "depth": 0.34, "num_classes": 2}
SET = [word for name, value in TINY.items() for word in ("--set", f"{name}={value}")]
VIT = ["--set", "hidden_size=24", "--set", "num_hidden_layers=1", "--set", "num_attention_heads=2", "--set",
       "image_size=32", "--set", "intermediate_size=8"]


@pytest.fixture
def photographs(tmp_path):
    for number in range(12):
        photograph(tmp_path / "photographs" / "ab"[number % 2] / f"{number}.png", 20 + number, 18, seed=number)
    return tmp_path / "photographs"


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:the network itself is right about:UserWarning")
def test_from_a_folder_to_a_page(photographs, tmp_path, capsys):
    torch.manual_seed(0)
    model = models.build("resnet20", **TINY)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    normal = ["--mean", "0.5", "0.4", "0.3", "--std", "0.2", "0.2", "0.2"]
    assert main(["analyse", "resnet20", *SET, "--weights", str(tmp_path / "w.safetensors"), "--data", str(photographs),
                 "--image-size", "16", *normal, "--neighbours", "3", "--out", str(tmp_path / "out"), "--ablation",
                 "--name", "a <small> one"]) == 0
    said = capsys.readouterr().out
    report = Report.load(tmp_path / "out")
    expected = analyse(model, photographs, image_size=16, mean=[.5, .4, .3], std=[.2] * 3, k=3, progress=False)
    assert report.layers.drop(columns="lost").equals(expected.layers) and report.about["model"] == "a <small> one"
    assert report.about["classes"] == ["a", "b"] and report.about["data"] == "the folder photographs"
    assert report.summary() in said and len(report.ablations) == 7
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") and "<h1>a &lt;small&gt; one: what its layers contribute" in page


def test_layers_are_listed_without_data_or_weights(capsys):
    assert main(["analyse", "resnet20", *SET, "--list-layers", "--image-size", "32"]) == 0
    assert re.findall(r"(\S+) +(\S+)\n", capsys.readouterr().out)[:2] == [("input", "3x32x32"), ("stem", "4x32x32")]
    assert main(["analyse", "resnet20", *SET, "--list-layers"]) == 0
    assert "stem\n" in (said := capsys.readouterr().out) and "--image-size shows" in said


def test_a_transformer_by_its_class(capsys):
    pytest.importorskip("transformers")
    assert main(["analyse", "transformers/ViTForImageClassification", *VIT, "--list-layers"]) == 0
    assert "vit.layers.0.mlp.fc1" in (said := capsys.readouterr().out) and "5x8" in said


def test_timm_tells_its_preprocessing():
    pytest.importorskip("timm")
    model, how = build_network("timm/test_vit", "random", {"num_classes": 3})
    assert model.head.out_features == 3 and not model.training
    assert (how.size, how.mean, how.std, how.crop, how.interpolation) == (160, (0.5,) * 3, (0.5,) * 3, 0.95, "bicubic")
    _, how = build_network("timm/vit_tiny_patch16_224", "random", {"img_size": 32, "patch_size": 8, "depth": 1})
    assert how.size == 32


def test_a_file_of_torchvisions_weights_is_prepared_for_as_the_published_ones(tmp_path):
    random, how = build_network("torchvision/squeezenet1_1", "random")
    assert (how.size, how.mean) == (None, None)
    save_file(random.state_dict(), tmp_path / "w.safetensors")
    model, how = build_network("squeezenet1_1", tmp_path / "w.safetensors")
    assert torch.equal(model.classifier[1].weight, random.classifier[1].weight)
    assert (how.size, how.mean, how.std) == (224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert how.crop == pytest.approx(224 / 256)
    own, _ = build_network("squeezenet1_1", "random", {"num_classes": 3})
    save_file(own.state_dict(), tmp_path / "own.safetensors")
    _, how = build_network("squeezenet1_1", tmp_path / "own.safetensors", {"num_classes": 3})
    assert how.mean is None  # trained by somebody else


def test_a_function_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text("from tests.report.networks import network\nnothing = dict\n",
                                             encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    model, how = build_network("my_networks:network", None, {"classes": 4})
    assert model[-1].out_features == 4 and how.mean is None
    for name, words in (("my_networks:other", "has no function 'other'"), ("nowhere:f", "can't import 'nowhere'"),
                        ("my_networks:nothing", "answers with dict; expected a torch.nn.Module")):
        with pytest.raises(ValueError, match=words):
            build_network(name)


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"state_dict": state, "epoch": 3},
                                  lambda state: {"module." + name: value for name, value in state.items()}])
def test_weights_of_torch_save(tmp_path, wrap):
    one, other = network(), network()
    torch.nn.init.ones_(one[0].weight)
    torch.save(wrap(one.state_dict()), tmp_path / "w.pt")
    load_weights(other, tmp_path / "w.pt")
    assert torch.equal(one[0].weight, other[0].weight)


def test_weights_that_can_not_be_loaded(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors")
    (tmp_path / "w.pt").write_bytes(b"no weights")
    for name, words in (("w.safetensors", "don't fit Sequential"), ("w.pt", "holds no weights"), ("x", "is no file")):
        with pytest.raises(ValueError, match=words):
            load_weights(network(), tmp_path / name)


@pytest.mark.parametrize("arguments, words", [
    (["resnet20"], "no weights yet; expected --weights"), (["resnet21", "--weights", "random"], "unknown model"),
    (["resnet20", "--weights", "random"], "needs --data"),
    (["timm/no_such_network", "--weights", "random"], "timm gives no 'no_such_network'"),
    (["timm/no_such_network", "--weights", "pretrained"], "timm gives no 'no_such_network'"),
    (["resnet20", "--weights", "pretrained"], "torchvision gives no weights of 'resnet20'"),
    (["a:b", "--weights", "pretrained"], "'pretrained' weights are for names of"),
    (["resnet20", "--set", "width", "--list-layers"], "--set expects NAME=VALUE"),
    (["resnet20", "--mean", "0.5", "--list-layers"], "expected mean and std"),
    (["resnet20", "--weights", "random", "--data", "nowhere", "--out", "x"], "there is no folder 'nowhere' here"),
    (["resnet20", "--weights", "random", "--data", "nowhere", "--out", "x"], "no data set 'nowhere'"),
])
def test_what_can_not_be_analysed(capsys, arguments, words):
    try:
        assert main(["analyse", *arguments]) == 1
    except SystemExit as end:
        assert end.code == 2
    assert words in capsys.readouterr().err


def test_weights_that_can_not_be_fetched(monkeypatch):
    timm = pytest.importorskip("timm")

    def create_model(name, pretrained):
        raise OSError("no connection\nand a long story")

    monkeypatch.setattr(timm, "create_model", create_model)
    with pytest.raises(ValueError, match=r"knows 'test_vit', but its weights couldn't be fetched \(no connection\);"):
        build_network("timm/test_vit", "pretrained")
