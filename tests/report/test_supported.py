"""SUPPORTED.md: for each kind of network, built small and at random, its row says what a report has of it."""

import warnings

import pytest
import torch

from rrahelpers.base.files import project_root
from rrahelpers.report import analyse, build_network
from rrahelpers.report.ablation import residual_blocks

pytestmark = pytest.mark.usefixtures("one_thread")
TOKENS = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8,
          "intermediate_size": 16}
NETWORKS = {  # as in the table's second column: options, side of the images
    "resnet20": ({"width": 0.25, "depth": 0.34}, 32),
    "vgg11": ({"width": 0.0625}, 32),
    "torchvision/squeezenet1_1": ({"num_classes": 3}, 64),
    "timm/test_resnet": ({}, 32),
    "timm/test_efficientnet": ({}, 32),
    "timm/test_convnext": ({}, 64),
    "timm/test_mambaout": ({}, 64),
    "timm/vit_tiny_patch16_224": ({"img_size": 32, "patch_size": 8, "depth": 1, "embed_dim": 24, "num_heads": 2}, 32),
    "timm/vit_small_patch14_reg4_dinov2": ({"img_size": 28, "depth": 1, "embed_dim": 24, "num_heads": 2}, 28),
    "timm/swin_tiny_patch4_window7_224": ({"img_size": 32, "window_size": 4, "embed_dim": 8, "depths": (1, 1),
                                           "num_heads": (2, 2)}, 32),
    "transformers/ViTForImageClassification": (TOKENS, 32),
    "transformers/DeiTForImageClassification": (TOKENS, 32),
    "transformers/CLIPVisionModel": (TOKENS, 32),
    "transformers/SwinForImageClassification": ({"image_size": 32, "embed_dim": 8, "depths": [1, 1],
                                                 "num_heads": [2, 2], "window_size": 4}, 32),
    "transformers/ConvNextForImageClassification": ({"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2}, 32),
    "transformers/ResNetForImageClassification": ({"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1],
                                                   "layer_type": "basic"}, 32),
}


def rows():
    """{network: the cells behind it} of the page's table."""
    lines = (project_root() / "SUPPORTED.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {row[1].strip("`"): row[2:] for row in cells if row[1].startswith("`")}


def test_each_row_has_a_network_here():
    assert list(rows()) == list(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_what_a_report_has_of_it(name):
    if name.startswith(("timm", "transformers")):
        pytest.importorskip(name.split("/")[0])
    options, side = NETWORKS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libraries' own, on building
        model, _ = build_network(name, "random", options)
    x = torch.randn(6, 3, side, side)
    report = analyse(model, x, torch.arange(6) % 2, k=2, progress=False)
    table = report.layers.drop(index=0)
    assert table[["class_similarity", "separation_index", "saturation", "probe", "nnts_before"]].notna().all(axis=None)
    assert len(report.summary().splitlines()) == 5
    tokens = "class_similarity_8" not in table
    found = ["token grid" if tokens else "pooling windows",
             "all" if not any(note.startswith("layers: left out") for note in report.notes) else "not within windows",
             "yes" if table["r_max"].notna().all() and table["productive"].notna().all() else "no",
             "without attention's products" if any("no rule" in note for note in report.notes) else "all",
             "yes" if len(report.advice) else "no", "yes" if residual_blocks(model, x[:2]) else "no"]
    assert rows()[name][:6] == found
