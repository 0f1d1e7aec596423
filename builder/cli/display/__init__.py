"""What people and programs see: events, errors and results as lines, as a live view, as data."""
