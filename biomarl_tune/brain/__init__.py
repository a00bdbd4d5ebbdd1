"""The networks: attention, plastic memory, messages, detector and what joins them."""
