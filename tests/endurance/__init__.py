"""Four devices at work for an hour, and whether what they use levels off."""
