"""The recipe of the starter encoder: HuBERT's two iterations in small, on the starter corpus."""

from mlflow_rank.speech.torchaudio_backend import import_torchaudio

import_torchaudio()  # before the first import of transformers: see that module for why
