"""How a study of prediction is shown."""
