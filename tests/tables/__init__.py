"""Tables as artifacts."""
