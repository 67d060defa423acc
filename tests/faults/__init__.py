"""The whole client in a process of its own, on real sockets and files, and what can befall it."""
