"""Deletion vectors: which rows of a data file are no longer in the table.

Source: the Delta protocol, "Deletion Vector Format"; the 64-bit form of the portable Roaring format.
"""

from __future__ import annotations

import base64
import struct
import uuid
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from pyroaring import BitMap64

from lakehouse.changes.place import Place

_MAGIC = 1681511377
_RFC1924 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_TO_Z85, _FROM_Z85 = str.maketrans(_RFC1924, _Z85), str.maketrans(_Z85, _RFC1924)
_NAME_LENGTH = 20


def vector_path(descriptor: Mapping[str, Any]) -> str | None:
    """Return the file of a deletion vector, from the table's folder; None where there is no such file of its own.

    A vector may stand in the log itself; one with an absolute path is of another table.
    """
    if descriptor.get("storageType") != "u":
        return None
    told = str(descriptor["pathOrInlineDv"])
    folder, name = told[:-_NAME_LENGTH], told[-_NAME_LENGTH:].translate(_FROM_Z85)
    file = f"deletion_vector_{uuid.UUID(bytes=base64.b85decode(name))}.bin"
    return f"{folder}/{file}" if folder else file


def write_vectors(place: Place, deleted: Iterable[Iterable[int]]) -> list[dict[str, Any]]:
    """Store the row numbers of each file in one new vector file; return their descriptors for the log, in order."""
    name = uuid.uuid4()
    content, descriptors = bytearray(b"\x01"), []
    for rows in deleted:
        bitmap = BitMap64(rows)
        data = struct.pack("<i", _MAGIC) + bitmap.serialize()
        descriptors.append(
            {
                "storageType": "u",
                "pathOrInlineDv": base64.b85encode(name.bytes).decode().translate(_TO_Z85),
                "offset": len(content),
                "sizeInBytes": len(data),
                "cardinality": len(bitmap),
            }
        )
        content += struct.pack(">i", len(data)) + data + struct.pack(">I", zlib.crc32(data))
    with place.create_file(f"deletion_vector_{name}.bin") as sink:
        sink.write(bytes(content))
    return descriptors
