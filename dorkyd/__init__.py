"""dorkyd keeps project folders in two-way sync with a bucket the team owns."""

__version__ = "0.1.0"
