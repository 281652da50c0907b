"""Hilum: a cloud PACS, the place where medical images enter, are kept, are found, and leave."""

__version__ = "0.1.0"
