"""The losses that training minimises, chosen by `train.loss`; a new one is one function here and one line in `LOSSES`.

Each is the sum of a term of bona fide and a term of spoof, weighted by the label. Label smoothing turns a label y into
y * (1 - smoothing) + smoothing / 2: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016.
"""

from collections.abc import Callable, Mapping
from typing import Final

import keras
import tensorflow as tf

from model.params import TrainParams
from model.registry import choose

Terms = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


class ClassTerms(keras.losses.Loss):
    """The mean of a loss that has a term for each class; sample weights multiply each clip's loss.

    Args:
        terms: From logits to the loss that each would have as bona fide and as spoof.
        label_smoothing: In [0, 1).
        name: Of the loss.
    """

    def __init__(self, terms: Terms, label_smoothing: float, name: str) -> None:
        super().__init__(name=name)
        self._terms = terms
        self._smoothing = label_smoothing

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of each clip: float32 [batch], from labels and logits of any shape with one value a clip."""
        logits = tf.reshape(y_pred, (-1,))
        labels = tf.reshape(tf.cast(y_true, logits.dtype), (-1,))
        targets = labels * (1 - self._smoothing) + self._smoothing / 2
        bonafide, spoof = self._terms(logits)
        return targets * bonafide + (1 - targets) * spoof


def binary_crossentropy(params: TrainParams) -> keras.losses.Loss:
    """Binary cross-entropy of logits, in nats: log(1 + exp(-z)) of bona fide, log(1 + exp(z)) of spoof."""

    def terms(logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.nn.softplus(-logits), tf.nn.softplus(logits)

    return ClassTerms(terms, params.label_smoothing, "binary_crossentropy")


def focal(params: TrainParams) -> keras.losses.Loss:
    """Focal loss: the cross-entropy times (1 - p) ** `focal_gamma`, p the probability that the logit gives to the class.

    Without the factor alpha of the paper: `train.class_balance` weighs the classes.
    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation 4.
    """

    def terms(logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # exp(-gamma * softplus(z)) is (1 - sigmoid(z)) ** gamma, with a finite gradient everywhere.
        bonafide, spoof = tf.nn.softplus(-logits), tf.nn.softplus(logits)
        return tf.exp(-params.focal_gamma * spoof) * bonafide, tf.exp(-params.focal_gamma * bonafide) * spoof

    return ClassTerms(terms, params.label_smoothing, "focal")


def one_class_softmax(params: TrainParams) -> keras.losses.Loss:
    """One-class softmax of the cosine c: log(1 + exp(a (m_1 - c))) of bona fide, log(1 + exp(a (c - m_0))) of spoof.

    a is `one_class_alpha`; m_0 < m_1 are `one_class_margins`. Bona fide gathers around one direction, spoof is kept away from
    it without a direction of its own. The network gives the cosine in place of a logit (`model.networks.head`).
    Source: Zhang, Jiang and Duan, "One-class Learning Towards Synthetic Voice Spoofing Detection", IEEE Signal Processing
    Letters 28, 2021, equation 4, where m_0 and m_1 have each other's names.
    """
    low, high = params.one_class_margins

    def terms(cosines: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        alpha = params.one_class_alpha
        return tf.nn.softplus(alpha * (high - cosines)), tf.nn.softplus(alpha * (cosines - low))

    return ClassTerms(terms, params.label_smoothing, "one_class_softmax")


LOSSES: Final[Mapping[str, Callable[[TrainParams], keras.losses.Loss]]] = {
    "binary_crossentropy": binary_crossentropy,
    "focal": focal,
    "one_class_softmax": one_class_softmax,
}


def make_loss(params: TrainParams) -> keras.losses.Loss:
    """The loss that `train.loss` names, of labels float32 [batch] and logits float32 [batch, 1].

    Raises:
        ParamsError: There is no such loss.
    """
    return choose(LOSSES, "train.loss", params.loss)(params)
