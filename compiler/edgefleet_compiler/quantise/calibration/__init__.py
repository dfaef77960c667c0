"""Calibration: what activations were seen to be, how ranges come of it, and whether the cases suffice.

``observe`` streams a calibration set through a float hub once. ``range_by`` makes a range of what was seen of one
activation, by any of the methods of ``settings.Method``. ``sufficiency`` says whether more cases would change much.
"""
