"""The web console: one page, served whole from here."""
