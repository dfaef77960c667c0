"""Raw samples of devices: sealed to a key that this server does not have, kept for as long as the consent says."""
