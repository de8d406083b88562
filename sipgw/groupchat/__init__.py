"""Group Chat: the XCCOS envelopes of INFO bodies, and the emulated pool and client that use them. No I/O, no clock."""
