"""How good answers are: scores, intervals, paired tests."""
