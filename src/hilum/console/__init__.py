"""The JSON API of our own web app, and the serving of its built pages.

What never happens here: DICOM itself; pictures and studies reach the pages through DICOMweb, as for everyone.
"""
