"""Where it holds: MLflow's model registry and tracking store, and the only folder that imports mlflow.

`files` says what would be loaded, `outside` who else is told, `gate` what may move, `server` what is served, `clients`
how others ask, and `runs` what a run leaves; each knows only those before it. Importing them costs nothing.
"""
