"""The clients that ship with chaoskit, one file per protocol. Found by entry point only."""
