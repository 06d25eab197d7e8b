"""Draw what each explorer shows in a handful of states, for the pages of the site, which have no kernel.

``RRA_DATA=… python site/explorers.py [02 08 …]`` writes ``site/explorers/``, which is committed. Most need only what is
committed, some the data that their network was trained on. A picture is of the plain function that the explorer calls.
"""

import io
import itertools
import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image

from rrahelpers import data, plots
from rrahelpers.features.pooled import POOLING
from rrahelpers.study import figures, grids, notebooks, profiles
from rrahelpers.study.eigenspaces import autoencoder
from rrahelpers.training import runs
from rrahelpers.widgets import architecture, class_similarity, eigenspace, probes, response, separation, stac

FOLDER = Path(__file__).parent / "explorers"
COLOURS, DPI, LARGEST = 96, 96, 60_000  # of a picture; bytes


def network(name, model, **options):
    """A stored run with weights on the very copy of a data set that is here."""
    here = data.checksum(name)
    return next(run for run in runs.stored_runs() if run.config.data_checksum == here and run.config.model == model
                and run.config.options == options and any(path.exists() for path in runs.weight_paths(run.folder)))


def predictions():
    run = network("cifar10", "resnet20")
    images, model = run.images("test", 12), run.model()
    return ("Class probabilities of a ResNet20 for test images.", {"image": list(range(12))},
            lambda image: [class_similarity.prediction_figure(model, run, images, image)])


def similarity():
    run = network("cifar10", "resnet20")
    view = class_similarity.class_similarity_view(run, run.images("test", 500))
    return ("Ten neighbours of a test image among 500, at a layer and a pooling scale.",
            {"layer": ["stem", "stages.0.2", "stages.1.2", "stages.2.2"], "pooling": ["1", "4", "global"]},
            lambda layer, pooling: view.draw(layer, pooling, 10, 5))


def windows():
    chosen = {"8 in every stage": (8, 8, 8), "4 in every stage": (4, 4, 4), "8, 4, 2": (8, 4, 2),
              "global": ("global",) * 3, "last stage alone": (None, None, 8)}
    return ("Costs and reach of STAC in ResNet20, by the windows of its stages.",
            {"windows": list(chosen), "kernels": ["3, 3", "1, 1"]},
            lambda windows, kernels: [stac.stac_figure(chosen[windows], tuple(map(int, kernels.split(", "))))])


def projections():
    known = notebooks.parameters("04_pca_projection") | profiles.parameters("04_pca_projection", "study")
    run = next(run for run in grids.trained(grids.grid("projection", "study")) if run)
    recipe = autoencoder.Recipe(*(known[name] for name in (
        "pictures", "picture_size", "picture_limit", "autoencoder_epochs", "autoencoder_learning_rate")))
    view = eigenspace.projection_view(run, *autoencoder.table_3(recipe))
    return (f"What {figures.network_title(run.config.model, run.config.options)} keeps in the eigenspaces of its "
            "layers, and what an autoencoder makes of pictures in its own, by the share δ of the variance.",
            {"δ": sorted(view.answers)}, view.draw)


