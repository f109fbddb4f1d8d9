"""What one shared update proves in closed form, before any search."""
