"""Verify Open Outcry's audit logs without trusting the exchange. It needs Python 3.11 and the package `cryptography`, nothing else.

    verifier proof NAME.tlog-proof --policy POLICY [--record FILE]    is this record in the log?
    verifier checkpoint FILE --policy POLICY                          is this checkpoint signed and cosigned?
    verifier consistency OLD NEW --log LOG --policy POLICY            did NEW only add to OLD?
    verifier log LOG --policy POLICY [--seen FILE]...                 is the whole log as its checkpoints say?

LOG is a folder or an http(s) address in the tlog-tiles layout. Exit status: 0 verified, 1 wrong, 2 wrong usage, 3 could not check.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from audit.findings import Unchecked, Wrong
from audit.notes import Checkpoint
from audit.policy import Policy
from audit.proofs import Proof, check_proof
from audit.tiles import LogFiles
from audit.tree import check_consistency, consistency_path
from audit.whole_log import EntryOrder, check_log

EXIT_WRONG: Final = 1
EXIT_UNCHECKED: Final = 3


def _said(cosigners: dict[str, int]) -> str:
    when = (f"{name} at {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(at))}" for name, at in cosigners.items())
    return ", ".join(when) or "nobody: the policy asks for no witness"


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Unchecked(f"{path}: {error.strerror}") from error


def _head(policy: Policy, files: LogFiles, name: str) -> tuple[str, Checkpoint, dict[str, int]] | None:
    try:
        data = files.read(name)
    except Wrong:
        return None
    note, checkpoint = policy.log_signed(data, name)
    return name, checkpoint, policy.cosigners(note, name)


def _run_log(options: argparse.Namespace, policy: Policy) -> list[str]:
    files = LogFiles(options.log)
    held = _head(policy, files, "checkpoint.cosigned")  # before the newest one, because a log that is read goes on
    newest = _head(policy, files, "checkpoint")
    if newest is None:
        raise Wrong("checkpoint", "it is missing")
    cosigned = newest if held is None and policy.is_reached(newest[2]) else held
    seen = [(path, policy.log_signed(_read(path), path)[1]) for path in options.seen] + ([] if held is None else [held[:2]])
    order = EntryOrder()
    check_log(files, newest[1], seen, order)
    if cosigned is None or not policy.is_reached(cosigned[2]):
        raise Unchecked(f"checkpoint: the log is whole, but no checkpoint of it is cosigned as the policy asks ({policy.quorum})")
    return [
        f"{newest[1].origin}: all {newest[1].size} entries, every tile and the root are as signed",
        f"they are the records {order.first_offset} to {order.next_offset - 1} of {order.topic}/{order.partition}, none left out",
        f"the first {cosigned[1].size} entries are cosigned by {_said(cosigned[2])}",
        *(f"it has grown from the {one.size} entries of {place}" for place, one in seen if place in options.seen),
    ]


def _run_proof(options: argparse.Namespace, policy: Policy) -> list[str]:
    proof = Proof.parse(_read(options.proof), options.proof)
    record = _read(options.record) if options.record else None
    checkpoint, cosigners, entry = check_proof(proof, policy, record, options.proof)
    return [
        f"{checkpoint.origin}: entry {proof.index} of {checkpoint.size} is {json.dumps(entry)}",
        "the record is the one that this entry names" if record is not None else "not checked: the record itself (--record FILE)",
        f"cosigned by {_said(cosigners)}",
    ]


def _run_checkpoint(options: argparse.Namespace, policy: Policy) -> list[str]:
    checkpoint, cosigners = policy.cosigned(_read(options.checkpoint), options.checkpoint)
    return [f"{checkpoint.origin}: {checkpoint.size} entries, root {checkpoint.root.hex()}", f"cosigned by {_said(cosigners)}"]


def _run_consistency(options: argparse.Namespace, policy: Policy) -> list[str]:
    old, new = (policy.log_signed(_read(path), path)[1] for path in (options.old, options.new))
    if old.origin != new.origin:
        raise Wrong(options.new, f"it is of {new.origin}, {options.old} of {old.origin}")
    if old.size > new.size:
        raise Wrong(options.new, f"it has {new.size} entries, fewer than the {old.size} of {options.old}: the end was cut off")
    if old.size:
        path = consistency_path(LogFiles(options.log).nodes(new.size), old.size, new.size)
        check_consistency(old.size, new.size, old.root, new.root, path, options.new)
    return [f"{new.origin}: the {new.size} entries of {options.new} begin with the {old.size} entries of {options.old}"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="proof | checkpoint | consistency | log")

    def command(name: str, run: Callable[[argparse.Namespace, Policy], list[str]], *arguments: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name)
        for argument in arguments:
            one.add_argument(argument)
        one.add_argument("--policy", required=True, help="whom you trust: a file of https://c2sp.org/tlog-policy")
        one.set_defaults(run=run)
        return one

    command("proof", _run_proof, "proof").add_argument("--record", help="the bytes of the record")
    command("checkpoint", _run_checkpoint, "checkpoint")
    command("consistency", _run_consistency, "old", "new").add_argument("--log", required=True, help="folder or address with the tiles")
    seen_help = "a checkpoint of this log that you have or that a witness gave you; may be repeated"
    command("log", _run_log, "log").add_argument("--seen", action="append", default=[], help=seen_help)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        policy = Policy.parse(_read(options.policy).decode(errors="replace"), options.policy)
        lines = options.run(options, policy)
    except Wrong as error:
        print(f"WRONG {error}")
        return EXIT_WRONG
    except Unchecked as error:
        print(f"COULD NOT CHECK {error}")
        return EXIT_UNCHECKED
    except KeyboardInterrupt:
        print("COULD NOT CHECK interrupted")
        return EXIT_UNCHECKED
    trusted = ", ".join(dict.fromkeys(key.name for key in policy.logs))
    print("\n".join(f"ok {line}" for line in lines))
    print(f"this trusts: SHA-256, Ed25519, this machine, and the keys of {options.policy} ({trusted}; quorum {policy.quorum})")
    print("this does not show: that every event was logged, or that its content is true")
    return 0


if __name__ == "__main__":
    sys.exit(main())
