"""The store's bytes are the same on older and newer x86-64 processors, and with one or two workers."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import soundfile

from tests.support.synthetic_corpus import waveform, write_corpus

_AVX512: Final = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
# An empty list of features leaves those that the processor's name implies.
_NUMBA_FEATURES: Final = {"NUMBA_CPU_FEATURES": ""}
_SETTINGS: Final[dict[str, dict[str, str]]] = {
    "numpy without AVX-512": {"NPY_DISABLE_CPU_FEATURES": _AVX512},
    "numpy without AVX": {"NPY_DISABLE_CPU_FEATURES": f"{_AVX512} AVX2 FMA3 F16C AVX"},
    "numba generic": {"NUMBA_CPU_NAME": "generic"},
    "numba haswell": {"NUMBA_CPU_NAME": "haswell", **_NUMBA_FEATURES},
    "numba skylake-avx512": {"NUMBA_CPU_NAME": "skylake-avx512", **_NUMBA_FEATURES},
    "glibc without AVX": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F"},
    "OpenBLAS for Nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
    "nothing but SSE": {
        "NPY_DISABLE_CPU_FEATURES": f"{_AVX512} AVX2 FMA3 F16C AVX",
        "NUMBA_CPU_NAME": "generic",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F",
        "OPENBLAS_CORETYPE": "Nehalem",
        "SOXR_USE_SIMD64": "0",
    },
}
# Flags of /proc/cpuinfo without which code for the processor does not run.
_NEEDED_FLAGS: Final = {
    "numba haswell": {"avx2", "fma", "bmi2"},
    "numba skylake-avx512": {"avx512f", "avx512cd", "avx512dq", "avx512bw", "avx512vl"},
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the settings are those of x86-64"),
]


def _store(
    corpus: Path, folder: Path, repository: Path, setting: dict[str, str], n_workers: int = 1
) -> dict[str, bytes]:
    """Makes manifest and store in child processes; every file of both by its name."""
    # numba keeps the code of different processors apart within a folder.
    environment = {**os.environ, "PYTHONPATH": str(repository), "NUMBA_CACHE_DIR": str(corpus / "numba"), **setting}
    params, manifest, store = repository / "params.yaml", folder / "manifest.parquet", folder / "features"
    common = ("--params", params, "--root", corpus)
    for arguments in (
        ("manifest", *common, "--output", manifest),
        ("features", *common, "--manifest", manifest, "--output", store, "--workers", n_workers),
    ):
        command = [sys.executable, "-m", "bonafide", *map(str, arguments)]
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
    files = [manifest, *sorted(path for path in store.rglob("*") if path.is_file())]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small corpus with one clip in stereo at another rate."""
    root = write_corpus(tmp_path_factory.mktemp("corpus"), n_utterances=6, duration_s=0.4)
    stereo = np.stack([waveform("left"), 0.5 * waveform("right")], axis=1)
    soundfile.write(root / "ASVspoof2019_LA_train" / "flac" / "LA_T_0000001.flac", stereo, 22_050, "PCM_16")
    return root


@pytest.fixture(scope="module")
def reference(corpus: Path, tmp_path_factory: pytest.TempPathFactory, repository: Path) -> dict[str, bytes]:
    """The store as this machine makes it."""
    return _store(corpus, tmp_path_factory.mktemp("reference"), repository, {})


def _require_same(found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


@pytest.mark.parametrize("name", _SETTINGS)
def test_store_has_the_same_bytes_on_another_processor(
    name: str, corpus: Path, reference: dict[str, bytes], tmp_path: Path, repository: Path
) -> None:
    missing = _NEEDED_FLAGS.get(name, set()) - set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    if missing:
        pytest.skip(f"{name}: this processor lacks {', '.join(sorted(missing))}")
    _require_same(_store(corpus, tmp_path, repository, _SETTINGS[name]), reference)


def test_store_has_the_same_bytes_with_two_workers(
    corpus: Path, reference: dict[str, bytes], tmp_path: Path, repository: Path
) -> None:
    _require_same(_store(corpus, tmp_path, repository, {}, n_workers=2), reference)
