"""hilum connects an EHR to other software and proves that the connection is safe to launch."""

__version__ = "0.1.0"
