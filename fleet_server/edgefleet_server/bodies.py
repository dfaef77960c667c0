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


async def small_body(request: Request) -> bytes:
    """The whole body, at most as large as a signed envelope.

    Raises:
        UsageMalformed: It is larger.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > ENVELOPE_LIMIT:
            raise UsageMalformed(f"The body has more than {ENVELOPE_LIMIT} bytes", expected=f"at most {ENVELOPE_LIMIT}")
    return bytes(body)


SmallBody = Annotated[bytes, Depends(small_body)]


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
