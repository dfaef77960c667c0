"""Fine-tuning and distillation: the weights of a float hub trained on, in a child that alone knows TensorFlow.

``train`` is what others call. It gives the child a hub and cases, and gets weights epoch by epoch; ``command`` makes a
resumable folder of it, ``step`` a step of a recipe.
"""
