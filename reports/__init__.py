"""Regulatory reports: pure functions of the facts of a trading day, which are columns of decoded rows of the log. No I/O.

Formats are modelled on published specifications, which docs/reports.md names. Nothing here is legal advice.
"""
