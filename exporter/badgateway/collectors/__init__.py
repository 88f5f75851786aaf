"""What is counted and read: one file for each signal.

A collector takes events or reads states, counts on ``Counters`` and keeps what the diagnosis needs
as evidence. It knows nothing of log formats.
"""
