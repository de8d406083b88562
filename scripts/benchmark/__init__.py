"""scripts/bench: sipgw beside Kamailio on the job "group-chat lookup call"; its commands are in `__main__.py`."""
