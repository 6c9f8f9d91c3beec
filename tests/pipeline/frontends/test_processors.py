"""The values of every kind, as recorded and at a level, are the same on older and newer x86-64 processors."""

import os
import platform
import subprocess
import sys
from typing import Final

import pytest

from tests.support.front_ends import REPOSITORY, digests

_AVX512: Final = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
_NO_AVX: Final = {
    "NPY_DISABLE_CPU_FEATURES": f"{_AVX512} AVX2 FMA3 F16C AVX",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-AVX2_Usable,-FMA,-FMA_Usable,-FMA4,-AVX512F",
    "OPENBLAS_CORETYPE": "Nehalem",
}


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the features are those of x86-64")
@pytest.mark.parametrize(
    "environment",
    [
        {"NUMBA_CPU_NAME": "generic"},
        {"NPY_DISABLE_CPU_FEATURES": _AVX512},
        _NO_AVX,
        _NO_AVX | {"NUMBA_CPU_NAME": "generic"},
    ],
    ids=["numba for any x86-64", "numpy without AVX-512", "libraries without AVX", "nothing but SSE"],
)
def test_values_are_the_same_bytes_on_an_older_processor(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "tests.support.front_ends"]
    child = subprocess.run(
        command, cwd=REPOSITORY, env=os.environ | environment, capture_output=True, text=True, check=True, timeout=300
    )
    assert child.stdout.splitlines() == digests().splitlines()
