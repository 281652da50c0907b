"""The schema's history, one module per step, run by `hilum.index.migrate`; never edited once released."""
