"""Several processes that share the work: a supervisor that starts them and keeps the store, and workers that do SIP.

Workers are all alike. Each reads and accepts at every address, with sockets that the supervisor keeps open when a
worker dies. They speak with each other through the supervisor (`hub`), which also makes every change of registrations
durable and tells all of it in one order (`ledger`).
"""
