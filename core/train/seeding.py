"""Torch's global random state: a pure function of what is being done, and the caller's own again afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_random_state(seed: int | None = None, device_type: str = "cpu") -> Iterator[None]:
    """Whatever is seeded or drawn inside leaves the caller's random state as it was.

    seed: start from it. device_type: also cover the devices of this type ("cuda").
    """
    devices = list(range(torch.cuda.device_count())) if device_type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        if seed is not None:
            torch.manual_seed(seed)
        yield


def seed_step(device: torch.device, *parts: int) -> None:
    """Seed the random state of the CPU and of `device` for one step from several integers; takes microseconds."""
    digest = hashlib.blake2b(":".join(map(str, parts)).encode(), digest_size=7).digest()
    seed = int.from_bytes(digest, "big")
    # torch.manual_seed records a stack trace for every absent kind of device: tens of times slower, and memory a step
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)
