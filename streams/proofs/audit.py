"""`outcry audit`: what can be proven of the log, from the log."""

import click

from streams.proofs.audit_days import audit_days
from streams.proofs.audit_elastic import elasticsearch
from streams.proofs.audit_keys import keys, policy, verifier
from streams.proofs.audit_money import money
from streams.proofs.audit_prove import prove
from streams.proofs.audit_records import records
from streams.proofs.audit_trail import trail
from streams.proofs.audit_witness import witness


@click.group()
def audit() -> None:
    """Prove facts about the exchange from its log: its money, and that no record was changed, dropped or added.

    \b
    Examples:
      outcry audit money
      outcry audit keys create --name exchange.example/audit
      outcry audit prove record executions/0 1234
    """


for one in (audit_days, elasticsearch, money, keys, policy, verifier, prove, records, trail, witness):
    audit.add_command(one)
