"""Forecast of load and the counts of roles that it takes: a function of what was measured, of the calendar and of measured costs. No I/O."""
