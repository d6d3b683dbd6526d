"""omnipatch.core: everything that knows no modality.

Rooms, lowest floor first (each imports only from below): errors, sequence, random, distributed | modality,
registry | blocks | objective, objectives | data | config | train | downstream | report | run | cli; `testing`
stands beside them.
"""
