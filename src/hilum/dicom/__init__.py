"""The standard as data and pure functions: what a data set says, and what the standard says about it.

Here the header reader turns the bytes of a data set into DICOM JSON, index values and the places of large values;
here are UIDs, transfer syntaxes, the data dictionary, the attributes of each level, character sets, PS3.10 file meta
information, the Native DICOM Model, the conditions of queries with the oracle that says what they mean, and the sample
studies. It is the one room that imports pydicom.

Nothing here opens a file or a socket, looks at a clock, decodes a pixel, or knows of tenants, requests or storage.

Reference: PS3.3, PS3.4 §C.2.2.2, PS3.5, PS3.6, PS3.10, PS3.18 Annex F, PS3.19 Annex A.
"""
