"""sipgw: a SIP front door for legacy Group Chat clients."""

__version__ = "0.1.0"
