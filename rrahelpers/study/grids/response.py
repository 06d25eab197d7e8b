"""The networks of the representational-response and separation notebooks."""

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
