"""The inference child: the one process that holds numpy, a runtime and a model."""
