"""All nodes serve: reads and writes are answered by whoever is asked.

**Writing.** A write is executed where it arrives and is acknowledged when one other node has it.
Every node sends its own writes to all others, and those of a node that is gone to whoever lacks
them. Which value a register keeps does not depend on the order of arrival (``merge.py``).

**What is promised.** An acknowledged write is never lost while one node of every two that had it
goes on, so no single failure loses any; and all nodes come to the same state. **What may be
lost**: a write that a node acknowledged *alone*. It does so only while it hears nobody: every other
node is dead, or it is cut off from all of them; if it dies before it hears one again, those are
gone. Of two values that were put into one register without knowledge of each other, one is gone
by rule. A read may be answered from before a write that another node has acknowledged.

**Losing a node.** The others go on at once while two are left: a write needs one of them. With
two nodes the other one's silence must first be noticed (``Timing.detect_ns``); until then writes
wait. Order of reading: ``messages.py``, ``merge.py``, ``node.py``, ``service.py``.
"""

__all__: list[str] = []
