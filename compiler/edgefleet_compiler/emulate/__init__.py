"""What runtimes compute with integers, bit by bit, on the host: an oracle for those that cannot run here."""
