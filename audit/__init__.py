"""The audit log: Merkle trees over the records of the log, signed checkpoints, witnesses, proofs, and a verifier for strangers.

Formats: RFC 9162 (tree) and https://c2sp.org (signed-note, tlog-checkpoint, tlog-cosignature, tlog-witness, tlog-tiles, tlog-proof, tlog-policy).
`findings`, `tree`, `notes`, `policy`, `tiles`, `proofs`, `whole_log` and `verifier` need the standard library and `cryptography` only: together
they are the one file that strangers run (audit.one_file), and the exchange and the witness check with the same functions.
"""
