"""Pure functions from numbers to verdicts: assumptions first, then thresholds.

Start at ``verdict.judge_trial`` and ``verdict.judge_run``.
"""
