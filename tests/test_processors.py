"""The numeric tests hold for the kernels of other processors, and with two threads.

Libraries choose their kernels by the processor; told to do without the newest instructions they round
as an older one does. So one machine stands for several.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

NUMERIC = (
    "tests/gradients/test_engine_equals_oracle.py",
    "tests/gradients/test_numbers.py",
    "tests/optim",
)
OLDEST = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
}
RECENT = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
HAS_AVX2 = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


@pytest.mark.parametrize(
    ("kernels", "threads"),
    [
        pytest.param(OLDEST, 1, id="oldest"),
        pytest.param(OLDEST, 2, id="oldest, two threads"),
        pytest.param(
            RECENT,
            2,
            id="avx2, two threads",
            marks=pytest.mark.skipif(not HAS_AVX2, reason="this processor has no AVX2"),
        ),
    ],
)
def test_numbers_hold_on_other_processors(kernels: dict[str, str], threads: int) -> None:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    # Threads that wait must not keep a core from those that work.
    settings = {**kernels, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *NUMERIC],
        cwd=Path(__file__).parents[1],
        env={**inherited, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-1000:]
