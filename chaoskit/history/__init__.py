"""The frozen record of a trial: requests, observations, marks."""
