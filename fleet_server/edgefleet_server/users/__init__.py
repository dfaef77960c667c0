"""Who uses the server: people with a password, programs with an API token, and what their roles let them do."""
