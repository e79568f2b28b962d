"""How people and tests order things of the twin."""
