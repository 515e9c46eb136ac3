"""Who else is told: webhooks of ours and of MLflow's, and the thread that delivers them."""
