"""The report: one HTML page and a model card, made from predictions, metrics and plots."""
