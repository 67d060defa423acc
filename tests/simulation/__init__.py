"""The whole client on a virtual clock, with a simulated server, network and store."""
