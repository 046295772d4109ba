"""Who may do what: people and their roles, passwords, second factors, tokens, and what is recorded of them. No store, no protocol."""
