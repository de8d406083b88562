"""What uses transactions (RFC 3261 §5): proxy core, registrar and location service, user agent core."""
