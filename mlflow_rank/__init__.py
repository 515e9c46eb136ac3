"""Governance of self-supervised speech encoders: rank, pilot, gate and audit trail for MLflow.

Importing this package loads neither torch, transformers nor mlflow: each is imported where it is used.
"""

__version__ = "0.1.0"
