"""The DICOMweb door: STOW-RS, QIDO-RS and WADO-RS (PS3.18 §10), and UPS-RS (§11).

What happens here: requests are understood (paths, parameters, media types, bodies in parts), services are asked,
answers are streamed, errors become problem JSON. What never happens here: a rule of the archive, SQL, a file, decoding
on the event loop, or a request without a principal.
"""

from hilum.dicomweb.routes import DicomwebServices, routes

__all__ = ["DicomwebServices", "routes"]
