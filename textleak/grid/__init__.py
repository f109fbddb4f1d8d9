"""A grid of audits: texts, models, tasks, attacks, defences and seeds, every combination a run."""
