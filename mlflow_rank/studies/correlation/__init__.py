"""How well one follows the other: associations, what is left beyond a trend, chance, intervals, choice of layers."""
