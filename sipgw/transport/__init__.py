"""Rules of the transport layer (RFC 3261 §18), without sockets: framing, Via stamping, where a response goes."""
