"""A report in words, in a folder, beside another, on a page; and what a layer's loss costs."""

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pandas as pd
import pytest
import torch
from torch import nn

from rrahelpers.report import Report, ReportError, analyse
from rrahelpers.report.ablation import ablate, residual_blocks
from rrahelpers.similarity import debiased_cka
from rrahelpers.topology import nnts
from tests.report.networks import Residual, images, network

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def report():
    return analyse(network(), *images(), k=5, progress=False)


def residual():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), Residual(6), nn.Sequential(Residual(6), nn.ReLU()),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))


def test_five_sentences_with_the_tables_numbers(report):
    said = report.summary().splitlines()
    assert len(said) == 5 and all(re.search(r"\d", one) and one.endswith(".") for one in said)
    table = report.layers.set_index("layer").drop("input")
    best = table["class_similarity"].idxmax()
    assert f"{table.loc[best, 'class_similarity']:.1%}" in said[1] and best in said[1]
    probe = table.loc[table["probe"].idxmax()]
    assert f"{probe['probe']:.1%} of unseen images, {probe['probe_train']:.1%} of those that" in said[2]
    assert f"{table['saturation'].mean():.1%}" in said[3] and "no run of three" in said[3]
    assert f"{table['r_max'].max()} pixels" in said[4]
    assert str(report).splitlines()[1:] == said and "<table" in report._repr_html_()


@pytest.mark.parametrize("own", [1.0, 0.5])
def test_the_distance_of_a_probes_two_scores_is_told_and_not_judged(report, own):
    """What `overfitted` calls so is a probe below one that knows less: one table of one probe a layer can't tell."""
    said = replace(report, layers=report.layers.assign(probe=0.5, probe_train=own)).summary().splitlines()[2]
    assert f"50.0% of unseen images, {own:.1%} of those" in said and "overfitted" not in said


def test_the_reach_of_shortcuts_is_told_by_its_two_ends(report):
    table = report.layers.assign(productive=True, r_min=range(len(report.layers)), r_max=99)
    told = replace(report, layers=table).summary()
    assert f"no layer lies behind the border layer: along the shortest paths receptive fields reach {len(table) - 1} " \
        "pixels, along the longest 99." in told
    alike = replace(report, layers=table.assign(r_min=99)).summary()
    assert "the largest receptive field is 99 pixels." in alike


def test_sentences_without_labels_are_others(report):
    alone = analyse(network(), images()[0], k=5, progress=False)
    said = alone.summary()
    assert len(said.splitlines()) == 5 and "class" not in said.replace("classifies", "")
    assert "Neighbours change most in" in said and "Intrinsic dimension is largest in" in said


def test_a_report_comes_back_from_its_folder(report, tmp_path):
    report.save(tmp_path / "kept")
    again = Report.load(tmp_path / "kept")
    for name in ("layers", "scales", "pairs", "advice"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(report, name))
    assert (again.about, again.notes, again.ablations) == (report.about, report.notes, None)
    assert torch.equal(again.pictures, report.pictures) and torch.equal(again.labels, report.labels)
    for layer, graphs in report.graphs.items():
        assert list(again.graphs[layer]) == list(graphs) and torch.equal(again.grams[layer], report.grams[layer])
        assert all(torch.equal(again.graphs[layer][scale].indices, graph.indices) for scale, graph in graphs.items())
    assert again.summary() == report.summary()
    assert pd.read_csv(tmp_path / "kept" / "layers.csv").shape == report.layers.shape
    with pytest.raises(ValueError, match="neither network nor images"):
        again.ablation()


@pytest.mark.parametrize("harm, words", [
    (lambda folder: (folder / "report.json").unlink(), "holds no report"),
    (lambda folder: (folder / "layers.parquet").write_bytes(b"PAR1"), "holds no report"),
    (lambda folder: (folder / "graphs.safetensors").write_bytes(b"no tensors"), "holds no report"),
    (lambda folder: (folder / "report.json").write_text('{"format": 99}', encoding="utf-8"), "of format 1, got 99"),
])
def test_a_damaged_folder_is_named(report, tmp_path, harm, words):
    report.save(tmp_path / "kept")
    harm(tmp_path / "kept")
    with pytest.raises(ReportError, match=words):
        Report.load(tmp_path / "kept")


def test_two_reports_side_by_side(report):
    x, labels = images()
    other = nn.Sequential(*network()[:4], nn.Flatten(), nn.Linear(12 * 64, 3))
    torch.nn.init.normal_(other[3].weight)
    second = analyse(other, x, labels, k=5, progress=False)
    found = report.compare(second)
    assert len(found.pairs) == 5 * 4
    row = found.pairs.set_index(["layer", "other"]).loc["6", "3"]
    assert row.nnts == nnts(report.finest("6"), second.finest("3")) and (row.i, row.j) == (3, 2)
    assert row.cka == debiased_cka(report.grams["6"], second.grams["3"])
    same = found.layers.set_index("layer")
    assert same.index.tolist() == ["input", "0", "3"] and same.loc["input", "nnts"] == 1
    assert same.loc["0", "cka"] == pytest.approx(1)
    for name in ("saturation", "probe", "class_similarity_2", "flops"):
        expected = second.layers.set_index("layer")[name]["3"] - report.layers.set_index("layer")[name]["3"]
        assert same.loc["3", name] == pytest.approx(expected)
    assert found.closest()["other"].tolist()[:2] == ["input", "0"]
    said = found.summary()
    assert repr(found) == said and said.startswith("3 layers have a namesake in the other network")
    most = same.loc[same["saturation"].abs().idxmax()]
    assert f"Saturation differs most in {most.name}: the other has {most['saturation']:+.3f}." in said
    apart = replace(found, layers=found.layers.iloc[:0]).summary()
    assert apart.startswith("5 and 4 layers were compared; none has a namesake")


