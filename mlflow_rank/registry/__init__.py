"""Where measurements and encoders live: MLflow's tracking store and model registry.

The only folder that imports mlflow, and only inside functions: importing it costs nothing.
"""
