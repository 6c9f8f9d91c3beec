import keras
import numpy as np
import pytest

from model.errors import ModelError
from model.networks import build_network
from model.params import TrainParams
from model.report.gradcam import grad_cam
from pipeline.store import Statistics

N_FRAMES, N_BINS = 32, 16
PATCH = (slice(20, 25), slice(4, 7))


def detector_of_energy(sign: float, reductions: int = 0) -> keras.Model:
    """A network whose logit grows (or falls) with the energy anywhere in the spectrogram."""
    layers = keras.layers
    inputs = keras.Input((N_FRAMES, N_BINS))
    values = layers.Reshape((N_FRAMES, N_BINS, 1))(inputs)
    for _ in range(reductions + 1):
        values = layers.Conv2D(1, 3, padding="same", use_bias=False, kernel_initializer="ones")(values)
        values = layers.ReLU()(values)
        if reductions:
            values = layers.MaxPooling2D(2, padding="same")(values)
    values = layers.GlobalAveragePooling2D()(values)
    dense = layers.Dense(1, kernel_initializer=keras.initializers.Constant(sign))
    return keras.Model(inputs, dense(values))


def patch(n_frames: int = N_FRAMES) -> np.ndarray:
    features = np.zeros((n_frames, N_BINS), np.float32)
    features[PATCH] = 10.0
    return features


@pytest.mark.parametrize("n_frames", [1, 7, 31, 32, 33, 200])
def test_the_map_covers_a_clip_of_any_length_and_lies_between_0_and_1(n_frames: int, train_params: TrainParams) -> None:
    keras.utils.set_random_seed(1)
    statistics = Statistics(np.full(N_BINS, -50.0), np.full(N_BINS, 15.0), 100)
    network = build_network(N_FRAMES, statistics, train_params)
    features = np.random.default_rng(n_frames).normal(-50, 15, (n_frames, N_BINS)).astype(np.float16)

    for for_bona_fide in (True, False):
        evidence = grad_cam(network, features, for_bona_fide=for_bona_fide)

        assert evidence.shape == (n_frames, N_BINS)
        assert evidence.dtype == np.float32
        assert evidence.min() >= 0
        assert evidence.max() in (0, 1)


def test_the_evidence_is_where_the_energy_is() -> None:
    evidence = grad_cam(detector_of_energy(1.0), patch(), for_bona_fide=True)

    inside = evidence[PATCH]
    assert inside.min() > 0.4
    outside = evidence.copy()
    # A 3 × 3 kernel sees one cell beyond the patch.
    outside[19:26, 3:8] = 0
    assert outside.max() == 0


def test_pooling_shifts_the_evidence_by_no_more_than_a_cell() -> None:
    evidence = grad_cam(detector_of_energy(1.0, reductions=1), patch(), for_bona_fide=True)

    weights = evidence.sum(axis=1)
    centre = float(np.arange(N_FRAMES) @ weights / weights.sum())
    assert centre == pytest.approx(22, abs=2)


def test_in_a_long_clip_the_evidence_stays_in_its_place() -> None:
    features = patch(150)
    features[100:105, 4:7] = 20.0

    evidence = grad_cam(detector_of_energy(1.0), features, for_bona_fide=True)

    assert evidence.max(axis=1).argmax() in range(99, 106)
    assert evidence[40:90].max() == 0
    assert evidence[PATCH].max() > 0


def test_evidence_for_one_class_is_not_evidence_for_the_other() -> None:
    for sign in (1.0, -1.0):
        network = detector_of_energy(sign)

        assert grad_cam(network, patch(), for_bona_fide=sign > 0).max() == 1
        assert grad_cam(network, patch(), for_bona_fide=sign < 0).max() == 0


def test_a_network_without_a_convolutional_block_is_an_error_that_says_so() -> None:
    inputs = keras.Input((N_FRAMES, N_BINS))
    network = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(inputs)), name="flat")

    with pytest.raises(ModelError, match="'flat' has no convolutional block"):
        grad_cam(network, patch(), for_bona_fide=True)
