"""Recovery from few rows: an adapter's gradient holds sums of inputs, of which a dictionary is known."""
