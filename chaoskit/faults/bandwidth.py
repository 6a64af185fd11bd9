"""``bandwidth``: everything that the target sends goes through a narrow pipe.

A token bucket on the target's devices: what comes faster waits in a queue, and is lost once the
queue is full. Nothing is refused and nobody is dead, which is what makes it hard to detect.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from pydantic import Field, field_validator

from chaoskit.capabilities import Rate
from chaoskit.contracts import Claim, Dial, FaultModel, Hold, Lab, Targets
from chaoskit.faults.cutting import Proof
from chaoskit.faults.dials import transfer
from chaoskit.faults.shapes import observer_of, shaped
from chaoskit.units import BytesPerSecond, PositiveSeconds, format_bandwidth

__all__ = ["Bandwidth"]

_SLOWEST, _FASTEST = 1000, 1_250_000_000  # bytes/s: 8 kbit/s and 10 Gbit/s
_BURST_S = 0.01
_LEAST_BURST = 4096  # more than the largest packet, or nothing would ever fit
_PROOF_S = 0.15  # what a transfer must take at least, of what the rate alone would make it take
_PROVED = 0.6


class Bandwidth(FaultModel):
    """Limits what the target sends; all its peers together share the rate."""

    kind: ClassVar[str] = "bandwidth"
    needs: ClassVar[frozenset[str]] = frozenset({"shape"})
    summary: ClassVar[str] = "what the target sends is limited to a rate; healed by the full one"

    rate: BytesPerSecond = Field(
        description="How much it can send at most, on each of its devices: from 8kbit/s to "
        "10Gbit/s.",
        examples=["1mbit/s", "100KB/s"],
    )
    queue_s: PositiveSeconds = Field(
        0.4,
        alias="queue",
        description="How long a packet may wait at most; what would wait longer is lost.",
        examples=["400ms", "2s"],
    )

    @field_validator("rate")
    @classmethod
    def _sensible(cls, value: float) -> float:
        if not _SLOWEST <= value <= _FASTEST:
            raise ValueError("rate: from 8kbit/s to 10Gbit/s; to let nothing pass, use partition")
        return value

    @field_validator("queue_s")
    @classmethod
    def _queue(cls, value: float) -> float:
        if not 0.001 <= value <= 60:
            raise ValueError("queue: from 1ms to 60s")
        return value

    def features(self) -> frozenset[str]:
        """The token bucket."""
        return frozenset({"tbf"})

    def claims(self) -> frozenset[Claim]:
        """The devices' queue."""
        return frozenset({Claim("egress")})

    def bucket(self) -> Rate:
        """The rate in whole bytes, with ten milliseconds of it at once."""
        per_s = math.ceil(self.rate)
        burst = max(_LEAST_BURST, math.ceil(self.rate * _BURST_S))
        limit = max(burst + _LEAST_BURST, math.ceil(self.rate * self.queue_s) + burst)
        return Rate(per_s, burst, min(limit, 2**31 - 1))

    def rehearse(self, lab: Lab, targets: Targets) -> tuple[Dial, ...]:
        """Without the fault the transfer is quick."""
        return self._proof(lab, targets)[0]

    @contextmanager
    def inject(self, lab: Lab, targets: Targets) -> Iterator[Hold]:
        """Narrow the pipe; verified by reading the discipline back, proved by a transfer."""
        names = ", ".join(node.name for node in targets.nodes)
        what = f"{names} can send {format_bandwidth(self.rate)} at most"
        with shaped(lab, targets, self.bucket(), self._proof(lab, targets), what) as hold:
            yield hold

    def _proof(self, lab: Lab, targets: Targets) -> Proof:
        """So many bytes that at this rate they take 150 ms beyond the burst; less is no proof."""
        size = self.bucket().burst + math.ceil(self.rate * _PROOF_S)
        slow_s = _PROOF_S * _PROVED
        dials = [transfer(n, observer_of(lab, n), size, slow_s) for n in targets.nodes]
        return tuple(dial for found in dials for dial in found), ()
