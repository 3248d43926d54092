"""`python -m zeroproofml.benchmarks` is `zpml-bench`."""

from zeroproofml.benchmarks.cli import main

if __name__ == "__main__":
    main()
