"""What is deleted: after its time, and on request."""
