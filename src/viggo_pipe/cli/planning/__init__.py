"""What a run will take on a device, before anything long starts: `viggo plan` and `viggo check` ask it."""
