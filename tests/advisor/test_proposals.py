"""What is proposed against tails, predicted and measured, and for the width, against the networks that result."""

import pandas as pd
import pytest
import torch
from torch import nn

from rrahelpers import complexity, models
from rrahelpers.advisor import advise, propose, with_downsampling, with_shortcuts, without_downsampling
from rrahelpers.advisor.places import meetings, shortcuts
from rrahelpers.receptive_field import border_layer, receptive_fields

VGG16 = [f"features.{place}" for place in (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40)]  # border: the eighth


def meta(name, **options):
    with torch.device("meta"):
        return models.build(name, **options)


def proposals(model, size, *arguments, **options):
    return propose(model, size, *arguments, **options).set_index("proposal")


@pytest.fixture(scope="module")
def vgg16():
    return meta("vgg16")


def test_the_width_is_judged_without_the_tail(vgg16):
    """Figure 62: at half of VGG16's width all layers average 49 %, which speaks for 2.0, those before the tail 67 %."""
    saturations = dict(zip(VGG16, [0.67] * 7 + [0.28] * 6))
    row = proposals(vgg16, 32, saturations).loc["scale the width"]
    assert row.change == "by 2.7"
    assert row.reason.startswith("Average saturation of 7 layers before features.24 67%, above 20% to 30%: ")
    assert "Single layers are not scaled" in row.reason and "Caution" not in row.reason
    # a tail that would pull an overfull network into the best interval doesn't silence the advice
    hidden = dict(zip(VGG16, [0.46] * 7 + [0.02] * 6))
    assert 0.2 < sum(hidden.values()) / 13 < 0.3
    assert proposals(vgg16, 32, hidden).change["scale the width"] == "by 1.8"


def test_too_wide_and_too_narrow_are_told_apart(vgg16):
    wide, narrow = (proposals(vgg16, 160, dict.fromkeys(VGG16[:7], value)).reason["scale the width"]
                    for value in (0.1, 0.5))
    assert "below 20% to 30%: fewer channels are likely to be as accurate for less (11.3)" in wide
    assert "above 20% to 30%: more channels are likely to be more accurate (11.3)" in narrow


def test_where_the_premises_fail_that_is_said(vgg16):
    uneven = dict(zip(VGG16, [0.6] * 4 + [0.1] * 3 + [0.6] * 6))
    reason = proposals(vgg16, 196, uneven).reason["scale the width"]
    assert "Caution: saturation is uneven, 10% from features.14 to features.20 and 60% elsewhere" in reason
    inverted = nn.Sequential(nn.Conv2d(3, 32, 3), nn.MaxPool2d(2), nn.Conv2d(32, 4, 3))
    assert "no pyramid" in proposals(inverted, 16, {"0": 0.5}).reason["scale the width"]
    pyramid = nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.Conv2d(4, 32, 3))
    assert "no pyramid" not in proposals(pyramid, 16, {"0": 0.5}).reason["scale the width"]


@pytest.mark.parametrize("name, options", [("resnet50", {}), ("densenet18", {}), ("mpnet18", {})])
def test_the_usual_networks_are_pyramids(name, options):
    model = meta(name, **options)
    reason = proposals(model, 64, {receptive_fields(model, 64).query("conv == 1").layer.iloc[0]: 0.5}).reason
    assert "no pyramid" not in reason["scale the width"]


def test_a_measured_tail_leads_to_proposals_as_a_predicted_one_does(vgg16):
    saturations = dict(zip(VGG16, [0.6] * 7 + [0.1] * 6))
    none = proposals(vgg16, 196)
    assert none.index.tolist() == ["as it is"]
    rows = proposals(vgg16, 196, saturations)
    assert rows.index.tolist() == [*proposals(vgg16, 32).index, "scale the width"]
    assert rows.change["truncate"] == "end before features.24"
    assert rows.reason["truncate"].startswith("From features.24 on, 6 convolutions have an average saturation of 10%, "
                                              "the others 60%: a tail (8.5.2).")
    # as if by objects that the layer before sees whole: larger ones would be seen by all
    seen = int(receptive_fields(vgg16, 196).set_index("layer").r_border_in["features.24"]) - 1
    objects = proposals(vgg16, 196, object_size=seen)
    assert rows.change.drop("scale the width").equals(objects.change)


