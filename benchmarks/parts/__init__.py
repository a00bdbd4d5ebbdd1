"""What the benchmark scripts share: the other sides of the comparisons, and how sides are timed."""
