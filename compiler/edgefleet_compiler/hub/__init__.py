"""The hub: an ONNX graph (``onnx_ir.Model``, opset 21, static shapes) on which accuracy is traded.

``graph`` reads it, ``editor`` changes it, ``operators`` says what may stand in it, ``session`` runs it.
"""
