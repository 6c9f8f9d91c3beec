import numpy as np
import pytest
import tensorflow as tf

from model.errors import ModelError
from model.training.epoch_metrics import EpochLogits, EpochMetrics

LOGITS = np.array([3.0, -1.0, 0.5, -2.0, 4.0, -0.5, 1.0, -3.0])
LABELS = np.array([1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0])


def update(metric: EpochLogits, logits: np.ndarray, labels: np.ndarray) -> None:
    metric.update_state(tf.constant(labels, tf.float32), tf.constant(logits[:, np.newaxis], tf.float32))


def test_the_metrics_of_an_epoch_are_those_of_its_logits() -> None:
    metrics = EpochMetrics.of(LOGITS, LABELS)

    probabilities = 1 / (1 + np.exp(-LOGITS))
    assert metrics.loss == pytest.approx(-np.log(np.where(LABELS == 1, probabilities, 1 - probabilities)).mean())
    assert metrics.accuracy == 0.75, "-0.5 is no spoof, 1.0 no bona fide"
    assert metrics.auc == 14 / 16, "two of sixteen pairs are in the wrong order"
    assert metrics.eer == 0.25


def test_what_comes_in_batches_is_measured_as_a_whole() -> None:
    metric = EpochLogits(n_examples=8, n_replicas=1)
    for at in range(0, 8, 2):
        update(metric, LOGITS[at : at + 2], LABELS[at : at + 2])

    assert metric.metrics() == EpochMetrics.of(LOGITS, LABELS)
    assert metric.result() == {}, "Keras copies no value of it to its logs"


def test_the_next_epoch_replaces_the_one_before() -> None:
    metric = EpochLogits(n_examples=8, n_replicas=1)
    update(metric, -LOGITS, LABELS)
    metric.reset_state()
    update(metric, LOGITS, LABELS)

    assert metric.metrics() == EpochMetrics.of(LOGITS, LABELS)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_not_finite_means_that_the_training_diverged(value: float) -> None:
    metric = EpochLogits(n_examples=8, n_replicas=1)
    update(metric, np.where(LOGITS == 4.0, value, LOGITS), LABELS)

    with pytest.raises(ModelError, match="the training diverged"):
        metric.metrics()


@pytest.mark.parametrize("value", [0.0, -3.5])
def test_one_value_for_every_clip_is_an_epoch_with_an_eer_of_half(value: float) -> None:
    metrics = EpochMetrics.of(np.full(8, value), LABELS)

    assert metrics.is_constant
    assert (metrics.eer, metrics.auc) == (0.5, 0.5)
    assert metrics.as_dict().keys() == {"loss", "accuracy", "auc", "eer"}
    assert not EpochMetrics.of(LOGITS, LABELS).is_constant
    assert not EpochMetrics.of(np.sign(LOGITS), LABELS).is_constant, "two values are an epoch like any other"
