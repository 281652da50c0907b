"""Stores of blobs: the file system with every write made durable, and S3, Azure Blob Storage and Google Cloud Storage.

All implement `hilum.archive.ports.BlobStore` and pass one suite of tests. What never happens here: a look into the
bytes, a decision what to keep, a key made from a peer's text. Reference for the bytes kept: PS3.10 §7.
"""

from hilum.objectstore.cloud import ObjectStore, open_object_store
from hilum.objectstore.filesystem import FilesystemStore

__all__ = ["FilesystemStore", "ObjectStore", "open_object_store"]
