"""The arithmetic of PPO, and the plain engine that runs it without Ray."""
