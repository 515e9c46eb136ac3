"""How an organisation measures, on one page."""
