"""What numbers can prove: pure functions behind the verdict."""
