"""A model that ranks alerts beside the rules: what it looks at, and how it is kept, checked and applied. It silences no rule, and no role runs it."""
