"""The networks of the notebooks on probes (dissertation, 4.3, 8.3) and on tail patterns (8.5, 9.1, 9.2, C to E).

Here a group of networks is a list [model, data set, options, image sizes], one network for each size; sizes may have
steps, as for :func:`rrahelpers.data.load`.
"""

from rrahelpers.study.grids.recipes import distinct, recipe


def probes(sequential, skipping, small, large, learning_rate, epochs, seeds, train_limit):
    """Figures 33, 34, 45 and 46, seed by seed: four groups."""
    fields = {"learning_rate": learning_rate, "epochs": epochs, "limit": train_limit}
    return [config for seed in range(seeds) for group in (sequential, skipping, small, large)
            for config in sizes_of(group, seed=seed, **fields)]


def tails(low, objects, resolutions, detail, pass_through, skipped, zigzag, learning_rate, epochs, seeds, train_limit,
          detail_epochs=None):
    """Figures 49, 51, 50, table 10 and figure 69, then what else there is of them, appendices D and E; seed by seed.

    ``low``, ``objects``, ``resolutions`` and ``detail`` are lists of groups, the others groups. ``detail_epochs``:
    those of ``detail``'s networks, None: as the others'.
    """
    first = [*low, *objects[:1], *resolutions[:1], *detail, pass_through, skipped, zigzag]
    fields = {"learning_rate": learning_rate, "limit": train_limit}
    return distinct(config for seed in range(seeds) for group in (*first, *resolutions[1:], *objects[1:])
                    for config in sizes_of(group, seed=seed,
                                           epochs=detail_epochs or epochs if group in detail else epochs, **fields))


def sizes_of(group, **fields):
    """The configurations of a group, one for each of its image sizes, with ``fields`` of RunConfig."""
    model, data_set, options, sizes = group
    return [recipe(data_set, model, options=options, image_size=size, **fields) for size in sizes]
