"""What is kept across sessions: the dose ledger."""
