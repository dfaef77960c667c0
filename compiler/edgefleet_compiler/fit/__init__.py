"""Where a model fits: for every target what binds, what it costs and how sure that is, before anything is compiled."""
