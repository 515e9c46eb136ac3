"""What may move: the doors of MLflow's store, what is asked at them, and what follows from the answer."""
