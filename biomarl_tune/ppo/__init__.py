"""The arithmetic of PPO, in torch, and the plain engine that runs it without Ray."""
