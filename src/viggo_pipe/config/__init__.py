"""params.yaml: its sections, profiles, and what is wrong with them in one line."""
