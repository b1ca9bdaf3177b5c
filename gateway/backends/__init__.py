"""The ports' implementations: the clock, state, metrics, files and the way to the CRM."""
