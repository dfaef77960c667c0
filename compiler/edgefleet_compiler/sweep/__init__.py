"""The sweep: many recipes for one target, and those of them than which no other is better in every respect."""
