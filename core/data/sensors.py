"""Take sensors away from a recording, to ask how a trained model does where fewer of them work.

- The recording itself loses them, before filters, derived sensors and detectors see it: what is measured is what a
  user with fewer electrodes would get, not a trick on tokens.
- Which ones go depends on their names and on the number of the draw alone. So recordings of the same sensors lose the
  same ones, in whatever order they list them, and whoever loses more of a draw loses those that others lose too.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from ..modality import Recording, SensorLoss


def drop_sensors(recording: Recording, loss: SensorLoss | None) -> Recording:
    """The recording without some of its sensors; at least one always stays, and None takes nothing away."""
    if loss is None:
        return recording
    order = sorted(range(len(recording.sensors)), key=lambda i: (_priority(recording.sensors[i], loss.draw), i))
    kept = sorted(order[min(loss.dropped, len(order) - 1) :]) if order else []
    return replace(recording, signals=recording.signals[kept], sensors=tuple(recording.sensors[i] for i in kept))


def _priority(sensor: str, draw: int) -> bytes:
    return hashlib.blake2b(f"{draw}\n{sensor}".encode(), digest_size=8).digest()
