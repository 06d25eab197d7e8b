"""The networks of the notebooks on representational response, separation, and when layers form."""

from rrahelpers.study.grids.recipes import STAC


def augmentation(plan, data_set, image_size, learning_rate, seeds):
    """ResNet20 trained with the recipe's augmentations and without any (thesis' abstract), seed by seed."""
    recipe_of = plan.of(STAC, data_set, image_size, learning_rate=learning_rate)
    return [recipe_of("resnet20", seed=seed, **plain) for seed in range(seeds)
            for plain in ({}, {"augmentation": ()})]


def separation(plan, networks, image_size, learning_rate, seeds):
    """The networks that the separation index is followed through, seed by seed.

    ``networks``: a list of [model, data set, options, epochs].
    """
    return [plan.of(STAC, data_set, image_size, learning_rate=learning_rate)(model, options=options, seed=seed,
                                                                             epochs=epochs)
            for seed in range(seeds) for model, data_set, options, epochs in networks]


def formation(plan, data_set, image_size, learning_rate, seed):
    """The ResNet20 that is followed through its training: of a seed that no other notebook has, since its epochs are
    kept."""
    return [plan.of(STAC, data_set, image_size, learning_rate=learning_rate)("resnet20", seed=seed)]
