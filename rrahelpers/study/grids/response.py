"""The networks of the representational-response and separation notebooks."""

from rrahelpers.study.grids.recipes import recipe


def augmentation(data_set, image_size, learning_rate, epochs, seeds, train_limit):
    """ResNet20 trained with the recipe's augmentations and without any (thesis' abstract), seed by seed."""
    common = {"image_size": image_size, "learning_rate": learning_rate, "epochs": epochs, "limit": train_limit}
    return [recipe(data_set, seed=seed, **common, **plain) for seed in range(seeds)
            for plain in ({}, {"augmentation": ()})]


def separation(networks, image_size, learning_rate, seeds, train_limit):
    """The networks that the separation index is followed through, seed by seed.

    ``networks``: a list of [model, data set, options, epochs].
    """
    return [recipe(data_set, model, options=options, seed=seed, epochs=epochs, image_size=image_size,
                   learning_rate=learning_rate, limit=train_limit)
            for seed in range(seeds) for model, data_set, options, epochs in networks]
