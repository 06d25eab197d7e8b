"""Networks of timm and transformers, built from a configuration with random weights: their layers as maps."""

import pytest
import torch

from rrahelpers.base.torchvision import torchvision  # noqa: F401  # timm and transformers import it too
from rrahelpers.class_similarity import class_similarity, classrepsim
from rrahelpers.features import analysed_layers
from rrahelpers.features.layers import readings
from rrahelpers.neighbors import knn_graph

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}


def timm_vit(name, **options):
    timm = pytest.importorskip("timm")
    return timm.create_model(name, num_classes=5, depth=1, embed_dim=24, num_heads=2, **options), "blocks.0"


def timm_swin():
    timm = pytest.importorskip("timm")
    return timm.create_model("swin_tiny_patch4_window7_224", img_size=32, window_size=4, embed_dim=8, depths=(1, 1),
                             num_heads=(2, 2),
                             num_classes=5), "layers.0"


def timm_convnext():
    timm = pytest.importorskip("timm")
    return timm.create_model("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 16, 16, 16), conv_mlp=False,
                             num_classes=5), "stages.0"


def transformers_model(kind, config, options, layer):
    transformers = pytest.importorskip("transformers")
    return getattr(transformers, kind)(getattr(transformers, config)(**options)), layer


MODELS = {  # network and a layer, tokens in front (None: maps), axis of features, side of the grid, side of the images
    "timm ViT": (lambda: timm_vit("vit_tiny_patch16_224", img_size=32, patch_size=8), 1, 2, 4, 32),
    "timm DeiT, distilled": (lambda: timm_vit("deit_tiny_distilled_patch16_224", img_size=32, patch_size=8), 2, 2, 4,
                             32),
    "timm DINOv2, registers": (lambda: timm_vit("vit_small_patch14_reg4_dinov2", img_size=28), 5, 2, 2, 28),
    "timm Swin": (timm_swin, None, 3, 8, 32),
    "timm ConvNeXt": (timm_convnext, None, 1, 8, 32),
    "ViT": (lambda: transformers_model("ViTForImageClassification", "ViTConfig",
                                       {**SMALL, "image_size": 32, "patch_size": 8}, "vit.layernorm"),
            1, 2, 4, 32),
    "DeiT": (lambda: transformers_model("DeiTModel", "DeiTConfig", {**SMALL, "image_size": 32, "patch_size": 8},
                                        "layernorm"), 2, 2, 4, 32),
    "DINOv2, registers": (lambda: transformers_model("Dinov2WithRegistersModel", "Dinov2WithRegistersConfig",
                                                     {**SMALL, "image_size": 28, "patch_size": 14, "mlp_ratio": 2},
                                                     "encoder.layer.0.mlp"), 5, 2, 2, 28),
    "Swin": (lambda: transformers_model("SwinForImageClassification", "SwinConfig",
                                        {"image_size": 32, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2],
                                         "window_size": 4},
                                        "swin.encoder.layers.1.blocks.0.mlp"), 0, 2, 4, 32),
    "ConvNeXt": (lambda: transformers_model("ConvNextForImageClassification", "ConvNextConfig",
                                            {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2},
                                            "convnext.encoder.stages.0"),
                 None, 1, 8, 32),
}


@pytest.mark.parametrize("build, prefix, axis, side, size", MODELS.values(), ids=MODELS)
@pytest.mark.filterwarnings("ignore:left out")
def test_layers_of_other_libraries(build, prefix, axis, side, size):
    torch.manual_seed(0)
    (model, layer), images, labels = build(), torch.randn(12, 3, size, size), torch.arange(12) % 3
    kept = []
    hook = model.get_submodule(layer).register_forward_hook(lambda _module, _input, output: kept.append(output))
    with torch.no_grad():
        model.eval()(images)
    hook.remove()
    expected = kept[0].movedim(axis, 1)
    expected = expected if prefix is None else expected[:, :, prefix:].unflatten(2, (side, side))
    table = classrepsim(model, images, labels, layers=[layer], scales=[1, 2, "global"], k=3, progress=False)
    assert table.side.tolist() == [side, side // 2, 1]
    for scale, value in zip((1, 2, side), table.value):
        assert value == pytest.approx(class_similarity(knn_graph(torch.nn.functional.avg_pool2d(expected,
                                                                                                scale).flatten(1), 3),
                                                       labels))
    found = readings(model, images, analysed_layers(model, images))  # none of the default layers is misunderstood
    assert {reading.example.shape[2:] for reading in found.values()} <= {(size,) * 2, (side,) * 2, (2 * side,) * 2,
                                                                         (4, 4), (2, 2), (1, 1), ()}


def test_layers_within_windows_are_left_out_of_the_default():
    model, _ = timm_swin()
    with pytest.warns(UserWarning, match=r"left out, .*layers.0.blocks.0.attn.proj \(8 rows for 2 images\)"):
        assert "layers.0.blocks.0.attn.proj" not in analysed_layers(model, torch.randn(3, 3, 32, 32))
