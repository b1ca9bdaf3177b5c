"""Words in, exit codes out. One file a verb; each has `register`."""
