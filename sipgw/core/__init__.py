"""What uses transactions (RFC 3261 §5): validation, routing, forwarding, response context, registrar, location service."""
