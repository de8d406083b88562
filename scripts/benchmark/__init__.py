"""scripts/bench: sipgw beside Kamailio on the job "group-chat lookup call". The README of the job is `cli.py`."""
