"""Low rank: layers as chains of smaller layers that compute nearly the same."""
