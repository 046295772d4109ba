"""Where the account kernel writes what it says: rows that are used again by every call.

New memory for each frame would cost more than filling it: 400 bytes a row, every page of which the system has to find and clear first.
"""

from typing import Final

import numpy as np

from matchers.accounts.kernel import layout
from matchers.compiled.pools import grown, new_pool, text_of_words
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, EVENT_DTYPE, TEXT_WORDS_MAX, AccountOutput
from schemas.codec import Rows

_ROWS_AT_FIRST: Final = 64
_TEXT: Final = np.dtype(np.uint64)


class OutputPools:
    """Events, replies and book commands of the present call; the kernel finds them zeroed."""

    def __init__(self) -> None:
        self.events, self.event_text = new_pool(EVENT_DTYPE, _ROWS_AT_FIRST), new_pool(_TEXT, _ROWS_AT_FIRST, TEXT_WORDS_MAX)
        self.replies, self.reply_text = new_pool(EVENT_DTYPE, _ROWS_AT_FIRST), new_pool(_TEXT, _ROWS_AT_FIRST, TEXT_WORDS_MAX)
        self.event_orig, self.reply_orig = (new_pool(_TEXT, _ROWS_AT_FIRST, TEXT_WORDS_MAX) for _ in range(2))
        self.reply_mask = new_pool(_TEXT, _ROWS_AT_FIRST)
        self.book_commands = new_pool(BOOK_COMMAND_DTYPE, _ROWS_AT_FIRST)
        self._written: tuple[Rows, ...] = ()

    def begin(self, events: int, replies: int, book_commands: int) -> None:
        """Room for at least so many rows, all zero."""
        for rows in self._written:
            rows.view(np.uint8)[...] = 0
        self._written = ()
        if events > len(self.events):
            self.events, self.event_text = new_pool(EVENT_DTYPE, events), new_pool(_TEXT, events, TEXT_WORDS_MAX)
            self.event_orig = new_pool(_TEXT, events, TEXT_WORDS_MAX)
        if replies > len(self.replies):
            self.replies, self.reply_text = new_pool(EVENT_DTYPE, replies), new_pool(_TEXT, replies, TEXT_WORDS_MAX)
            self.reply_orig = new_pool(_TEXT, replies, TEXT_WORDS_MAX)
            self.reply_mask = new_pool(_TEXT, replies)
        if book_commands > len(self.book_commands):
            self.book_commands = new_pool(BOOK_COMMAND_DTYPE, book_commands)

    def grow(self, rows: int) -> None:
        """So many more of each; what is written stays."""
        events, replies = len(self.events) + rows, len(self.replies) + rows
        self.events, self.event_text, self.event_orig = (grown(pool, events) for pool in (self.events, self.event_text, self.event_orig))
        of_replies = self.replies, self.reply_text, self.reply_orig, self.reply_mask
        self.replies, self.reply_text, self.reply_orig, self.reply_mask = (grown(pool, replies) for pool in of_replies)
        self.book_commands = grown(self.book_commands, len(self.book_commands) + rows)

    def end(self, call: list[int], first_seq: int, copy: bool, refused: tuple[tuple[int, str], ...]) -> AccountOutput:
        """What the kernel has written, by the counts in `call`; views that `begin` zeroes, unless `copy`."""
        events, replies, book_commands = call[layout.EVENTS], call[layout.REPLIES], call[layout.BOOK_COMMANDS]
        event_text = self.event_text[:events, : call[layout.EVENT_WORDS]]
        reply_text = self.reply_text[:replies, : call[layout.REPLY_WORDS]]
        written = self.events[:events], self.replies[:replies], self.reply_mask[:replies], self.book_commands[:book_commands]
        event_words, reply_words = call[layout.EVENT_ORIG_WORDS], call[layout.REPLY_ORIG_WORDS]
        self._written = *written, event_text, reply_text, self.event_orig[:events, :event_words], self.reply_orig[:replies, :reply_words]
        given = [rows.copy() for rows in written] if copy else written
        return AccountOutput(
            events=given[0],
            event_cl_ord_id=text_of_words(self.event_text, events, call[layout.EVENT_WORDS]),
            replies=given[1],
            reply_cl_ord_id=text_of_words(self.reply_text, replies, call[layout.REPLY_WORDS]),
            reply_mask=given[2],
            book_commands=given[3],
            first_seq=first_seq,
            event_orig_cl_ord_id=text_of_words(self.event_orig, events, event_words) if event_words else None,
            reply_orig_cl_ord_id=text_of_words(self.reply_orig, replies, reply_words) if reply_words else None,
            refused=refused,
        )
