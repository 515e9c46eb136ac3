"""`python -m benchmarks [NAME …]`: run all benchmarks, or those named, and print one Markdown table."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

BENCHMARKS = (
    "exactness",
    "stored_frames",
    "overhead",
    "memory",
    "workers",
    "probes",
    "pilot_pass",
    "deciding",
    "gate",
    "alarm_rates",
    "monitoring",
)  # each a module with run(folder, quick=…)


def main() -> None:
    """Parse, run one after the other, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that everything runs, measures nothing")
    asked = parser.parse_args()
    unknown = sorted(set(asked.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")

    # Every figure is of one thread unless its line says otherwise; read by every library, so before any is loaded.
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    import torch

    from benchmarks.table import markdown

    rows = []
    with tempfile.TemporaryDirectory(prefix="mlflow_rank-bench-") as folder:
        for name in asked.names or BENCHMARKS:
            start = time.monotonic()
            print(f"{name} …", end=" ", file=sys.stderr, flush=True)
            rows += importlib.import_module(f"benchmarks.{name}").run(Path(folder), quick=asked.quick)
            print(f"{time.monotonic() - start:.0f} s", file=sys.stderr)
    print(markdown(rows))
    if asked.quick:
        print("\n--quick: tiny sizes, so these figures mean nothing.")
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    print(f"\nMeasured on {platform.machine()} with {os.cpu_count()} cores; {versions}.")


if __name__ == "__main__":
    main()
