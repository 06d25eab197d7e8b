"""The page of limitations: each row names a test that there is; here are those that have no better place."""

import re
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from rrahelpers.advisor import advise, truncate, without_downsampling
from rrahelpers.base.files import project_root
from rrahelpers.eigenspace import covariances, project, projected_accuracies
from rrahelpers.features import extract
from rrahelpers.receptive_field import receptive_fields


def rows():
    lines = (project_root() / "LIMITATIONS.md").read_text(encoding="utf-8").splitlines()
    tables = [line for line in lines if line.startswith("|") and not line.startswith(("| ---", "| Kind of"))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in tables]


def test_each_row_is_held_by_a_test():
    assert len(rows()) > 25
    for row in rows():
        assert len(row) == 5 and all(row[:3]), row
        match = re.fullmatch(r"`(test_\w+\.py)::(test_\w+)`", row[4])
        assert match, f"expected `test_file.py::test_name` in the last column, got {row[4]!r}"
        files = (project_root() / "tests").rglob(match[1])
        assert any(f"\ndef {match[2]}(" in file.read_text(encoding="utf-8") for file in files), row[4]


def test_functional_layers_have_receptive_fields_but_no_names_to_cut_at():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.weight = nn.Conv2d(3, 4, 3), nn.Parameter(torch.randn(4, 4, 5, 5))

        def forward(self, x):
            return nn.functional.conv2d(self.a(x), self.weight).mean((2, 3))

    assert receptive_fields(Functional(), 16).set_index("layer").r_max.to_dict() == {"a": 3, "convolution()": 7}
    with pytest.raises(ValueError, match="expected the name of a Conv2d, got 'convolution.*there are: a"):
        truncate(Functional(), "convolution()")


def test_a_redrawn_kernel_is_a_plain_one():
    model = nn.Sequential(parametrizations.weight_norm(nn.Conv2d(3, 4, 7, stride=2)))
    changed = without_downsampling(model, ["0"])[0]
    assert changed.kernel_size == (3, 3) and not parametrize.is_parametrized(changed)
    assert parametrize.is_parametrized(model[0])


def test_a_network_that_answers_with_an_object():
    class Answers(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

        def forward(self, x):
            return {"logits": self.fc(self.a(x).mean((2, 3)))}

    model, images, labels = Answers(), torch.randn(9, 3, 8, 8), torch.arange(9) % 2
    found = covariances(model, images)
    assert list(found) == list(extract(model, images, ["a", "fc"])) == receptive_fields(model,
                                                                                        8).layer.tolist() == ["a", "fc"]
    with pytest.raises(TypeError, match=r"Answers answers with dict; expected logits, a tensor \[N, classes\]"):
        projected_accuracies(model, images, labels, found, [0.9], progress=False)


def test_a_network_with_observers_has_no_receptive_fields():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this way of making them is deprecated, and still in use
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)).train()
        model.qconfig = torch.ao.quantization.get_default_qat_qconfig("x86")
        prepared = torch.ao.quantization.prepare_qat(model)
        with pytest.raises(NotImplementedError, match="in layer '0.activation_post_process'"):
            receptive_fields(prepared, 16)


def test_recurrent_layers_have_no_receptive_field():
    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.lstm = nn.Conv2d(3, 4, 3), nn.LSTM(4, 5, batch_first=True)

        def forward(self, x):
            return self.lstm(self.a(x).flatten(2).transpose(1, 2))[0]

    for function in (receptive_fields, advise):
        with pytest.raises(NotImplementedError, match="in layer 'lstm' .LSTM. "):
            function(Reads(), 8)


def test_random_subspaces_cannot_be_drawn_inside_of_vmap():
    class Mapped(nn.Sequential):
        def forward(self, x):
            return torch.vmap(super().forward)(x)

    model, x = Mapped(nn.Linear(6, 4)).eval(), torch.randn(30, 6)
    with torch.no_grad(), project(model, 0.5, covariances(model, x)) as projections:
        assert torch.linalg.matrix_rank(model(x) - model(x).mean(0), rtol=1e-4) < 4
        projections.random = 1
        with pytest.raises(RuntimeError, match="random operation"):
            model(x)
