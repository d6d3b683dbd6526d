"""`python -m omnipatch`, the form that `torchrun -m` needs."""

from .core.cli import main

if __name__ == "__main__":
    main()
