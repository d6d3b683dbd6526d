"""omnipatch.core: everything that knows no modality.

Rooms, lowest floor first (each imports only from below): errors, rng, signals, sequence | task, modality, registry |
blocks | compose, objective | config, settings | data | train | prepared, trained | downstream | report | fold, run |
verbs, cli; `testing` and `scaffold` stand beside them. All of them: docs/architecture.md.
"""
