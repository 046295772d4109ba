"""Whom a verifier trusts, and how many witnesses it demands. No I/O. Source: https://c2sp.org/tlog-policy."""

from dataclasses import dataclass, field

from audit.findings import Unchecked, Wrong
from audit.notes import COSIGNATURE, ED25519, Checkpoint, Note, PublicKey


@dataclass
class Policy:
    """A file of https://c2sp.org/tlog-policy: keys of logs and of witnesses, and how many of these must have cosigned."""

    logs: list[PublicKey] = field(default_factory=list)
    witnesses: dict[str, PublicKey] = field(default_factory=dict)
    groups: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    quorum: str = ""
    urls: dict[str, str] = field(default_factory=dict)
    """Where witnesses take checkpoints, by their names."""

    @classmethod
    def parse(cls, text: str, place: str = "policy", *, needs_logs: bool = True) -> "Policy":
        """Raises Unchecked: whoever trusts nobody can check nothing. needs_logs: a log itself needs only the lines of its witnesses."""
        policy = cls()
        for number, line in enumerate(text.split("\n"), 1):
            words = line.split()
            try:
                if words and not words[0].startswith("#"):
                    policy._take(words[0], words[1:])
            except (Wrong, ValueError, IndexError) as error:
                raise Unchecked(f"{place}, line {number}: {line.strip()[:80]!r} cannot be read: {error}") from None
        if needs_logs and not policy.logs:
            raise Unchecked(f"{place}: it needs a line `log VKEY` at least")
        if not policy.quorum:
            raise Unchecked(f"{place}: it needs one line `quorum NAME` or `quorum none`")
        return policy

    def _take(self, word: str, values: list[str]) -> None:
        if word == "log":
            key = PublicKey.parse(values[0])
            if key.kind != ED25519 or any(key.public == other.public for other in self.logs):
                raise ValueError("another line has this key, or it is not a log's")
            self.logs.append(key)
        elif word == "witness":
            self._name(values[0])
            key = PublicKey.parse(values[1])
            if key.kind != COSIGNATURE or any(key.public == other.public for other in self.witnesses.values()):
                raise ValueError("another line has this key, or it is not a witness's")
            self.witnesses[values[0]] = key
            if len(values) > 2:
                self.urls[values[0]] = values[2]
        elif word == "group":
            self._name(values[0])
            members = values[2:]
            needed = {"any": 1, "all": len(members)}.get(values[1]) or int(values[1])
            taken = {one for _, others in self.groups.values() for one in others}
            if not 1 <= needed <= len(members) == len(set(members)) or any(self._unknown(one) or one in taken for one in members):
                raise ValueError("its members are defined before it, each in one group only, and there are as many as it asks for")
            self.groups[values[0]] = needed, members
        elif word == "quorum" and not self.quorum and len(values) == 1 and (values[0] == "none" or not self._unknown(values[0])):
            self.quorum = values[0]
        else:
            raise ValueError("unknown word, a second quorum, or a quorum that is not defined")

    def _name(self, name: str) -> None:
        if name == "none" or not self._unknown(name):
            raise ValueError(f"{name} is taken")

    def _unknown(self, name: str) -> bool:
        return name not in self.witnesses and name not in self.groups

    def origin_keys(self, origin: str) -> list[PublicKey]:
        """The keys with which this log signs."""
        return [key for key in self.logs if key.name == origin]

    def log_signed(self, data: bytes, place: str) -> tuple[Note, Checkpoint]:
        """A checkpoint that its log has signed, whoever has cosigned it. Raises Wrong."""
        note = Note.parse(data, place)
        checkpoint = Checkpoint.parse(note.text, place)
        keys = self.origin_keys(checkpoint.origin)
        if not keys:
            raise Wrong(place, f"the policy knows no log {checkpoint.origin!r}")
        if not note.signed_by(keys, place):
            raise Wrong(place, f"no key of {checkpoint.origin} has signed it")
        return note, checkpoint

    def cosigners(self, note: Note, place: str) -> dict[str, int]:
        """Names of the witnesses that cosigned it, and when (s). Raises Wrong where a cosignature is false."""
        found = note.signed_by(list(self.witnesses.values()), place)
        return {name: found[key] for name, key in self.witnesses.items() if key in found}

    def is_reached(self, cosigners: dict[str, int]) -> bool:
        """Whether these witnesses are enough."""
        return self.quorum == "none" or self._agrees(self.quorum, cosigners)

    def _agrees(self, name: str, cosigners: dict[str, int]) -> bool:
        if name in self.witnesses:
            return name in cosigners
        needed, members = self.groups[name]
        return sum(self._agrees(one, cosigners) for one in members) >= needed

    def cosigned(self, data: bytes, place: str) -> tuple[Checkpoint, dict[str, int]]:
        """A checkpoint that its log and enough witnesses have signed. Raises Wrong; Unchecked where only witnesses are missing."""
        note, checkpoint = self.log_signed(data, place)
        cosigners = self.cosigners(note, place)
        if not self.is_reached(cosigners):
            have = ", ".join(cosigners) or "none"
            raise Unchecked(
                f"{place}: the log has signed {checkpoint.size} entries, but the policy asks for {self.quorum} to cosign, and has {have}"
            )
        return checkpoint, cosigners
