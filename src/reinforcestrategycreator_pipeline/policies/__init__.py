"""What decides: strategies, and the policies that they give."""
