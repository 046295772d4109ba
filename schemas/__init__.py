"""The words of the exchange: units, enumerations, reasons, instruments, record schemas. Imports nothing else of the project."""
