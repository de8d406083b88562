"""Who a request comes from: Digest, MS-SIPAE over NTLM and Kerberos, and the accounts behind them. No I/O."""
