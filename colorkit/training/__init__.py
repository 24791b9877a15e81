"""Training: one plain loop for every network of the course."""
