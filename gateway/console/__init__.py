"""The owner's console: what is going on today, who works here, and the button for a lost phone."""
