"""The losses against their published formulas, computed here from probabilities and exponentials."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from model.params import TrainParams
from model.training.losses import LOSSES, make_loss

LOGITS = np.array([-4.0, -1.0, -0.2, 0.0, 0.3, 0.9, 2.5], dtype=np.float32)

PLAIN = {
    "loss": "binary_crossentropy",
    "label_smoothing": 0.0,
    "one_class_margins": (0.2, 0.9),
    "one_class_alpha": 20.0,
}


def value(params: TrainParams, logits: Any, labels: Any, weights: Any = None, **changes: Any) -> float:
    loss = make_loss(params.model_copy(update={**PLAIN, **changes}))
    logits, labels = np.asarray(logits, np.float32)[:, np.newaxis], np.asarray(labels, np.float32)
    return float(loss(labels, logits, sample_weight=weights))


def each(params: TrainParams, logits: Any, label: float, **changes: Any) -> np.ndarray:
    return np.array([value(params, [logit], [label], **changes) for logit in logits])


def gradient(params: TrainParams, logits: np.ndarray, label: float, **changes: Any) -> np.ndarray:
    loss, values = make_loss(params.model_copy(update={**PLAIN, **changes})), tf.constant(logits[:, np.newaxis])
    with tf.GradientTape() as tape:
        tape.watch(values)
        total = loss(np.full(len(logits), label, np.float32), values)
    return np.asarray(tape.gradient(total, values))[:, 0]


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def test_the_binary_cross_entropy_is_minus_the_log_of_the_probability(train_params: TrainParams) -> None:
    p = sigmoid(LOGITS)

    assert each(train_params, LOGITS, 1) == pytest.approx(-np.log(p), rel=1e-5)
    assert each(train_params, LOGITS, 0) == pytest.approx(-np.log(1 - p), rel=1e-5)


def test_label_smoothing_gives_a_part_of_each_label_to_both_classes(train_params: TrainParams) -> None:
    p, smoothing = sigmoid(LOGITS), 0.1
    of_bona_fide = -0.95 * np.log(p) - 0.05 * np.log(1 - p)

    assert each(train_params, LOGITS, 1, label_smoothing=smoothing) == pytest.approx(of_bona_fide, rel=1e-5)
    assert each(train_params, -LOGITS, 0, label_smoothing=smoothing) == pytest.approx(of_bona_fide, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_the_focal_loss_is_that_of_its_paper(train_params: TrainParams, gamma: float) -> None:
    p = sigmoid(LOGITS)

    found = each(train_params, LOGITS, 1, loss="focal", focal_gamma=gamma)
    assert found == pytest.approx(-((1 - p) ** gamma) * np.log(p), rel=1e-4)
    found = each(train_params, LOGITS, 0, loss="focal", focal_gamma=gamma)
    assert found == pytest.approx(-(p**gamma) * np.log(1 - p), rel=1e-4)


def test_the_focal_loss_counts_an_easy_clip_for_less(train_params: TrainParams) -> None:
    # Section 3.2 of the paper: with gamma 2, a clip with probability 0.9 has a loss a hundredth of the cross-entropy.
    logit = [np.log(9.0)]

    easy = value(train_params, logit, [1], loss="focal", focal_gamma=2.0) / value(train_params, logit, [1])

    assert easy == pytest.approx(0.01, rel=1e-4)


def test_the_one_class_softmax_is_that_of_its_paper(train_params: TrainParams) -> None:
    cosines = np.array([-1.0, -0.3, 0.2, 0.55, 0.9, 1.0])
    changes = {"loss": "one_class_softmax", "one_class_alpha": 20.0, "one_class_margins": (0.2, 0.9)}

    # log(1 + exp(alpha (m_y - cos) (-1)^y)) with y 0 for bona fide, m_0 0.9 and m_1 0.2.
    found = each(train_params, cosines, 1, **changes)
    assert found == pytest.approx(np.log1p(np.exp(20 * (0.9 - cosines))), rel=1e-4)
    found = each(train_params, cosines, 0, **changes)
    assert found == pytest.approx(np.log1p(np.exp(-20 * (0.2 - cosines))), rel=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "focal", "focal_gamma": 0.0},
        {"loss": "one_class_softmax", "one_class_alpha": 1.0, "one_class_margins": (0.0, 0.0)},
    ],
    ids=["focal without focus", "one class without margins"],
)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_in_the_limit_it_is_the_binary_cross_entropy(
    train_params: TrainParams, changes: dict[str, Any], smoothing: float
) -> None:
    labels = np.arange(len(LOGITS)) % 2

    found = value(train_params, LOGITS, labels, label_smoothing=smoothing, **changes)
    assert found == pytest.approx(value(train_params, LOGITS, labels, label_smoothing=smoothing), rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_bona_fide_is_drawn_up_and_spoof_down(train_params: TrainParams, loss: str) -> None:
    logits = np.linspace(-1, 1, 9).astype(np.float32)

    assert (gradient(train_params, logits, 1, loss=loss) < 0).all()
    assert (gradient(train_params, logits, 0, loss=loss) > 0).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_extreme_logits_have_a_finite_loss_and_gradient(train_params: TrainParams, loss: str, label: float) -> None:
    logits = np.array([-1e4, -100, 100, 1e4], np.float32)

    assert np.isfinite(each(train_params, logits, label, loss=loss)).all()
    assert np.isfinite(gradient(train_params, logits, label, loss=loss)).all()
    # A confident error is still corrected.
    wrong = gradient(train_params, np.float32([100.0 if label == 0 else -100.0]), label, loss=loss)
    assert abs(wrong[0]) > 0.5


@pytest.mark.parametrize("loss", LOSSES)
def test_weights_multiply_the_loss_of_each_clip(train_params: TrainParams, loss: str) -> None:
    def single(logit: float, label: int) -> float:
        return value(train_params, [logit], [label], loss=loss)

    found = value(train_params, [0.5, -0.5], [1, 0], np.array([3.0, 1.0], np.float32), loss=loss)

    assert found == pytest.approx((3 * single(0.5, 1) + single(-0.5, 0)) / 2, rel=1e-5)


def test_margins_set_where_a_cosine_is_good_enough(train_params: TrainParams) -> None:
    def at(cosine: float, label: float) -> float:
        return value(train_params, [cosine], [label], loss="one_class_softmax")

    assert at(0.9, 1) == at(0.2, 0) == pytest.approx(np.log(2))
    assert at(1.0, 1) < 0.2 < at(0.8, 1)
    assert at(0.0, 0) < 0.2 < at(0.4, 0)
