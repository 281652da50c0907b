"""The DIMSE doors out: what Hilum asks of other application entities.

`echo` verifies, `send_instances` stores. What never happens here: conversion of what is sent, decisions about what to
send (callers take them), bytes of PDUs.
Reference: PS3.4 Annexes A (Verification), B (Storage); PS3.7 §9.1.
"""
