"""`python -m mlflow_rank` is `mlflow-rank`."""

from mlflow_rank.cli.main import main

if __name__ == "__main__":
    main()
