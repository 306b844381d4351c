"""Bytes to values and back, one package per format. No I/O."""
