"""What the API says of samples."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SampleSchema(BaseModel):
    """A sample that is whole."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    device_id: str
    digest: str
    sha256: str
    size: int
    taken_at: int
    received_at: int
    expires_at: int
    recipient: str
