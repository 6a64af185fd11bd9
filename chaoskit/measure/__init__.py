"""Pure functions from a trial's history to numbers with their uncertainty.

Start at ``metrics.measure_trial``; ``view.View`` is what they all look through.
"""
