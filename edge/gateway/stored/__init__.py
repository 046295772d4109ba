"""What the edge reads from the stores: done orders, ledgers, past prices; and how far they are behind."""
