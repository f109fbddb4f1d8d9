"""What passes between rooms: updates, threat models, events, reconstructions, configuration, errors."""
