"""Studies: many runs over one set of inputs, gathered into one table, and the figures that are drawn from it."""
