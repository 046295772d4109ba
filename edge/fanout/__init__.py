"""One worker's sockets: ready frames, joined writes, conflation, slow clients, pings. No protocol: what is said is somebody else's."""
