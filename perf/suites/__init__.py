"""The catalogue: each suite yields Case objects, for the command and for the pytest jobs alike."""
