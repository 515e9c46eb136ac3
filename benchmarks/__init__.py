"""What the product costs: speed, memory and exactness, each as a ratio measured here and now, beside what was asked.

`python -m benchmarks` runs all and prints one Markdown table; `python -m benchmarks overhead workers` runs some.
"""

import sys
from pathlib import Path

sys.path.append(
    str(Path(__file__).parents[1] / "tests" / "modules")
)  # the servers that tests start, as pytest finds them
