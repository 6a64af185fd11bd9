"""A server that does not get up again by itself: work for clients that have gone costs it more.

One worker, and a queue in time of its own: a request that waits too long is served all the same, for
nobody, and costs ``factor`` times as much, as a transaction that is rolled back does. So a pause
leaves a queue behind that the full load keeps up for ever. With a factor of 1 it gets up by itself.
One JSON line on standard input ({"at_ns": ..., "for_ns": ...}) makes the worker pause.
"""

import asyncio
import sys
import time

import outage_server


class Server(outage_server.Server):
    COST_NS = 5_500_000
    PATIENCE_NS = 100_000_000  # from then on the client has gone, as far as the server knows
    MOST_NS = 500_000_000  # a longer queue turns requests away

    def __init__(self, port, factor=1.0):
        super().__init__(port)
        self.factor, self.free_ns = factor, 0

    async def respond(self, writer, method, path, body, hit):
        if method == b"GET":
            await super().respond(writer, method, path, body, hit)
            return
        now = time.monotonic_ns()
        wait = max(0, self.free_ns - now)
        if wait > self.MOST_NS:
            self.send(writer, b"503 Service Unavailable", b"{}")
            return
        cost = self.COST_NS * (self.factor if wait > self.PATIENCE_NS else 1)
        self.free_ns = now + wait + int(cost)
        await asyncio.sleep((self.free_ns - now) / 1e9)
        await super().respond(writer, method, path, body, hit)

    async def outage(self, at_ns, for_ns, style, only=None, client=None):
        await outage_server.until(at_ns)
        began = time.monotonic_ns()
        self.free_ns = max(began, self.free_ns) + for_ns
        await outage_server.until(began + for_ns)
        return began, time.monotonic_ns()


if __name__ == "__main__":
    factor = float(sys.argv[1])
    outage_server.Server = lambda port: Server(port, factor)
    asyncio.run(outage_server.main())
