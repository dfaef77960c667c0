"""How much memory each runtime takes for one inference, planned as that runtime plans it."""
