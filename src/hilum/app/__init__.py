"""Composition: the configuration, the wiring of rooms into processes, and the processes themselves.

Here a setting becomes a running part. What never happens here: a rule about DICOM, or a decision a policy could make.
"""
