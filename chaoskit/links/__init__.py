"""Links: connections of the stack that lead through a Toxiproxy, and what can be done to them.

``model`` is what faults and labs speak of; ``api`` talks to a server, through the package
``toxiproxy-python``; ``child`` runs that inside the lab, next to the server, as one process.
"""
