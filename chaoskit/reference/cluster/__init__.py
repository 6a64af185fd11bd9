"""Three nodes or more; the workload is cut into shards, and each shard has one owner.

**Writing.** The owner of a shard orders its writes and acknowledges one when a majority of all
nodes has it. **Reading.** The owner answers, under a lease that a majority gave it. Every node
holds every shard. Whoever does not own a shard refuses (421) and names the owner.

**Taking over.** When an owner is silent for a detection time, the next node in that shard's order
asks for votes in a ballot of its own; a majority elects it. The order is different for each shard,
so the shards of a dead node are shared out among those that are left. **Epochs** are ballots; each
belongs to one node for ever, so no two nodes ever own a shard in the same epoch.

**What is promised.** While a majority is alive and hears each other: no acknowledged write is lost,
no read is older than an acknowledged write, no shard has two owners at once, and every shard has
one. A minority that is cut off answers nobody. A node that was killed comes back blank, and its
word counts only after it has copied everything (``recovery.py``). Not promised: surviving the loss
of a majority; the rest then waits for ever.

Order of reading: ``messages.py``, ``shard.py``, ``office.py``, ``recovery.py``, ``node.py``,
``service.py``.
"""

__all__: list[str] = []
