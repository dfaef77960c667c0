"""The MQTT broker: a child process that dies with the server, or one that somebody else runs."""
