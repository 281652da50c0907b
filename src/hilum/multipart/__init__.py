"""multipart/related as a stream: an incremental, bounded reader and the pieces of a response.

What happens here: Content-Type is parsed, bytes become part events, part headers become bytes (RFC 2046, RFC 2387,
PS3.18 §8.6.1). What never happens here: input or output, asyncio, any knowledge of DICOM or HTTP routes.
"""

from hilum.multipart.content_type import ContentType, parse_content_type, split_outside_quotes
from hilum.multipart.reader import PartBegin, PartData, PartEnd, PartEvent, RelatedReader
from hilum.multipart.writer import closing_delimiter, new_boundary, part_head, related_content_type

__all__ = [
    "ContentType",
    "PartBegin",
    "PartData",
    "PartEnd",
    "PartEvent",
    "RelatedReader",
    "closing_delimiter",
    "new_boundary",
    "parse_content_type",
    "part_head",
    "related_content_type",
    "split_outside_quotes",
]
