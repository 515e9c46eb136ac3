"""A pre-training run to watch: the starter recipe under a monitor, with faults that one can switch on."""

from mlflow_rank.speech.torchaudio_backend import import_torchaudio

import_torchaudio()  # before the first import of transformers: see that module for why
