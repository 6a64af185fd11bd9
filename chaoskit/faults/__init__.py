"""What goes wrong: one file per fault, found through the entry points ``chaoskit.faults``."""