def test_of_two_tails_the_earlier_counts(vgg16):
    later = proposals(vgg16, 32, dict(zip(VGG16, [0.6] * 9 + [0.1] * 4)))
    assert later.change["truncate"] == "end before features.24"
    assert "predicted to be idle" in later.reason["truncate"] and "From features.30 on" in later.reason["truncate"]
    earlier = proposals(vgg16, 32, dict(zip(VGG16, [0.6] * 5 + [0.1] * 8)))
    assert earlier.change["truncate"] == "end before features.17"


def test_the_objects_stand_in_for_the_image(vgg16):
    rows, small = proposals(vgg16, 160, object_size=32), proposals(vgg16, 32)
    assert rows.border["as it is"] == small.border["as it is"] == "features.24"
    assert rows.change["truncate"] == small.change["truncate"]
    table = receptive_fields(vgg16, 160)
    side = int(rows.input_size["enlarge the images"].split("x")[0])
    assert side == 5 * int(small.input_size["enlarge the images"].split("x")[0])
    assert border_layer(table, side // 5) is None and border_layer(table, side // 5 - 1)
    assert advise(vgg16, 160, object_size=32).productive.equals(advise(vgg16, 32).productive)
    for size in (0, 161, 1.5):
        with pytest.raises(ValueError, match="expected object_size in whole pixels, at most the image's 160"):
            propose(vgg16, 160, object_size=size)


def test_images_that_are_too_large_have_idle_layers_at_the_input(vgg16):
    rows = proposals(vgg16, 1024)
    assert rows.reason["shrink the images"].startswith("No convolution sees more than 196 of 1024 pixels")
    assert rows.change["add down-sampling"] == "2x2 pooling before features.3"  # nothing can make a layer idle
    measured = dict(zip(VGG16, [0.1] * 4 + [0.5] * 9))
    assert "The first 4 convolutions, up to features.10, have" in proposals(vgg16, 1024, measured).reason[
        "shrink the images"]
    rows = proposals(vgg16, 200, object_size=196, saturations=measured)  # receptive fields tell nothing
    assert rows.change["shrink the images"] == "to 100 pixels"
    assert rows.reason["shrink the images"].startswith("The first 4 convolutions")


def test_down_sampling_is_added_where_it_makes_no_layer_idle(vgg16):
    row = proposals(vgg16, 224).loc["add down-sampling"]
    at = row.change.removeprefix("2x2 pooling before ")
    places = meetings(receptive_fields(vgg16, 224))
    idle = [border_layer(receptive_fields(with_downsampling(vgg16, [place]), 224), 224) is not None for place in places]
    assert places[idle.index(False)] == at and idle == sorted(idle, reverse=True) and idle[0]
    changed = with_downsampling(vgg16, [at])
    assert (row.flops, row.params) == complexity.count(changed, (3, 224, 224))
    assert row.memory == complexity.memory(changed, (3, 224, 224)) and row.memory_saved > 0


def test_down_sampling_is_moved_where_all_paths_meet(vgg16):
    """By hand: without its stem the last convolution gets 46 pixels, and 58 behind a pooling by 4 before it."""
    rows = proposals(vgg16, 64)
    names, at = rows.change["move down-sampling"].removeprefix("from ").split(" to before ")
    changed = with_downsampling(without_downsampling(vgg16, names.split(", ")), [at], 4)
    assert at in meetings(receptive_fields(vgg16, 64))
    counted = complexity.count(changed, (3, 64, 64))
    assert (rows.flops["move down-sampling"], rows.params["move down-sampling"]) == counted
    assert rows.flops["move down-sampling"] < rows.flops["drop the stem"]
    assert pd.isna(rows.border["move down-sampling"])


def test_shortcuts_are_added_to_a_sequence_alone(vgg16):
    places = shortcuts(receptive_fields(vgg16, 32), vgg16)
    assert places == {"features.3": "features.6", "features.10": "features.13", "features.17": "features.23",
                      "features.27": "features.33", "features.34": "features.40", "features.40": "features.43"}
    row = proposals(vgg16, 32).loc["add shortcuts"]
    changed = with_shortcuts(vgg16, places)
    assert row.border == border_layer(receptive_fields(changed, 32), 32) != "features.24"
    real = with_shortcuts(models.build("vgg16", width=1 / 16), places)
    assert real.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
    assert "add shortcuts" not in proposals(meta("resnet18"), 32).index
