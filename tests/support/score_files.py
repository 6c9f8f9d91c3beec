"""Score files of made-up systems that scored the same utterances."""

import numpy as np

from model.metrics import format_scores

N_PER_CLASS = 120


def make_scores(seed: int, distance: float = 2.0) -> str:
    """The text of a score file of four columns: bona fide, and spoof of two attacks.

    Files of different seeds share most of their noise, as real systems do.

    Args:
        seed: Seed of the noise that the files do not share.
        distance: Of the mean scores of the two classes, in standard deviations.
    """
    labels = np.repeat([1, 0], N_PER_CLASS)
    noise = np.random.default_rng(0).normal(0, 1, 2 * N_PER_CLASS) + np.random.default_rng(seed).normal(
        0, 0.2, 2 * N_PER_CLASS
    )
    attacks = ["-"] * N_PER_CLASS + ["A01", "A02"] * (N_PER_CLASS // 2)
    return format_scores([f"u{i}" for i in range(2 * N_PER_CLASS)], noise + distance * labels, attacks, labels.tolist())
