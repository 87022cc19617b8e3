"""The measurement table: every number that anything computes is a row of it."""
