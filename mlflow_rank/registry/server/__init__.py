"""What is served: MLflow's app with approved files sealed, the record to be read, and the gate's health."""
