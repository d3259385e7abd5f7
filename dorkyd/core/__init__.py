"""The pure core: it decides, and touches nothing. No I/O, no clock, no logging, no threads."""
