"""What compiler, agent and fleet server share: formats, messages, trust rules and errors.

Nothing here opens a socket, and nothing but a bundle file is opened on disk. It imports msgspec and
cryptography, so that a board with 512 MB can afford it.
"""
