"""What ``exporters.onnx`` does to a copy of the hub, step by step."""
