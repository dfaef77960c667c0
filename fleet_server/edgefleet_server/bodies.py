"""Request bodies of bounded size; the framework itself would read any amount into memory.

These are the only ``async`` parts among the routes: a body can only be awaited.
"""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import Depends, Request

from edgefleet_contract.dsse import ENVELOPE_LIMIT
from edgefleet_contract.errors import UsageMalformed
from edgefleet_server.releases.blobs import BlobWriter

METADATA_BODY_LIMIT = 32 << 20  # bytes: a whole repository, after a server was restored


async def small_body(request: Request) -> bytes:
    """The whole body, at most as large as a signed envelope.

    Raises:
        UsageMalformed: It is larger.
    """
    return await _bounded(request, ENVELOPE_LIMIT)


async def metadata_body(request: Request) -> bytes:
    """The whole body, at most as large as a publisher's whole repository; raises as :func:`small_body`."""
    return await _bounded(request, METADATA_BODY_LIMIT)


SmallBody = Annotated[bytes, Depends(small_body)]
MetadataBody = Annotated[bytes, Depends(metadata_body)]


async def _bounded(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise UsageMalformed(f"The body has more than {limit} bytes", expected=f"at most {limit}")
    return bytes(body)


async def stream_to(request: Request, writer: BlobWriter) -> None:
    """Write the body to ``writer`` as it comes; disk work is done in a thread."""
    pending = bytearray()
    async for chunk in request.stream():
        pending += chunk
        if len(pending) >= 1 << 20:
            await to_thread.run_sync(writer.write, bytes(pending))
            pending.clear()
    await to_thread.run_sync(writer.write, bytes(pending))
    await to_thread.run_sync(writer.finish)
