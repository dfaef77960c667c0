"""Diagnosis: why int8 serves a layer badly, with figures, and what a remedy that was really tried brings."""
