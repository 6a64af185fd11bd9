"""What each figure of a trial is called and means, in one line each and a fixed order."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFINITIONS", "Definition"]


@dataclass(frozen=True)
class Definition:
    """A metric's name, its label and its meaning in one line."""

    key: str
    label: str
    meaning: str


DEFINITIONS = (
    Definition(
        "client_outage",
        "client outage",
        "From the due time of the first bad request to the first answer after which the next"
        " three requests due are all good; the longest such stretch of the write stream."
        " One that had not ended when observation did is longer than all that had.",
    ),
    Definition(
        "client_outage_read",
        "client outage, reads",
        "The same for the read stream: reads often survive what stops writes.",
    ),
    Definition(
        "failover_time",
        "failover time",
        "From the fault acknowledged to the first good write through the front door after the"
        " outage. Its low end counts from verified, its high end from commanded. Of several"
        " faults it is the last that had come when the longest outage began. A longer outage that"
        " only began when the fault was being healed is no part of it.",
    ),
    Definition(
        "time_to_detect",
        "time to detect",
        "From the fault acknowledged to the moment at which the system itself declared the"
        " node dead. Where no node told, only an upper end is known, and ≤ stands before it: by"
        " then another node was seen to be primary, which comes after.",
    ),
    Definition(
        "time_to_approval",
        "time to approval",
        "How long the failover stood pending until an operator approved it: a person's time, or"
        " that of the experiment's operator.",
    ),
    Definition(
        "failover_time_without_approval",
        "failover time without approval",
        "Failover time less the time to approval: the machine's part. The whole of it where nobody"
        " was asked.",
    ),
    Definition(
        "dropped_requests",
        "dropped requests",
        "Requests due from the fault commanded to recovery that were not good, as a count, as a"
        " share of those due in that window, and by class.",
    ),
    Definition(
        "bad_time",
        "bad time",
        "Number of bad requests divided by their rate: what the outages add up to, however"
        " scattered.",
    ),
    Definition(
        "goodput_gap",
        "goodput gap",
        "The longest pause between two good answers, less the usual pause; blind to partial"
        " outages.",
    ),
    Definition(
        "max_stall",
        "longest stall",
        "The longest that one request took, counted from when it was due; censored at the"
        " client's timeout.",
    ),
    Definition(
        "lost_writes",
        "lost writes",
        "Appends that were acknowledged and that no final read returned, through the front door or"
        " from any node. A value of a register that was lost shows as stale reads and as a"
        " linearizability violation.",
    ),
    Definition(
        "rpo_time",
        "lost before the fault",
        "From the earliest acknowledgement of a write that is lost to the fault: how far back the"
        " loss reaches, the recovery point that was achieved.",
    ),
    Definition(
        "split_brain_loss",
        "lost under the fault",
        "Lost writes that were sent and acknowledged after the fault and before its heal: somebody"
        " was still, or already, in charge of what was given up later.",
    ),
    Definition(
        "post_heal_loss",
        "lost after the heal",
        "Lost writes that were acknowledged after the heal: rolled back, as by a resync in the"
        " wrong direction.",
    ),
    Definition(
        "recovered_writes",
        "unknown, recovered",
        "Writes whose outcome the client never learned, and that are there in the end. Legal.",
    ),
    Definition(
        "vanished_writes",
        "unknown, vanished",
        "Writes whose outcome the client never learned, and that are not there. Legal, too.",
    ),
    Definition(
        "duplicate_writes",
        "duplicate writes",
        "Copies beyond the first of one write in a final read.",
    ),
    Definition(
        "unexpected_writes",
        "unexpected writes",
        "Tokens in a final read that no client of this run ever wrote.",
    ),
    Definition(
        "resurrected_writes",
        "resurrected writes",
        "Writes that the client was told had failed and that a final read returned all the same.",
    ),
    Definition(
        "divergent_writes",
        "divergent writes",
        "Writes that are not equally often in the final read of every data node, though the nodes"
        " were given time to agree.",
    ),
    Definition(
        "stale_reads",
        "stale reads",
        "Reads that returned a value although another one had replaced it, and that had been"
        " acknowledged before the read was sent.",
    ),
    Definition(
        "stale_leader_reads",
        "stale reads of a claimed primary",
        "Stale reads that a node answered, asked itself past the front door, while it said before"
        " and after that it is primary: a deposed primary that does not know it. Clients' figures"
        " do not hold them.",
    ),
    Definition(
        "session_violations",
        "session violations",
        "Reads older than what the same client had already read in that stream, or had itself"
        " written.",
    ),
    Definition(
        "linearizability_violations",
        "linearizability violations",
        "Registers of which no order of their reads and writes, each at some moment between its"
        " sending and its answer, explains what was read.",
    ),
    Definition(
        "time_to_steady",
        "time to steady",
        "From the fault acknowledged until every second is as good as the baseline again: 90 %"
        " of its goodput, 1.5 times its p99, 0.1 % more bad requests at most.",
    ),
    Definition(
        "settle_time",
        "settle time",
        "From the first good write after the outage until service is steady: what follows the"
        " failover, outside its time.",
    ),
    Definition(
        "backlog_drain",
        "backlog drain",
        "From the first good write after the outage until the answers of a second come as fast as"
        " before the fault: the part of settling that queued requests cause.",
    ),
    Definition(
        "time_to_redundancy",
        "time to redundancy",
        "From the fault until every data node says again that it is primary or backup: until then"
        " a second failure would have been fatal.",
    ),
    Definition(
        "gray_time",
        "gray time",
        "How long writes were out while every probe said that all is well.",
    ),
    Definition(
        "dual_primary",
        "dual primary",
        "For how long two nodes both acknowledged writes. The low end is proven: a write sent to"
        " one after the other had acknowledged.",
    ),
    Definition(
        "fencing_latency",
        "fencing latency",
        "From the fault until the last write that the deposed primary acknowledged. The high end is"
        " when it was first seen to refuse.",
    ),
    Definition(
        "metastable",
        "metastable",
        "Whether service stayed degraded after the fault was healed (suspected), and came back only"
        " when the load was dropped for a while (confirmed).",
    ),
    Definition(
        "flapping",
        "flapping",
        "How often another node took over since the fault, beyond once a fault; of each shard.",
    ),
    Definition(
        "promotions",
        "promotions",
        "How often another node took over since the fault, of every shard: 0 where none must.",
    ),
    Definition(
        "false_failovers",
        "false failovers",
        "How often another node took over while no fault was in force: before the first fault,"
        " or at any time where none bites.",
    ),
    Definition(
        "false_suspicions",
        "false suspicions",
        "How often a node took another for dead while no fault was in force, whether anything came"
        " of it or not.",
    ),
    Definition(
        "flaps",
        "flaps",
        "Separate stretches of bad requests before they are merged into outages: how often"
        " clients felt it.",
    ),
)
