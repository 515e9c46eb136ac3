"""What a run leaves in MLflow, and how encoders come out of it again."""
