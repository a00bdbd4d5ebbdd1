"""The networks, in torch: attention, plastic memory, messages, detector and what joins them."""