def test_reports_over_other_images_are_not_compared(report):
    x, labels = images()
    for data, k, words in (((x.flip(0), labels), 5, "over the same images"), ((x, labels), 4, "same number of neigh")):
        with pytest.raises(ValueError, match=words):
            report.compare(analyse(network(), *data, k=k, layers=["0"], probes=False, progress=False))


GUESSING = pytest.mark.filterwarnings("ignore:the network itself is right about:UserWarning")  # these are random


@GUESSING
def test_what_the_loss_of_a_layer_costs():
    model, (x, labels) = residual().eval(), images()
    assert residual_blocks(model, x[:2]) == ["1", "2.0"]
    table = ablate(model, x, labels, ["input", "0", "1", "1.conv2"], progress=False).set_index(["layer", "how"])
    assert list(table.index) == [("0", "mean"), ("1", "mean"), ("1.conv2", "mean"), ("1", "left out"),
                                 ("2.0", "left out")]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())

    def accuracy(logits):
        return (logits.argmax(1) == labels).double().mean().item()

    with torch.no_grad():
        own, stem = accuracy(model(x)), model[0](x)
        shorter = accuracy(model[2:](stem))
        inner = model[1].conv2(model[1].conv1(stem).relu())
        constant = accuracy(model[2:](stem + inner.mean(0)))
        assert table.loc[("1", "left out")].tolist() == [shorter, own - shorter]
        assert table.loc[("1.conv2", "mean")].tolist() == [constant, own - constant]
        assert table.loc[("0", "mean"), "accuracy"] == accuracy(model[1:](stem.mean(0, keepdim=True)).expand(60, 3))


@GUESSING
def test_ablation_is_kept_beside_the_other_columns(report):
    x, labels = images()
    own = analyse(residual(), x, labels, k=5, probes=False, progress=False)
    table = own.ablation(["0", "1.conv2"], samples=30, progress=False)
    assert own.ablations is table and set(own.layers["lost"].notna()) == {True, False}
    assert own.layers.set_index("layer").loc["0", "lost"] == table["lost"].iloc[0]
    with pytest.raises(ValueError, match="expected labels"):
        analyse(residual(), x, k=5, progress=False).ablation()
    with pytest.raises(ValueError, match=r"expected logits \[N, 9 or more\]"):
        ablate(residual(), x, labels + 6, ["0"], progress=False)
    with pytest.raises(ValueError, match=r"expected logits \[N, 2\].*labels='own'"):  # not the network's classes
        ablate(residual(), x, labels % 2, ["0"], outputs=2, progress=False)
    with pytest.raises(ValueError, match="unknown labels 'mine'"):
        ablate(residual(), x, "mine", ["0"], progress=False)


@GUESSING
def test_ablation_by_the_networks_own_answers():
    model, (x, labels) = residual().eval(), images()
    with torch.no_grad():
        own = model(x).argmax(1)
    kept = ablate(model, x, "own", ["0"], progress=False)
    assert kept.equals(ablate(model, x, own, ["0"], progress=False)) and (kept.accuracy + kept.lost == 1).all()
    report = analyse(residual(), x, labels % 2, k=5, probes=False, progress=False)
    assert report.ablation(["0"], labels="own", progress=False).equals(kept)


def test_ablation_of_a_network_that_guesses_says_so():
    model, (x, labels) = residual().eval(), images()
    with torch.no_grad():
        model[-1].weight.zero_()
        model[-1].bias.copy_(torch.tensor([1.0, 0.0, 0.0]))
    with pytest.warns(UserWarning, match=r"right about 33.3% of these images, no more than guessing is \(33.3%\)"):
        ablate(model, x, labels, ["0"], progress=False)


class Links(HTMLParser):
    """Everything that a page would fetch, and its tags."""

    def __init__(self):
        super().__init__()
        self.links, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "data") and not value.startswith(("#", "data:")):
                self.links.append(value)


def test_a_page_of_its_own(report, tmp_path):
    path = report.to_html(tmp_path / "report.html")
    text = path.read_text(encoding="utf-8")
    page = Links()
    page.feed(text)
    assert page.links == [] and "url(http" not in text and "@import" not in text
    assert path.stat().st_size < 5e6 and page.tags.count("svg") == 6
    assert all(one in unescape(text) for one in report.summary().splitlines())
    rows = re.findall(r'<tr[^>]*><th class="text" scope="row" data-value="([^"]*)">', text)
    assert rows[:5] == report.layers["layer"].tolist()
    assert f'data-value="{report.layers["saturation"][1]:.8g}"' in text and report.about["digest"] in text
    assert "prefers-color-scheme: dark" in text and "@media print" in text and "currentColor" in text


def test_a_page_without_labels_or_pictures_escapes_what_it_is_given(tmp_path):
    model = nn.Sequential()
    model.add_module("<b>&", nn.Conv2d(5, 4, 3))
    own = analyse(model, torch.randn(9, 5, 8, 8), k=3, progress=False)
    text = own.to_html(tmp_path / "report.html").read_text(encoding="utf-8")
    assert own.pictures is None and "<b>" not in text and "&lt;b&gt;&amp;" in text and "there are no labels" in text
