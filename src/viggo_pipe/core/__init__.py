"""What every stage stands on: errors, files, signals, resumption. Knows nothing of models or meanings."""
