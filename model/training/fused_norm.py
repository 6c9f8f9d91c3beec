"""Batch normalisation by TensorFlow's fused operation, for training on one device.

`keras.layers.BatchNormalization` computes by several operations, each of which passes over the whole batch; on a CPU they are a
large part of a step. The fused operation does not know of other devices, so several devices keep Keras' layer.
"""

from typing import Any

import keras
import tensorflow as tf


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Computes in training, by one operation, what its base class does; inference is that of the base class.

    float16 inputs stay float16; the statistics are float32.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        if not training or not self.trainable:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            tf.convert_to_tensor(self.gamma),
            tf.convert_to_tensor(self.beta),
            epsilon=self.epsilon,
            is_training=True,
        )
        # The operation gives the variance of a sample, n / (n - 1) times that which normalises and which Keras keeps.
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
        for kept, found in ((self.moving_mean, mean), (self.moving_variance, variance * (count - 1) / count)):
            kept.assign(kept * self.momentum + found * (1 - self.momentum))
        return outputs


def with_fused_norm(network: keras.Model) -> keras.Model:
    """A copy of a network, weights included, for training on one device.

    Its weights fit the network: `network.set_weights(copy.get_weights())`. The copy is not for saving, for its file would need
    this project.

    Args:
        network: Whose batch normalisations act on [batch, frames, bins, channels].
    """

    def copied(layer: keras.Layer) -> keras.Layer:
        kind = FusedBatchNormalization if type(layer) is keras.layers.BatchNormalization else type(layer)
        return kind.from_config(layer.get_config())

    copy = keras.models.clone_model(network, clone_function=copied)
    copy.set_weights(network.get_weights())
    return copy
