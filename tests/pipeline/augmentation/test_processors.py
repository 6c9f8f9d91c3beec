"""Augmented waveforms do not depend on what the processor offers to numpy, numba and the system's library."""

import os
import platform
import subprocess
import sys

import pytest

from tests.support.augmentation_digest import augmentation_digest
from tests.support.imports import REPOSITORY

NO_AVX512 = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
PLAIN_LIBRARY = "glibc.cpu.hwcaps=-AVX2,-AVX2_Usable,-FMA,-FMA_Usable,-FMA4,-AVX512F"


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the features are those of x86-64")
@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"NUMBA_CPU_NAME": "generic"}, id="numba for any x86-64"),
        pytest.param({"NPY_DISABLE_CPU_FEATURES": NO_AVX512}, id="numpy without AVX-512"),
        pytest.param(
            {"NPY_DISABLE_CPU_FEATURES": f"{NO_AVX512} AVX2 FMA3 F16C AVX", "GLIBC_TUNABLES": PLAIN_LIBRARY},
            id="numpy and the system's library without AVX and FMA",
        ),
    ],
)
def test_augmented_waveforms_are_the_same_bytes_on_an_older_processor(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "tests.support.augmentation_digest"]
    child = subprocess.run(
        command, cwd=REPOSITORY, env=os.environ | environment, capture_output=True, text=True, check=True, timeout=300
    )
    assert child.stdout.split() == [augmentation_digest()]
