"""The world: E colonies of N agents on a lattice of C cells, with no RL interface."""
