"""The command `viggo`. `viggo NAME` is the function `run` of the module NAME in here."""
