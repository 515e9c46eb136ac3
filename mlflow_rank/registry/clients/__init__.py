"""How others ask: loading what was approved, how a model stands, and whether the gate is shut."""
