"""`mlflow-rank study`: one file for each verb."""
