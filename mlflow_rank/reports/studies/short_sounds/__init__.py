"""How a study of short sounds is shown."""
