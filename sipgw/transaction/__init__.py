"""The transaction layer (RFC 3261 §17, RFC 6026): four machines as tables, matching, deadlines."""
