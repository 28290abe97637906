"""Arithmetic of a run before it is started: parameters, memory a GPU, step time, and the layouts that fit.

Pure functions of a configuration, a vocabulary and a cluster; nothing here imports torch. `docs/scaling.md` tells the
assumptions and what they were checked against, `benchmarks/memory.py` measures the memory.
"""
