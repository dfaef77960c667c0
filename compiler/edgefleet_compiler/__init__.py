"""The compiler: a trained model in, a measured artifact for a named target out."""
