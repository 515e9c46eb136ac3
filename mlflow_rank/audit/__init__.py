"""What happened: the ledger of every request, decision and change, and how it is proved."""
