"""Measurements of the kernels and of whole networks; see tools/gpu_report.py."""
