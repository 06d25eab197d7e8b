"""Measures of stored runs, computed once: each table lies beside its run, keyed by the measure and its parameters."""

from rrahelpers import data
from rrahelpers.class_similarity import SCALES, classrepsim


def class_similarity_table(run, samples, k, *, compute=True):
    """Class similarity of a run's network on its first ``samples`` test images (None: all), with ``k`` neighbours.

    Returns the columns of :func:`rrahelpers.class_similarity.classrepsim` and ``seed``. Where the store lacks the table it
    is computed and stored, or, without ``compute``, None is returned.
    """
    def measure():
        test = data.load(run.config.data, "test", limit=samples, image_size=run.config.image_size)
        return classrepsim(run.model(), run.preprocess(test.images), test.labels, k=k)

    parameters = {"split": "test", "samples": samples, "k": k, "scales": [str(scale) for scale in SCALES]}
    table = run.result("classrepsim", parameters, measure if compute else None)
    return None if table is None else table.assign(seed=run.config.seed)
