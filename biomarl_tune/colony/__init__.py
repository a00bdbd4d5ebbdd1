"""The world: E colonies of N agents on a lattice of C cells, in numpy, with no RL interface."""