def probed():
    run = next(run for run in grids.trained(grids.grid("probes", "study")) if run and run.config.model == "resnet18")
    view = probes.probe_view(run, samples=300, sizes=(1, 4))
    layers = list(dict.fromkeys(layer for layer, *_ in view.features))
    return ("Probes on the layers of a ResNet18, by the side that maps are pooled to, and what one of them confuses.",
            {"layer": [layers[1], layers[len(layers) // 2], layers[-1]], "size": [1, 4], "pooling": list(POOLING)},
            view.draw)


def saturations():
    view = eigenspace.SaturationView({"ResNet20": network("cifar10", "resnet20")}, 1000)
    return ("Saturation of each layer of a ResNet20, by the share δ of the variance.",
            {"δ": [0.9, 0.95, 0.99, 0.995, 0.999]}, lambda δ: view.draw("ResNet20", δ))


def tails():
    known = notebooks.parameters("07_tail_patterns") | profiles.parameters("07_tail_patterns", "study")
    plan = grids.Plan(*(known[name] for name in ("recipe", "epochs", "train_limit", "data_checksums")))
    model, data_set, options, sizes = group = known["resolutions"][0]
    found = zip(sizes, grids.trained(grids.tail_sizes(plan, group, known["detail"])))
    trained = {size or 32: [run] for size, run in found if run}
    name = f"{figures.network_title(model, options)}, {figures.TITLES[data_set]}"
    view = probes.TailView({name: trained}, known["samples"])
    return ("Saturation and probes as measured at the nearest size that was trained; border layers at any size.",
            {"pixels": [32, 64, 128, 224, 448]}, lambda pixels: view.draw(name, pixels))


def receptive_fields():
    return ("Receptive fields along a network's convolutions, and where its border layers lie.",
            {"network": ["ResNet18", "VGG16", "ResNet34", "DenseNet18"], "pixels": [32, 64, 128, 224]},
            lambda network, pixels: [architecture.receptive_field_figure(network, pixels)])


def proposals():
    averages = {"not measured": 0, "20 %": 0.2, "50 %": 0.5}
    return ("What could be changed in a network, and what that costs or saves.",
            {"network": ["ResNet18", "VGG16"], "pixels": [32, 128], "average saturation": list(averages)},
            lambda network, pixels, saturation: [architecture.proposal_figure(network, pixels, averages[saturation])])


def neighbours():
    run = network("cifar10", "resnet20")
    view = response.neighbour_change_view(run, run.images("test", 300))
    return ("Images whose ten neighbours change most between two layers.",
            {"from": ["input", "stem", "stages.1.2"], "to": ["stages.2.2", "fc"], "metric": list(response.METRICS)},
            lambda first, second, metric: view.draw(first, second, 10, metric, rows=2))


def separations():
    view = separation.separation_view(network("mnist", "resnet18", width=0.25, stem="cifar"), samples=300)
    layers = list(view.graphs)
    return ("Separation of classes among 300 images of MNIST at layers of a ResNet18, and the radii of test images.",
            {"layer": [layers[0], layers[len(layers) // 2], layers[-1]], "order": [1, 5], "γ / largest": [0.1, 0.5]},
            view.draw)


EXPLORERS = {"00_start_here": predictions, "01_classrepsim": similarity, "02_stac_design": windows,
             "03_stac_ablations": windows, "04_pca_projection": projections,
             "05_saturation": saturations, "06_probes": probed, "07_tail_patterns": tails,
             "08_receptive_field": receptive_fields,
             "09_architecture_advice": proposals, "10_representational_response": neighbours,
             "11_separation_index": separations}


def picture(drawn):
    """Figures one below the other, as a PNG of few colours."""
    parts = []
    for fig in drawn:
        file = io.BytesIO()
        fig.savefig(file, dpi=DPI, bbox_inches="tight", facecolor="white")
        plt.close(fig)
        few = Image.open(file).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        parts.append(few.convert("RGB"))  # by itself: photographs take no colours from a chart
    whole = Image.new("RGB", (max(part.width for part in parts), sum(part.height for part in parts)), "white")
    for number, part in enumerate(parts):
        whole.paste(part, (0, sum(above.height for above in parts[:number])))
    file = io.BytesIO()
    whole.quantize(COLOURS * len(parts), dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def draw(name):
    told, controls, function = EXPLORERS[name]()
    (FOLDER / name).mkdir(parents=True, exist_ok=True)
    states = []
    for places in itertools.product(*(range(len(values)) for values in controls.values())):
        chosen = [values[place] for values, place in zip(controls.values(), places)]
        state = "-".join(map(str, places))
        content = picture(function(*chosen))
        if len(content) > LARGEST:
            raise ValueError(f"{name}, {chosen}: expected a picture of at most {LARGEST} bytes, got {len(content)}")
        (FOLDER / name / f"{state}.png").write_bytes(content)
        shown = ", ".join(f"{control} {value}" for control, value in zip(controls, chosen))
        states.append({"state": state, "file": f"{state}.png", "alt": f"{told} Here: {shown}."})
    about = {"told": told, "controls": controls, "pictures": states}
    (FOLDER / f"{name}.json").write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    plots.use_style()
    for name in EXPLORERS:
        if not sys.argv[1:] or name.split("_")[0] in sys.argv[1:]:
            draw(name)
