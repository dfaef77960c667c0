"""The compiler's nouns on the command line. Options become requests here; nothing is decided here."""
