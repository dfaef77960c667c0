"""The one command, ``edgefleet``: nouns, then verbs; each package owns its nouns."""
