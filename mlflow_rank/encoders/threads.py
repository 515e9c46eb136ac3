"""How many threads a pass takes: all for a large encoder, one for a small one, which would only wait for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow_rank.encoders.interface import Encoder

# Measured on two cores: HuBERT base (95 M) is 1.7 times faster with two threads, the starter encoder (2 M) 2.5 times
# slower, because its layers take less time than threads need to meet. The bound lies between, nearer to the small one.
SMALL = 10_000_000  # parameters


def threads_for(encoder: Encoder, most: int) -> int:
    """Return how many threads serve this encoder, at most `most`."""
    parameters = encoder.describe().get("parameters")
    return 1 if isinstance(parameters, int) and parameters < SMALL else most


@contextmanager
def suitable_threads(encoder: Encoder) -> Iterator[None]:
    """Run a pass inside with the threads that serve the encoder; afterwards all is as before."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    threads = threads_for(encoder, before)
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)
