"""Whether a result may be promoted."""
