"""How a study of correlation is shown."""
