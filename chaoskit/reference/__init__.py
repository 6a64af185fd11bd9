"""A small but honest failover system: two nodes, one primary, and a witness between them.

It stores registers (``/kv/<key>``) and a log of tokens (``/log``) over HTTP, in memory. It is
something to break on a bare machine, and small enough to be read in one sitting; its planted
defects (``defects.py``) show that a harness catches what it claims to catch.

**Order of reading.** ``messages.py`` (what is said), ``witness.py``, ``follower.py``,
``replica.py``, ``office.py`` (being primary), ``node.py`` (all of a node). These are state
machines without a clock or a socket. ``shell.py`` and ``service.py`` give them both, over
``server.py`` (HTTP in) and ``link.py`` (messages out).

**What is promised.** A write that was acknowledged is never lost and no two nodes serve at the
same time, whatever single failure strikes at whatever moment: the death of a process, a process
that stands still for any length of time, messages that are lost, late, doubled or overtaken in
any direction. What is not promised: surviving the death of the only node that is in sync.

**Epochs.** The witness holds the epoch, the primary's incarnation and the in-sync set, and
changes them only together and only upwards. A message of an old epoch counts for nothing. Every
process draws a new incarnation when it starts: one that was killed comes back empty and is
nobody's primary and in nobody's in-sync set until it has copied everything.

**Writing.** The primary orders writes and sends them to the backup in batches, one batch on its
way at a time. A write is executed and acknowledged when every member of the in-sync set has it.
A backup that falls silent for a detection time holds all writes up; the primary then asks the
witness for a fresh epoch with itself alone in the in-sync set, and acknowledges them under that.

**Serving.** A primary serves, reads too, only under a lease; either of two is enough. The
witness's answer says: nobody is promoted for a witness lease from now. The backup's answer to a
heartbeat says: I shall not ask for a detection time from now. A promotion needs the backup to
ask and the witness to grant, and each counts from when it *heard*, the primary from when it
*sent*: so the primary has stopped, by at least half a probe timeout, when another can begin.

**Taking over.** A backup that misses ``misses`` heartbeats in a row, each a probe timeout after
it was due, asks the witness. It is granted if it is in the in-sync set and the primary was silent
at the witness too; then the epoch goes up and the new primary is alone in the in-sync set. While
an answer is outstanding the backup promises the old primary nothing, and every later answer of
the witness settles all requests before it, so a request that was late cannot be granted after
the backup has changed its mind. A primary that hears nobody says so in what it still sends, and
such a heartbeat is no sign of life: a node that is deaf but not mute is replaced as well.

**Coming back.** Who is not in sync is copied to from the first piece on, while the primary goes
on alone; from the last piece on writes wait for both, and only then does the primary ask the
witness to take the newcomer in. A primary that finds itself deposed drops what it had not
acknowledged and is copied to like anybody else.

**Waiting for an operator** (``consent.py``, ``desk.py``). With approval the backup shows what is
pending and asks the witness only once that was approved: an approval opens the way to the same
question, and promotes nobody by itself. It is void as soon as the primary is heard.

**Handing over** (``handover.py``, ``failback.py``). By plan the office moves without a loss: the
primary holds new writes, lets the backup have all others, stops serving, and only then asks the
witness to make the backup primary. A preferred node may take the office back in this way.

**Beginning.** The witness founds the pair when both nodes are there and both are empty.
"""

__all__: list[str] = []
