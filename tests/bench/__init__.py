"""What dorkyd costs, beside other tools on the same server: `python -m tests.bench --help`, docs/performance.md."""
