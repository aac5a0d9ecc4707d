"""Fuzzes the parsers of the agent: those of binary formats under the guidance of coverage."""
