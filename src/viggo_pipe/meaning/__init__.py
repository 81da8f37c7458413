"""What a meaning representation is: its syntax and its ontology."""
