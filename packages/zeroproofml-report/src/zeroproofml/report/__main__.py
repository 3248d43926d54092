"""``python -m zeroproofml.report`` is ``zpml-report``."""

from zeroproofml.report.cli import main

if __name__ == "__main__":
    main()
